"""Optimizers, learning-rate schedules, losses and callbacks, as recipes name them."""

from __future__ import annotations

from typing import Any

import keras
from keras.optimizers.schedules import LearningRateSchedule

from cifarlab.optim.muon import Muon
from cifarlab.optim.triangle import Triangle
from cifarlab.recipes import Recipe

__all__ = [
    "Muon",
    "Triangle",
    "learning_rate",
    "make_callbacks",
    "make_loss",
    "make_optimizer",
]

# Biases and normalisation parameters are not decayed: shrinking them does not make the function
# simpler.
NOT_DECAYED = ["bias", "gamma", "beta"]


def learning_rate(recipe: Recipe, steps: int) -> float | LearningRateSchedule:
    """A recipe's learning rate over a training of `steps` steps."""
    peak, final = recipe.learning_rate, recipe.final_rate
    if recipe.schedule == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(peak, steps, final)
    if recipe.schedule == "steps":  # down at a half and at three quarters, as He et al. 2015
        down = final**0.5
        return keras.optimizers.schedules.PiecewiseConstantDecay(
            [steps // 2, 3 * steps // 4], [peak, down * peak, final * peak]
        )
    if recipe.schedule == "triangle":
        return Triangle(peak, steps, recipe.warmup, final)
    if recipe.schedule == "cosine":
        warmup = round(recipe.warmup * steps)
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else peak,
            max(1, steps - warmup),
            alpha=final,
            warmup_target=peak if warmup else None,
            warmup_steps=warmup,
        )
    return peak


def make_optimizer(recipe: Recipe, steps: int) -> keras.optimizers.Optimizer:
    """The optimizer of `recipe` for a training of `steps` steps.

    Where the recipe averages weights, the optimizer keeps their exponential moving average in its
    own variables, so in the checkpoint, and `finalize_variable_values` puts it in their place. The
    statistics of batch normalisation are averages already and stay as they are.
    """
    rate = learning_rate(recipe, steps)
    average: dict[str, Any] = {}
    if recipe.ema:  # (1 - 1 / n)^n is 1 / e: what is n steps old counts a third of what is new
        average = {"use_ema": True, "ema_momentum": max(0.0, 1.0 - 1.0 / (recipe.ema * steps))}
    if recipe.optimizer == "adam":
        return keras.optimizers.Adam(rate, **average)
    if recipe.optimizer == "muon":
        return Muon(
            rate,
            momentum=recipe.momentum,
            bias_ratio=recipe.bias_rate * recipe.batch_size / recipe.learning_rate,
            head_ratio=recipe.head_rate * recipe.batch_size / recipe.learning_rate,
            weight_decay=recipe.weight_decay * recipe.batch_size,
            peak=recipe.learning_rate,
            **average,
        )
    if recipe.optimizer == "adamw":
        optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, **average)
    else:
        optimizer = keras.optimizers.SGD(
            rate,
            momentum=recipe.momentum,
            nesterov=recipe.momentum > 0,
            weight_decay=recipe.weight_decay or None,
            **average,
        )
    if recipe.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    return optimizer


def make_loss(recipe: Recipe) -> keras.losses.Loss:
    """Cross-entropy from logits, for one-hot or integer labels."""
    if recipe.labels == "one-hot":
        return keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        )
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_callbacks(recipe: Recipe) -> list[keras.callbacks.Callback]:
    """Keras's own callbacks for what a recipe asks of them."""
    callbacks: list[keras.callbacks.Callback] = []
    if plateau := recipe.plateau:
        callbacks.append(
            keras.callbacks.ReduceLROnPlateau(
                plateau.monitor,
                factor=plateau.factor,
                patience=plateau.patience,
                min_lr=plateau.minimum,
                min_delta=0.0,
            )
        )
    if stopping := recipe.early_stopping:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                stopping.monitor,
                patience=stopping.patience,
                restore_best_weights=stopping.restore_best,
            )
        )
    return callbacks
