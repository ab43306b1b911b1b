"""Schedules, optimizers, losses and callbacks, against arithmetic by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import keras
import numpy as np
import pytest

from cifarlab.optim import (
    Muon,
    Triangle,
    learning_rate,
    make_callbacks,
    make_loss,
    make_optimizer,
)
from cifarlab.optim.muon import orthogonalize
from cifarlab.recipes import EarlyStopping, Plateau, Recipe, get_recipe

BASE = Recipe(name="mine", summary="", model="tutorial_cnn", learning_rate=2.0, final_rate=0.1)


def rates(recipe: Recipe, steps: int, at: tuple[int, ...]) -> list[float]:
    schedule = learning_rate(recipe, steps)
    return [float(schedule(step)) for step in at]


# --- schedules; float32 has seven digits ---


def test_a_constant_rate_is_a_number_that_callbacks_can_lower() -> None:
    assert learning_rate(BASE, 10) == 2.0


def test_triangle_by_hand() -> None:
    recipe = replace(BASE, schedule="triangle", warmup=0.2)
    # Up to step 2 of 10, then 1 - 0.9 * (done - 0.2) / 0.8; never below the last rate.
    expected = [1.0, 2.0, 1.55, 1.1, 0.2, 0.2]
    assert rates(recipe, 10, (0, 1, 3, 5, 9, 12)) == pytest.approx(expected, rel=1e-6)


def test_triangle_without_warm_up_starts_at_the_peak() -> None:
    recipe = replace(BASE, schedule="triangle")
    expected = [2 * 0.91, 2 * 0.55, 0.2]
    assert rates(recipe, 10, (0, 4, 9)) == pytest.approx(expected, rel=1e-6)


def test_triangle_comes_back_from_its_configuration() -> None:
    triangle = Triangle(peak=0.5, steps=7, warmup=0.3, final=0.05)
    config = keras.optimizers.schedules.serialize(triangle)
    back = keras.optimizers.schedules.deserialize(config)
    assert isinstance(back, Triangle)
    assert back.get_config() == {"peak": 0.5, "steps": 7, "warmup": 0.3, "final": 0.05}
    assert [float(back(step)) for step in range(7)] == [float(triangle(step)) for step in range(7)]


def test_exponential_by_hand() -> None:
    recipe = replace(BASE, schedule="exponential")
    expected = [2.0, 2 * math.sqrt(0.1), 0.2]
    assert rates(recipe, 10, (0, 5, 10)) == pytest.approx(expected, rel=1e-6)


def test_steps_fall_at_a_half_and_at_three_quarters() -> None:
    recipe = replace(BASE, schedule="steps", final_rate=0.01)
    expected = [2.0, 2.0, 0.2, 0.2, 0.02, 0.02]
    assert rates(recipe, 8, (0, 4, 5, 6, 7, 8)) == pytest.approx(expected, rel=1e-6)


def test_cosine_by_hand() -> None:
    recipe = replace(BASE, schedule="cosine")
    quarter = 0.1 + 0.9 * (1 + math.cos(math.pi / 4)) / 2
    expected = [2.0, 2 * quarter, 1.1, 0.2, 0.2]
    assert rates(recipe, 8, (0, 2, 4, 8, 9)) == pytest.approx(expected, rel=1e-6)


def test_cosine_with_warm_up_by_hand() -> None:
    recipe = replace(BASE, schedule="cosine", warmup=0.2)
    # Two of ten steps rise to the peak, eight fall.
    expected = [1.0, 2.0, 1.1, 0.2]
    assert rates(recipe, 10, (1, 2, 6, 10)) == pytest.approx(expected, rel=1e-6)


# --- optimizers ---


def stepped(recipe: Recipe, names: tuple[str, ...], steps: int) -> list[float]:
    """Variables of 1.0 after `steps` steps with the gradient 0.5."""
    variables = [keras.Variable(1.0, name=name) for name in names]
    optimizer = make_optimizer(recipe, 10)
    for _ in range(steps):
        optimizer.apply([keras.ops.convert_to_tensor(0.5)] * len(names), variables)
    return [float(variable.numpy()) for variable in variables]


def test_sgd_with_nesterov_and_decoupled_decay_by_hand() -> None:
    recipe = replace(BASE, optimizer="sgd", learning_rate=0.1, momentum=0.9, weight_decay=0.01)
    names = ("kernel", "bias", "gamma", "beta")
    # velocity -0.1 * 0.5; then 0.9 * velocity - 0.1 * 0.5 more; kernels first lose 0.1 * 0.01
    kernel = 1 * 0.999 + 0.9 * -0.05 - 0.05
    bias = 1 + 0.9 * -0.05 - 0.05
    assert stepped(recipe, names, 1) == pytest.approx([kernel, bias, bias, bias], rel=1e-6)
    velocity = 0.9 * -0.05 - 0.05
    kernel = kernel * 0.999 + 0.9 * velocity - 0.05
    bias = bias + 0.9 * velocity - 0.05
    assert stepped(recipe, names, 2) == pytest.approx([kernel, bias, bias, bias], rel=1e-6)


def test_sgd_without_momentum_and_decay() -> None:
    recipe = replace(BASE, optimizer="sgd", learning_rate=0.1, momentum=0.0)
    assert stepped(recipe, ("kernel",), 2) == pytest.approx([0.9], rel=1e-6)


def test_adam_by_hand() -> None:
    recipe = replace(BASE, learning_rate=0.01)
    # The bias-corrected moments of a constant gradient are it and its square: steps of the rate.
    assert stepped(recipe, ("kernel",), 3) == pytest.approx([0.97], rel=1e-6)


def test_adamw_decays_kernels_only() -> None:
    recipe = replace(BASE, optimizer="adamw", learning_rate=0.01, weight_decay=0.1)
    expected = [1 * (1 - 0.01 * 0.1) - 0.01, 0.99]
    assert stepped(recipe, ("kernel", "bias"), 1) == pytest.approx(expected, rel=1e-6)
    undecayed = replace(recipe, weight_decay=0.0)  # not Keras's default of 0.004
    assert stepped(undecayed, ("kernel", "bias"), 1) == pytest.approx([0.99, 0.99], rel=1e-6)


def test_orthogonalizing_leaves_the_directions_and_evens_the_lengths() -> None:
    random = np.random.default_rng(0)
    for shape in ((12, 5), (5, 12)):
        matrix = random.normal(size=shape).astype("float32")
        left, _, right = np.linalg.svd(matrix, full_matrices=False)
        result = np.asarray(orthogonalize(matrix, steps=5))
        inside = left.T @ result @ right.T
        # Jordan et al. let singular values end anywhere between 0.7 and 1.2.
        assert np.abs(inside - np.diag(np.diag(inside))).max() < 1e-4
        assert np.diag(inside).min() > 0.65
        assert np.diag(inside).max() < 1.25


def test_muon_by_hand() -> None:
    muon = Muon(0.1, momentum=0.5, bias_ratio=2.0, head_ratio=3.0, weight_decay=0.02, peak=0.2)
    kernel = keras.Variable(np.ones((1, 1, 2, 2), "float32"))
    bias, head = keras.Variable(np.ones(2, "float32")), keras.Variable(np.ones((2, 1), "float32"))
    variables = [kernel, bias, head]
    steps = [[np.full(v.shape, g, "float32") for v in variables] for g in (0.5, -1.0)]
    steps[0][0] = np.array([[3.0, 0.0], [0.0, 1.0]], "float32").reshape(1, 1, 2, 2)
    steps[1][0] = np.array([[0.0, 1.0], [1.0, 0.0]], "float32").reshape(1, 1, 2, 2)

    def direction(momentum: np.ndarray) -> np.ndarray:
        return np.asarray(orthogonalize(momentum.astype("float32")))

    w, m = np.ones((2, 2)), np.zeros((2, 2))
    vectors, memory = {2.0: 1.0, 3.0: 1.0}, {2.0: 0.0, 3.0: 0.0}
    for gradients in steps:
        muon.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        g = gradients[0].reshape(2, 2)
        m = 0.5 * m + g
        w = w * 2**0.5 / np.linalg.norm(w) - 0.1 * direction(g + 0.5 * m)
        for ratio, value in vectors.items():
            slope = gradients[1][0] + 0.02 / (ratio * 0.2) * value
            memory[ratio] = 0.85 * memory[ratio] + slope
            vectors[ratio] = value - ratio * 0.1 * (slope + 0.85 * memory[ratio])
    np.testing.assert_allclose(kernel.numpy().reshape(2, 2), w, rtol=1e-5)
    np.testing.assert_allclose(bias.numpy(), vectors[2.0], rtol=1e-5)
    np.testing.assert_allclose(head.numpy(), vectors[3.0], rtol=1e-5)


def test_muon_of_a_recipe_scales_with_the_batch_and_comes_back() -> None:
    recipe = replace(
        BASE,
        optimizer="muon",
        learning_rate=0.2,
        bias_rate=0.05,
        head_rate=0.5,
        batch_size=100,
        weight_decay=1e-6,
        schedule="triangle",
    )
    muon = make_optimizer(recipe, 10)
    assert isinstance(muon, Muon)
    assert muon.bias_ratio == pytest.approx(0.05 * 100 / 0.2)
    assert muon.head_ratio == pytest.approx(0.5 * 100 / 0.2)
    assert muon.decay == pytest.approx(1e-4)
    back = keras.optimizers.deserialize(keras.optimizers.serialize(muon))
    assert back.get_config() == muon.get_config()


def test_the_optimizer_follows_the_schedule() -> None:
    recipe = replace(
        BASE, optimizer="sgd", momentum=0.0, schedule="triangle", warmup=0.2, learning_rate=0.2
    )
    # Rates 0.1 and 0.2 of the ten steps' triangle.
    assert stepped(recipe, ("kernel",), 2) == pytest.approx([1 - 0.5 * 0.3], rel=1e-6)


def test_decay_finds_the_names_that_models_use() -> None:
    """Exclusion is by name, so a model's biases and normalisation must bear those names."""
    from cifarlab.models import create_model

    options = {"blocks": ((2,),), "block_dropout": (0.0,), "dense": (3,), "batch_norm": True}
    model = create_model("plain_cnn", num_classes=2, image_size=4, **options)
    recipe = replace(BASE, optimizer="adamw", learning_rate=0.01, weight_decay=0.1)
    optimizer = make_optimizer(recipe, 10)
    model.set_weights([np.ones(w.shape, "float32") for w in model.weights])
    optimizer.apply(
        [keras.ops.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables
    )
    for variable in model.trainable_variables:
        decayed = bool((variable.numpy() != 1).any())
        assert decayed == (len(variable.shape) > 1), variable.path


# --- losses ---

LOGITS = np.array([[2.0, 0.0], [0.0, 1.0]], "float32")
FIRST, SECOND = math.log(1 + math.exp(-2)), math.log(1 + math.exp(1))  # of the label 0


def test_cross_entropy_of_integer_labels_by_hand() -> None:
    loss = make_loss(BASE)(np.array([0, 0]), LOGITS)
    assert float(loss) == pytest.approx((FIRST + SECOND) / 2, rel=1e-6)


def test_cross_entropy_of_one_hot_labels_by_hand() -> None:
    labels = np.array([[1, 0], [1, 0]], "float32")
    loss = make_loss(replace(BASE, labels="one-hot"))(labels, LOGITS)
    assert float(loss) == pytest.approx((FIRST + SECOND) / 2, rel=1e-6)


def test_label_smoothing_by_hand() -> None:
    recipe = replace(BASE, labels="one-hot", label_smoothing=0.1)
    loss = make_loss(recipe)(np.array([[1, 0]], "float32"), LOGITS[:1])
    # 0.05 of the label goes to the other class, whose loss is 2 more.
    assert float(loss) == pytest.approx(FIRST + 0.05 * 2, rel=1e-6)


# --- callbacks ---


def test_no_callbacks_where_none_are_asked_for() -> None:
    assert make_callbacks(get_recipe("tutorial_cnn")) == []


def test_callbacks_are_keras_own_with_the_recipes_values() -> None:
    recipe = replace(
        BASE,
        plateau=Plateau(factor=0.3, patience=4, minimum=1e-5, monitor="val_accuracy"),
        early_stopping=EarlyStopping(patience=7, monitor="val_accuracy", restore_best=False),
    )
    plateau, stopping = make_callbacks(recipe)
    assert type(plateau) is keras.callbacks.ReduceLROnPlateau
    assert (plateau.monitor, plateau.factor, plateau.patience) == ("val_accuracy", 0.3, 4)
    assert (plateau.min_lr, plateau.min_delta) == (1e-5, 0.0)
    assert type(stopping) is keras.callbacks.EarlyStopping
    assert (stopping.monitor, stopping.patience) == ("val_accuracy", 7)
    assert stopping.restore_best_weights is False
    (alone,) = make_callbacks(replace(BASE, early_stopping=EarlyStopping()))
    assert alone.restore_best_weights is True
    assert alone.monitor == "val_loss"


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "muon"])
def test_the_average_of_the_weights_by_hand(optimizer: str) -> None:
    """Of 100 steps a tenth: n = 10, momentum 0.9, from the first weights on."""
    recipe = replace(BASE, optimizer=optimizer, ema=0.1, learning_rate=0.1)
    variable = keras.Variable(np.ones((2, 2), "float32"), name="kernel")
    made = make_optimizer(recipe, 100)
    average = None
    for gradient in (1.0, -2.0, 0.5):
        made.apply([keras.ops.full((2, 2), gradient)], [variable])
        now = np.array(variable)
        average = now if average is None else 0.9 * average + 0.1 * now
    assert not np.allclose(average, now)
    made.finalize_variable_values([variable])
    np.testing.assert_allclose(np.array(variable), average, rtol=1e-5)


def test_an_average_shorter_than_a_step_is_the_last_weights() -> None:
    assert make_optimizer(replace(BASE, ema=0.1), 5).ema_momentum == 0.0
    assert not make_optimizer(BASE, 5).use_ema
