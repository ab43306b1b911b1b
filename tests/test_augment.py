"""Augmentation, against moves worked out by hand and over many draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import ops, random

from cifarlab import augment
from cifarlab.augment import (
    Augment,
    cutout,
    random_affine,
    random_blur,
    random_flip,
    random_light,
    random_noise,
    random_shift,
    resize,
)
from cifarlab.recipes import Augmentation

MANY = 400


def ramp(side: int, count: int = 1) -> np.ndarray:
    """Pixels 10 * row + column, the same in three channels: uint8 (count, side, side, 3)."""
    pixels = 10 * np.arange(side)[:, None] + np.arange(side)
    return np.tile(pixels[None, :, :, None], (count, 1, 1, 3)).astype("uint8")


def run(function: Callable, images: np.ndarray, *arguments: Any, seed: int = 0, **options: Any):
    images = ops.convert_to_tensor(images)
    return ops.convert_to_numpy(
        function(images, *arguments, seed=random.SeedGenerator(seed), **options)
    )


@pytest.fixture
def draw(monkeypatch):
    """Make the random functions give these numbers, a row for each thing drawn."""

    def fix(*rows: Any) -> None:
        def drawn(shape: tuple, *bounds: Any, seed: Any, **options: Any) -> Any:
            dtype = options.get("dtype", "float32")
            return ops.reshape(ops.convert_to_tensor(np.array(rows).astype(dtype)), shape)

        monkeypatch.setattr(augment.random, "uniform", drawn)
        monkeypatch.setattr(augment.random, "randint", drawn)

    return fix


# --- flip ---


def test_flip_mirrors_about_half_and_does_nothing_else() -> None:
    images = ramp(5, MANY)
    flipped = run(random_flip, images)
    assert flipped.dtype == np.uint8
    mirrored = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    kept = (flipped == images).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    # Five standard deviations of a fair coin: sqrt(400) / 2 = 10.
    assert abs(mirrored.sum() - MANY / 2) <= 50


# --- shift ---


def test_shift_by_hand(draw) -> None:
    draw([-1], [1])  # the corner of the crop: a row above the image, a column to the right
    shifted = run(random_shift, ramp(4), 1)
    rows, columns = [1, 0, 1, 2], [1, 2, 3, 2]  # reflected: the edge itself is not repeated
    np.testing.assert_array_equal(shifted, ramp(4)[:, rows][:, :, columns])
    assert shifted.dtype == np.uint8


def test_shift_makes_every_move_in_range_and_no_other() -> None:
    images = ramp(4, MANY)
    shifted = run(random_shift, images, 1)
    moved = {-1: [1, 0, 1, 2], 0: [0, 1, 2, 3], 1: [1, 2, 3, 2]}
    moves = {
        (dy, dx): images[0][rows][:, columns]
        for dy, rows in moved.items()
        for dx, columns in moved.items()
    }
    seen = [{key for key, move in moves.items() if (move == image).all()} for image in shifted]
    assert all(len(keys) == 1 for keys in seen)
    # That one of nine is missing after 400 draws has the probability 9 * (8/9)**400 = 3e-20.
    assert set().union(*seen) == set(moves)


def test_a_crop_comes_from_anywhere_inside_and_beyond_only_as_far_as_it_may() -> None:
    images = ramp(4, MANY)
    crops = run(random_shift, images, 0, crop=3)
    assert crops.shape == (MANY, 3, 3, 3)
    corners = {tuple(crop[0, 0, :1]) for crop in crops}  # 10 * row + column of the corner
    assert corners == {(0,), (1,), (10,), (11,)}
    assert all((crop == ramp(4)[0][:3, :3] + crop[0, 0, 0]).all() for crop in crops)
    beyond = run(random_shift, images, 1, crop=3)
    # Sixteen corners, from one pixel outside (a reflection: 11) to one pixel outside.
    first = {tuple(map(int, crop[:, :, 0].ravel())) for crop in beyond}
    assert len(first) == 16


def test_augment_crops_then_resizes() -> None:
    layer = Augment(Augmentation(crop=6))
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    assert np.asarray(layer(images)).shape == (5, 6, 6, 3)
    assert np.asarray(layer(images, size=4)).shape == (5, 4, 4, 3)


# --- affine ---


def test_affine_of_no_strength_is_the_identity() -> None:
    images = np.random.default_rng(0).integers(0, 256, (8, 9, 9, 3), dtype=np.uint8)
    same = run(random_affine, images, degrees=0.0, zoom=0.0, shift=0.0)
    assert same.dtype == np.float32
    np.testing.assert_allclose(same, images, atol=1e-4)


@pytest.mark.parametrize("side", [4, 5])
@pytest.mark.parametrize(("sign", "turns"), [(1, 1), (-1, 3)])
def test_a_quarter_turn_by_hand(draw, side: int, sign: int, turns: int) -> None:
    images = ramp(side)
    draw([sign], [0], [0], [0])
    turned = run(random_affine, images, degrees=90.0, zoom=0.0, shift=0.0)
    # A float32 cosine of 90 degrees is 4e-8 from 0, times coordinates of 4, times steps of 50.
    np.testing.assert_allclose(turned[0], np.rot90(images[0], turns), atol=1e-3)


def test_zoom_by_hand(draw) -> None:
    draw([0], [1], [0], [0])  # twice as large: pixel x comes from x / 2 + 0.75
    zoomed = run(random_affine, ramp(4), degrees=0.0, zoom=1.0, shift=0.0)
    at = np.arange(4) / 2 + 0.75
    expected = 10 * at[:, None] + at  # the ramp is linear, and so is the interpolation
    np.testing.assert_allclose(zoomed[0, :, :, 0], expected, atol=1e-4)


def test_affine_shift_by_hand(draw) -> None:
    draw([0], [0], [1], [-1])  # a quarter of four pixels: column from the right, row from above
    shifted = run(random_affine, ramp(4), degrees=0.0, zoom=0.0, shift=0.25)
    expected = ramp(4)[:, [0, 0, 1, 2]][:, :, [1, 2, 3, 3]]
    np.testing.assert_allclose(shifted, expected, atol=1e-4)


def test_affine_stays_in_range() -> None:
    images = np.random.default_rng(0).integers(0, 2, (64, 8, 8, 3), dtype=np.uint8) * 255
    turned = run(random_affine, images, degrees=30.0, zoom=0.3, shift=0.2)
    assert turned.shape == images.shape
    assert turned.min() >= 0
    assert turned.max() <= 255 + 1e-3  # rounding of the four weights of a pixel
    assert np.isfinite(turned).all()


# --- cutout ---


@pytest.mark.parametrize(
    ("side", "centre", "rows", "columns"),
    [
        (3, (4, 5), range(3, 6), range(4, 7)),
        (4, (4, 5), range(2, 6), range(3, 7)),
        (3, (0, 8), range(2), range(7, 9)),  # at the edge less of it is seen
    ],
)
def test_cutout_by_hand(draw, side: int, centre: tuple, rows: range, columns: range) -> None:
    draw(*centre)
    cut = run(cutout, np.full((1, 9, 9, 3), 250, "uint8"), side)
    expected = np.full((1, 9, 9, 3), 250, "uint8")
    expected[:, rows.start : rows.stop, columns.start : columns.stop] = 128
    np.testing.assert_array_equal(cut, expected)
    assert cut.dtype == np.uint8


def test_cutout_is_one_square_centred_anywhere() -> None:
    cut = run(cutout, np.full((MANY, 9, 9, 3), 250, "uint8"), 3)
    grey = (cut == 128).all(axis=3)
    assert ((cut == 250) | (cut == 128)).all()
    heights, widths = grey.any(axis=2).sum(axis=1), grey.any(axis=1).sum(axis=1)
    np.testing.assert_array_equal(grey.sum(axis=(1, 2)), heights * widths)  # a full rectangle
    assert set(heights) == set(widths) == {2, 3}
    assert grey.any(axis=0).all()  # every pixel is covered sometimes


# --- light ---


def test_light_by_hand(draw) -> None:
    draw([0.5, -1.0], [1.0, 0.0])  # brightness, then contrast, an image each
    images = np.full((2, 1, 1, 3), 100, "uint8")
    images[:, :, :, 0] = 250
    changed = run(random_light, images, brightness=0.1, contrast=0.2)
    # (250 + 12.75 - 127.5) * 1.2 + 127.5 = 289.8 is above 255; (100 + 12.75 - 127.5) * 1.2 + 127.5
    np.testing.assert_allclose(changed[0, 0, 0], [255.0, 109.8, 109.8], rtol=1e-6)
    np.testing.assert_allclose(changed[1, 0, 0], [224.5, 74.5, 74.5], rtol=1e-6)


def test_light_differs_by_image_and_is_the_same_all_over_one() -> None:
    images = np.full((MANY, 2, 2, 3), 128, "uint8")
    changed = run(random_light, images, brightness=0.1, contrast=0.0)
    np.testing.assert_array_equal(changed, np.broadcast_to(changed[:, :1, :1, :1], images.shape))
    assert abs(changed - 128).max() <= 25.5
    assert changed.min() < 108 < 148 < changed.max()  # both ends are reached


def test_blur_spreads_a_point_by_the_two_drawn_deviations(draw: Callable) -> None:
    draw([1.0, -1.0], [0.5, 0.0])  # of the columns, then of the rows, an image each
    images = np.zeros((2, 15, 15, 3), "uint8")
    images[:, 7, 7] = 250
    blurred = run(random_blur, images, 1.2)
    np.testing.assert_allclose(blurred[1], images[1])  # a deviation of 0 changes nothing
    places = np.arange(15) - 7
    down, along = (np.exp(-(places**2) / (2 * sigma**2)) for sigma in (1.2, 0.6))
    # A row of the kernel is normalised where it stands; about the middle they are all whole.
    expected = 250 * np.outer(down / down.sum(), along / along.sum())
    np.testing.assert_allclose(blurred[0, 5:10, 5:10, 0], expected[5:10, 5:10], rtol=2e-3)


def test_blur_keeps_a_flat_image_flat_up_to_its_border() -> None:
    images = np.full((MANY, 6, 6, 3), 200, "uint8")
    np.testing.assert_allclose(run(random_blur, images, 3.0), images, rtol=1e-5)


def test_noise_has_deviations_up_to_the_one_asked_for_and_spares_half() -> None:
    images = np.full((MANY, 16, 16, 3), 128, "uint8")
    noise = run(random_noise, images, 0.1).astype("float64") - 128
    deviations = noise.std(axis=(1, 2, 3))
    assert 0.4 < (deviations == 0).mean() < 0.6
    assert 24 < deviations.max() < 28  # 25.5, and the chance of 768 draws
    assert 11 < deviations[deviations > 0].mean() < 14.5  # uniform from 0


def test_noise_stays_within_the_range_of_pixels() -> None:
    noisy = run(random_noise, np.full((MANY, 4, 4, 3), 250, "uint8"), 0.5)
    assert noisy.max() == 255
    assert noisy.min() >= 0


# --- the layer ---


EVERY = [
    Augmentation(flip=True),
    Augmentation(shift=0.25),
    Augmentation(rotation=20.0),
    Augmentation(zoom=0.3),
    Augmentation(cutout=3),
    Augmentation(brightness=0.1),
    Augmentation(contrast=0.2),
    Augmentation(blur=1.5),
    Augmentation(noise=0.2),
    Augmentation(flip=True, shift=0.1, rotation=10.0, zoom=0.1, cutout=4),
]


def layer_of(augmentation: Augmentation, state: tuple[int, int] = (7, 0)) -> Augment:
    layer = Augment(augmentation)
    layer.seed_generator.state.assign(np.array(state))
    return layer


@pytest.mark.parametrize("augmentation", EVERY, ids=str)
def test_each_image_has_its_own_draw_and_the_state_decides_it(augmentation) -> None:
    images = np.repeat(
        np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8), 16, axis=0
    )
    layer = layer_of(augmentation)
    first, second = np.asarray(layer(images)), np.asarray(layer(images))
    assert first.dtype == np.float32
    assert first.shape == images.shape
    assert len(np.unique(first.reshape(16, -1), axis=0)) > 1
    assert (first != second).any()
    np.testing.assert_array_equal(layer_of(augmentation)(images), first)
    assert (np.asarray(layer_of(augmentation, (8, 0))(images)) != first).any()


def test_nothing_asked_for_is_nothing_done() -> None:
    images = ramp(5, 3)
    output = np.asarray(Augment(Augmentation())(images))
    np.testing.assert_array_equal(output, images)
    assert output.dtype == np.float32


def test_a_shift_of_less_than_a_pixel_is_one_pixel() -> None:
    output = np.asarray(layer_of(Augmentation(shift=0.01))(ramp(8, 64)))
    assert (output != ramp(8, 64)).any()


def test_shift_with_rotation_is_one_resampling(draw) -> None:
    draw([0], [0], [1], [0])
    output = np.asarray(Augment(Augmentation(rotation=5.0, shift=0.25))(ramp(4)))
    np.testing.assert_allclose(output, ramp(4)[:, :, [1, 2, 3, 3]], atol=1e-4)


# --- size ---


@pytest.mark.parametrize("size", [5, 8, 11, 16, 20])
def test_resize_is_keras_own_with_antialiasing(size: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype("float32")
    expected = ops.image.resize(images, (size, size), antialias=True)
    np.testing.assert_allclose(resize(images, size), expected, atol=1e-3)


def test_an_image_of_that_size_already_is_left_alone() -> None:
    images = ramp(6)
    assert (np.asarray(resize(images, 6)) == images).all()


def test_augment_mirrors_the_images_that_it_is_told_to_and_resizes_last() -> None:
    layer = Augment(Augmentation(flip=True, alternate=True))
    images = ramp(8, 3)
    mirrored = np.array([True, False, True])
    out = np.asarray(layer(images, mirrored))
    assert out.dtype == np.float32
    for image, flip, result in zip(images, mirrored, out, strict=True):
        assert (result == (image[:, ::-1] if flip else image)).all()
    small = np.asarray(layer(images, mirrored, size=4))
    np.testing.assert_allclose(small, resize(out, 4))
