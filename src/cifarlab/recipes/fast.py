"""Recipes made for speed: whitened patches, Muon, small images first (see records/)."""

from dataclasses import replace

from cifarlab.recipes.recipe import Augmentation, Recipe

fast94 = Recipe(
    name="fast94",
    summary="94 % on CIFAR-10 in minutes on two CPU cores",
    model="airbench_cnn",
    model_options={"widths": (64, 256, 256), "activation": "silu"},
    pixels="standard",
    labels="one-hot",
    label_smoothing=0.2,
    validation=0.02,
    augmentation=Augmentation(flip=True, alternate=True, shift=0.0625),
    sizes=(20, 20, 20, 20, 24, 24, 24, 28, 28, 28),
    tta="shift",
    epochs=10,
    batch_size=500,
    optimizer="muon",
    learning_rate=0.12,
    momentum=0.6,
    weight_decay=2e-6,
    bias_rate=0.053,
    head_rate=0.67,
    schedule="triangle",
    final_rate=0.0,
)

quick = replace(
    fast94,
    name="quick",
    summary="The default: the best accuracy within three minutes on two CPU cores",
    sizes=(20, 20, 24),
    epochs=3,
)
