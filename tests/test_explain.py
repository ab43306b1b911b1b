"""Explanations: maps that are known beforehand, and what they add up to."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import layers

from cifarlab.engine import feature_gradients, forward
from cifarlab.errors import CifarlabError, UsageError
from cifarlab.explain import (
    class_activation_map,
    explain,
    feature_layer,
    keep_maps,
    occlusion_map,
    stretch,
)
from cifarlab.models import create_model, list_models
from cifarlab.run import Run

RED, BLUE = 0, 1


def toy(pooling: layers.Layer, head: np.ndarray) -> keras.Model:
    """Two feature maps, how red and how blue each pixel is; pooled; classes by `head`."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(2, 1, use_bias=False, activation="relu", name="features")(inputs)
    outputs = layers.Dense(head.shape[1], use_bias=False, name="head")(pooling(x))
    model = keras.Model(inputs, outputs)
    model.get_layer("features").kernel.assign(np.array([[[[1, 0], [0, 0], [0, 1]]]], "float32"))
    model.get_layer("head").kernel.assign(head)
    return model


@pytest.fixture
def images() -> np.ndarray:
    """A red square at the top right, a blue stripe at the bottom; and an image all black."""
    images = np.zeros((2, 8, 8, 3), np.uint8)
    images[0, :4, 4:, 0] = 200
    images[0, 6:, :, 2] = 100
    return images


EACH = np.eye(2, dtype="float32")


# --- class-activation maps ---


def test_average_pooling_shows_the_whole_of_what_is_seen(images) -> None:
    model = toy(layers.GlobalAveragePooling2D(), EACH)
    red, blue = (class_activation_map(model, images, each) for each in (RED, BLUE))
    assert (red.shape, red.dtype) == ((2, 8, 8), np.float32)
    np.testing.assert_array_equal(red[0], images[0, ..., 0] / np.float32(200))
    np.testing.assert_array_equal(blue[0], images[0, ..., 2] / np.float32(100))
    assert not red[1].any()  # black: nothing speaks for any class, and nothing is divided by zero


def test_each_image_has_its_class(images) -> None:
    model = toy(layers.GlobalAveragePooling2D(), EACH)
    both = class_activation_map(model, images[[0, 0]], [RED, BLUE])
    np.testing.assert_array_equal(both[0], images[0, ..., 0] / np.float32(200))
    np.testing.assert_array_equal(both[1], images[0, ..., 2] / np.float32(100))
    own = class_activation_map(model, images[:1])  # 16 red pixels of 200, 16 blue ones of 100
    np.testing.assert_array_equal(own, both[:1])


def test_a_maximum_shows_the_place_that_won(images) -> None:
    images[0, 1, 5, 0] = 250
    (found,) = class_activation_map(toy(layers.GlobalMaxPooling2D(), EACH), images[:1], RED)
    assert found[1, 5] == 1
    assert found.sum() == 1


def test_what_speaks_against_a_class_is_cut_off(images) -> None:
    against = np.array([[-1, 1], [1, -1]], "float32")
    model = toy(layers.GlobalAveragePooling2D(), against)
    (found,) = class_activation_map(model, images[:1], 0)  # red against, blue for
    np.testing.assert_array_equal(found, images[0, ..., 2] / np.float32(100))


def test_flattened_features_count_by_their_place(images) -> None:
    head = np.zeros((8, 8, 2, 2), "float32")
    head[0, 4, 0, RED] = 1
    head[3, 7, 0, RED] = 3
    (found,) = class_activation_map(toy(layers.Flatten(), head.reshape(-1, 2)), images[:1], RED)
    assert found[3, 7] == 1
    assert found[0, 4] == pytest.approx(1 / 3)
    assert np.count_nonzero(found) == 2


@pytest.mark.parametrize(("name", "layer"), [("resnet20", None), ("airbench_cnn", "block3_2_silu")])
def test_features_times_gradients_add_up_to_the_logit(name: str, layer: str | None) -> None:
    keras.utils.set_random_seed(0)
    model = create_model(name, num_classes=10)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    classes = np.array([0, 3, 9, 3, 5])
    parts = feature_gradients(model, layer or feature_layer(model), images, classes)
    logits = forward(model)(images)[range(5), classes]
    highest = np.abs(logits).max()
    assert highest > 0
    total = (parts[0] * parts[1]).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(total, logits, atol=1e-3 * highest)


@pytest.mark.parametrize("name", list_models())
def test_every_model_has_maps_fine_enough_to_tell_where(name: str) -> None:
    model = create_model(name, num_classes=3)
    shape = model.get_layer(feature_layer(model)).output.shape
    coarsest = 32 if name == "convmixer" else 16  # a ConvMixer never makes its maps smaller
    assert 4 <= shape[1] == shape[2] <= coarsest


def test_a_run_keeps_the_maps_of_its_worst_mistakes(images, tmp_path, monkeypatch) -> None:
    model = toy(layers.GlobalAveragePooling2D(), EACH)
    monkeypatch.setattr(Run, "load_model", lambda run: model)
    run = Run.create(tmp_path / "run", recipe={"name": "a"}, data={}, environment={}, seed=0)
    assert keep_maps(run, "val") == 0  # not evaluated
    logits = np.array([[0.0, 1.0], [1.0, 0.0]], np.float32)  # taken for blue, taken for red
    shown = {"shown_index": np.array([1, 0]), "shown_images": images[::-1]}
    run.write_predictions(
        "val",
        logits=logits,
        labels=np.array([RED, RED]),
        shown_kind=np.array(["random", "worst"]),
        **shown,
    )
    assert keep_maps(run, "val") == 1
    kept = run.predictions("val")
    np.testing.assert_array_equal(kept["logits"], logits)
    assert kept["map_place"].tolist() == [1]
    for found, label in zip(kept["maps"][0], (BLUE, RED), strict=True):
        expected = class_activation_map(model, images[:1], label)[0]
        np.testing.assert_allclose(found / 255, expected, atol=1 / 255)
    flat = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
    monkeypatch.setattr(Run, "load_model", lambda run: flat)
    assert keep_maps(run, "val") == 0  # no maps to look at, and no error


def test_without_feature_maps_it_says_what_works_instead() -> None:
    dense = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(CifarlabError, match=r"no feature maps.*occlusion_map"):
        class_activation_map(dense, np.zeros((1, 8, 8, 3), np.uint8))


@pytest.mark.parametrize("wrong", [-1, 2])
def test_a_class_out_of_range_is_refused(images, wrong: int) -> None:
    with pytest.raises(UsageError, match="a class is 0 to 1"):
        class_activation_map(toy(layers.GlobalAveragePooling2D(), EACH), images, wrong)
    with pytest.raises(UsageError, match="a class is 0 to 1"):
        occlusion_map(redness, images[0], wrong)


def test_stretching_keeps_a_peak_where_it_was() -> None:
    peak = np.zeros((1, 3, 3), np.float32)
    peak[0, 0, 2] = 1
    stretched = stretch(peak, 12)[0]
    assert np.unravel_index(stretched.argmax(), (12, 12))[0] < 4
    assert (stretched[:2, 10:] == 1).all()  # beyond the outer cells' centres it stays
    assert stretched[6:].max() == 0


# --- occlusion ---


def redness(images: np.ndarray) -> np.ndarray:
    """Class 0 grows with the red of the top right quarter, the only thing looked at."""
    red = images[:, :4, 4:, 0].mean(axis=(1, 2)) / 50
    return np.stack([red, np.ones_like(red)], axis=1)


def test_only_what_the_model_looks_at_matters(images) -> None:
    found = occlusion_map(redness, images[0], RED, patch=4, stride=4)
    # Squares of 4 do not overlap: one of them covers the quarter, with the mean colour, 50.
    before, after = (1 / (1 + np.exp(1 - red / 50)) for red in (200, 50))
    np.testing.assert_allclose(found[:4, 4:], before - after, rtol=1e-5)
    found[:4, 4:] = 0
    assert not found.any()


def test_a_pixel_is_the_mean_over_the_squares_that_cover_it() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 0] = 160  # the mean is 10

    def corner(images: np.ndarray) -> np.ndarray:
        value = np.log(images[:, 0, 0, 0] / 10.0)  # 16 to 1, so a probability of 16/17 or 1/2
        return np.stack([value, np.zeros_like(value)], axis=1)

    found = occlusion_map(corner, image, 0, patch=2, stride=1)
    lost = 16 / 17 - 1 / 2
    # Squares start at -1 to 3: four cover each pixel but those of the last row and column.
    expected = np.zeros((4, 4))
    expected[:2, :2] = [[4, 2], [2, 1]]
    np.testing.assert_allclose(found, expected / 4 * lost, atol=1e-6)


def test_what_speaks_against_is_negative(images) -> None:
    assert occlusion_map(redness, images[0], BLUE, patch=4, stride=4).min() < -0.2


def test_every_pixel_is_covered_by_default() -> None:
    asked = []

    def call(images: np.ndarray) -> np.ndarray:
        asked.append(len(images))
        return np.zeros((len(images), 2))

    found = occlusion_map(call, np.full((32, 32, 3), 9, np.uint8), 0)
    assert np.isfinite(found).all()
    assert sum(asked) >= 1 + 19 * 19  # squares of 8, 2 apart, from -6 to 30


@pytest.mark.parametrize(("patch", "stride"), [(0, 1), (9, 1), (2, 3), (2, 0)])
def test_a_square_must_fit(images, patch: int, stride: int) -> None:
    with pytest.raises(UsageError, match="1 <= stride <= patch <= 8"):
        occlusion_map(redness, images[0], 0, patch, stride)


def test_explain_gives_both_or_only_what_there_is(images) -> None:
    model = toy(layers.GlobalAveragePooling2D(), EACH)
    both = explain(images[0], forward(model), model, RED)
    np.testing.assert_array_equal(both.activation, images[0, ..., 0] / np.float32(200))
    alone = explain(images[0], redness, None, RED)
    assert alone.activation is None
    np.testing.assert_array_equal(alone.occlusion, occlusion_map(redness, images[0], RED))
    assert alone.occlusion[2, 6] > 0.03
