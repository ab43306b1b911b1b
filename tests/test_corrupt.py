"""Corruptions: each by hand or against a reference, and what all of them promise."""

from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from cifarlab.corrupt import CORRUPTIONS, KINDS, SEVERITIES, corrupt, corruption_names
from cifarlab.corrupt.blur import disk
from cifarlab.corrupt.registry import BLOCK, register
from cifarlab.corrupt.sampling import clouds, mirrored, streak, zoom_matrix
from cifarlab.errors import CifarlabError, UnknownNameError, UsageError

NAMES = corruption_names()
# Published strengths that are no order of growing change; see their tests.
UNORDERED = {"elastic_transform", "frost", "glass_blur", "pixelate", "saturate"}
FIXED = {  # nothing in them is random
    *("gaussian_blur", "defocus_blur", "zoom_blur", "brightness"),
    *("contrast", "saturate", "pixelate", "jpeg_compression"),
}


@pytest.fixture(scope="module")
def textured() -> np.ndarray:
    """Coarse and fine structure in all colours, uint8 (12, 32, 32, 3), seldom black or white."""
    random = np.random.default_rng(0)
    coarse = random.normal(0, 40, (12, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    images = 110 + coarse + random.normal(0, 15, (12, 32, 32, 3))
    return np.clip(images, 20, 200).astype(np.uint8)


def flat(value: int, count: int = 40) -> np.ndarray:
    return np.full((count, 32, 32, 3), value, np.uint8)


def change(images: np.ndarray, name: str, severity: int) -> float:
    return float(np.abs(corrupt(images, name, severity).astype(float) - images).mean())


# --- what all of them promise ---


def test_there_is_every_family() -> None:
    assert len(NAMES) == 21
    assert [kind for kind in KINDS if corruption_names(kind)] == list(KINDS)
    kinds = [CORRUPTIONS[name].kind for name in NAMES]
    assert kinds == sorted(kinds, key=KINDS.index)
    assert all(each.summary.endswith((".", ":")) for each in CORRUPTIONS.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_pure_function_of_place_seed_and_severity(textured, name: str) -> None:
    before = textured.copy()
    once = corrupt(textured, name, 3, seed=1)
    assert (once.shape, once.dtype) == (textured.shape, np.uint8)
    np.testing.assert_array_equal(textured, before)
    np.testing.assert_array_equal(corrupt(textured, name, 3, seed=1), once)
    np.testing.assert_array_equal(corrupt(textured[:2], name, 3, seed=1), once[:2])
    assert (corrupt(textured, name, 3, seed=2) == once).all() == (name in FIXED)


def test_blocks_join_and_have_numbers_of_their_own() -> None:
    images = flat(100, BLOCK + 3)
    noisy = corrupt(images, "gaussian_noise", 1)
    np.testing.assert_array_equal(corrupt(images[: BLOCK + 1], "gaussian_noise", 1), noisy[:-2])
    assert (noisy[0] != noisy[BLOCK]).any()


def test_a_severity_more_changes_more(textured) -> None:
    for name in sorted(set(NAMES) - UNORDERED):
        changes = [change(textured, name, severity) for severity in SEVERITIES]
        growth = np.diff(changes)
        if name == "motion_blur":  # published: 3 and 4 differ in a radius that is cut off
            assert growth[2] >= 0
            growth[2] = 1
        assert (growth > 0).all(), (name, changes)


@pytest.mark.parametrize("side", [8, 48])
def test_any_size(side: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), dtype=np.uint8)
    assert not [name for name in NAMES if (corrupt(images, name, 5) == images).all()]


@pytest.mark.parametrize("severity", [0, 6])
def test_other_severities_are_refused(textured, severity: int) -> None:
    with pytest.raises(UsageError, match=f"severity is 1, 2, 3, 4 or 5. Received: {severity}"):
        corrupt(textured, "fog", severity)


def test_an_unknown_name_gives_the_nearest(textured) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'frost'"):
        corrupt(textured, "forst", 1)


def test_a_seed_out_of_range_is_refused(textured) -> None:
    with pytest.raises(UsageError, match="seed"):
        corrupt(textured, "fog", 1, seed=-1)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), "uint8"), np.zeros((1, 8, 9, 3), "uint8")],
)
def test_other_arrays_are_refused(images) -> None:
    with pytest.raises(CifarlabError, match=r"images must be uint8 \(N, S, S, 3\)"):
        corrupt(images, "fog", 1)


def test_a_name_is_registered_once_with_five_strengths() -> None:
    def fog() -> None: ...

    def new() -> None: ...

    with pytest.raises(ValueError, match="twice"):
        register("weather", 1, 2, 3, 4, 5)(fog)
    with pytest.raises(ValueError, match="strengths"):
        register("weather", 1, 2)(new)
    assert "new" not in CORRUPTIONS


# --- noise: means and deviations within five standard errors ---


@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.04), (5, 0.10)])
def test_gaussian_noise(severity: int, deviation: float) -> None:
    noise = (corrupt(flat(128), "gaussian_noise", severity).astype(float) - 128) / 255
    assert noise.std() == pytest.approx(deviation, rel=0.011)
    assert abs(noise.mean()) < 0.0015


@pytest.mark.parametrize(("severity", "photons"), [(1, 500), (5, 50)])
def test_shot_noise_has_the_variance_of_counted_light(severity: int, photons: int) -> None:
    counted = corrupt(flat(102), "shot_noise", severity) / 255  # 102 / 255 = 0.4
    assert counted.mean() == pytest.approx(0.4, abs=0.002)
    assert counted.var() == pytest.approx(0.4 / photons, rel=0.03)


def test_impulse_noise_sets_a_share_to_black_and_white() -> None:
    noisy = corrupt(flat(100), "impulse_noise", 5)
    black, white = (noisy == 0).mean(), (noisy == 255).mean()
    assert black == pytest.approx(0.035, abs=0.003)
    assert white == pytest.approx(0.035, abs=0.003)
    assert (noisy == 100).mean() == pytest.approx(1 - black - white)


def test_speckle_noise_grows_with_the_light() -> None:
    assert (corrupt(flat(0, 2), "speckle_noise", 5) == 0).all()
    dim, bright = (corrupt(flat(v), "speckle_noise", 3).std() / v for v in (60, 120))
    assert dim == pytest.approx(0.12, rel=0.02)
    assert bright == pytest.approx(0.12, rel=0.02)


# --- blur ---


def test_gaussian_blur_is_scipys(textured) -> None:
    expected = ndimage.gaussian_filter(
        textured.astype(float), sigma=(0, 1, 1, 0), mode="mirror", truncate=4
    )
    np.testing.assert_allclose(corrupt(textured, "gaussian_blur", 5), expected, atol=0.51)


def point(side: int = 32) -> np.ndarray:
    images = np.zeros((1, side, side, 3), np.uint8)
    images[0, side // 2, side // 2] = 252
    return images


def test_defocus_blur_spreads_a_point_over_the_disk() -> None:
    spread = corrupt(point(), "defocus_blur", 5)[0, :, :, 0]  # radius 1.5: 3 x 3 pixels
    assert (spread[15:18, 15:18] == 28).all()  # 252 / 9
    assert spread.sum() == 9 * 28
    cross = corrupt(point(), "defocus_blur", 4)[0, 15:18, 15:18, 0]  # radius 1: 5 pixels
    np.testing.assert_array_equal(cross, [[0, 50, 0], [50, 50, 50], [0, 50, 0]])


def test_the_disk_grows_with_the_image() -> None:
    assert disk(6.0, 0.4).sum() == pytest.approx(1)
    assert (disk(6.0, 0.4) > 1e-3).sum() > 100


def test_a_streak_falls_off_like_half_a_gaussian() -> None:
    image = np.zeros((2, 32, 32, 1), np.float32)
    image[:, 16, 16] = 1
    level, falling = streak(image, 6, 1.5, np.array([0.0, 90.0]))[..., 0]
    weights = np.exp(-(np.arange(6) ** 2) / 4.5)
    np.testing.assert_allclose(level[16, 16:10:-1], weights / weights.sum(), rtol=1e-5)
    assert level.sum() == pytest.approx(1)
    np.testing.assert_array_equal(falling, level.T)


def test_motion_blur_is_up_to_45_degrees_from_level() -> None:
    points = point().repeat(40, axis=0)
    moved = corrupt(points, "motion_blur", 5)[..., 0].astype(float)
    rows, columns = moved.sum(axis=2) > 0, moved.sum(axis=1) > 0
    assert (rows.sum(axis=1) <= columns.sum(axis=1)).all()
    assert len({tuple(row) for row in rows}) > 3  # many directions
    np.testing.assert_allclose(moved.sum(axis=(1, 2)), 252, atol=5)


def test_glass_blur_takes_colours_from_above_and_left(textured) -> None:
    glass = corrupt(textured[:1], "glass_blur", 1)[0]
    padded = np.pad(textured[0], ((1, 0), (1, 0), (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 2), axis=(0, 1))
    near = windows.transpose(0, 1, 3, 4, 2).reshape(32, 32, 4, 3)
    same = (near == glass[:, :, None]).all(axis=-1)
    assert same.any(axis=-1).all()
    np.testing.assert_allclose(same.mean(axis=(0, 1)), 0.25, atol=0.05)  # each as often


def test_glass_blur_of_two_rounds_changes_more(textured) -> None:
    changes = [change(textured, "glass_blur", severity) for severity in SEVERITIES]
    assert changes[3] > changes[1]  # the same blur
    assert changes[4] > changes[2]


def test_zooming_by_hand() -> None:
    expected = [  # the places 1, 1.5, 2, 2.5, 3
        [0, 1, 0, 0, 0],
        [0, 0.5, 0.5, 0, 0],
        [0, 0, 1, 0, 0],
        [0, 0, 0.5, 0.5, 0],
        [0, 0, 0, 1, 0],
    ]
    np.testing.assert_allclose(zoom_matrix(5, 2.0), expected, atol=1e-12)


def test_zoom_blur_keeps_the_centre_and_smears_the_rim() -> None:
    images = np.zeros((1, 33, 33, 3), np.uint8)
    images[:, 16, 16] = images[:, 16, 1] = 200
    zoomed = corrupt(images, "zoom_blur", 1)[0, 16, :, 0]
    # The centre shrinks to a wider spot as every zoom keeps it in place; the rim moves away.
    assert zoomed[16] == 200
    assert zoomed[1] < 140
    assert zoomed[0] > 40


# --- weather ---


def test_fog_keeps_the_brightest_value() -> None:
    white = corrupt(flat(255, 2), "fog", 5)
    assert (white.min(axis=(1, 2, 3)) == 102).all()  # 255 / (1 + 1.5)
    assert (white.max(axis=(1, 2, 3)) == 255).all()
    assert (corrupt(flat(0, 2), "fog", 5) == 0).all()


def test_clouds_run_from_0_to_1_and_are_smoother_the_faster_they_decay() -> None:
    random = np.random.default_rng(0)
    rough, smooth = (clouds(random, 8, 32, decay) for decay in (1.1, 3.0))
    for texture in (rough, smooth):
        assert (texture.min(axis=(1, 2)) == 0).all()
        assert (texture.max(axis=(1, 2)) == 1).all()
    steps = [np.abs(np.diff(texture, axis=1)).mean() for texture in (rough, smooth)]
    assert steps[0] > 2 * steps[1]


def test_frost_dims_the_image_and_adds_ice(textured) -> None:
    ice = corrupt(np.zeros_like(textured), "frost", 5)
    assert ice.min() >= np.floor(0.25 * 0.45 * 0.86 * 255)
    assert ice.max() <= np.ceil(0.45 * 255)
    dimmed = corrupt(textured // 2, "frost", 5).astype(float) - ice  # too dark to be cut off
    np.testing.assert_allclose(dimmed, 0.75 * (textured // 2), atol=1.01)


def test_frost_hides_more_at_each_severity(textured) -> None:
    def likeness(severity: int) -> float:
        frozen = corrupt(textured // 2, "frost", severity)
        return float(np.corrcoef(frozen.ravel(), textured.ravel())[0, 1])

    assert (np.diff([likeness(severity) for severity in SEVERITIES]) < 0).all()


def test_snow_falls_on_a_paler_image() -> None:
    snowed = corrupt(flat(0, 8), "snow", 5)
    assert snowed.min() >= 25  # a fifth of the palest grey, 0.5
    assert snowed.std() > 10
    np.testing.assert_array_equal(snowed, snowed[:, ::-1, ::-1])  # flakes from both sides
    assert (snowed == snowed[..., :1]).all()  # and without colour


def hsv(image: np.ndarray) -> np.ndarray:
    return np.array([colorsys.rgb_to_hsv(*pixel) for pixel in image.reshape(-1, 3) / 255])


def rgb(pixels: np.ndarray) -> np.ndarray:
    return 255 * np.array([colorsys.hsv_to_rgb(*pixel) for pixel in pixels]).reshape(32, 32, 3)


def test_brightness_raises_the_value_of_hsv(textured) -> None:
    pixels = hsv(textured[0])
    pixels[:, 2] = np.minimum(pixels[:, 2] + 0.3, 1)
    brighter = corrupt(textured, "brightness", 5)[0]
    np.testing.assert_allclose(brighter, rgb(pixels), atol=0.51)
    assert (corrupt(flat(0, 1), "brightness", 1) == 13).all()  # 0.05 of 255


# --- digital ---


def test_contrast_by_hand() -> None:
    image = flat(0, 1)
    image[:, :16] = 200
    image[..., 2] = 10
    faded = corrupt(image, "contrast", 2)[0]
    assert (faded[:16, :, :2] == 150).all()
    assert (faded[16:, :, :2] == 50).all()
    assert (faded[..., 2] == 10).all()


@pytest.mark.parametrize(("severity", "factor", "more"), [(1, 0.3, 0), (3, 1.5, 0), (5, 2.5, 0.2)])
def test_saturate_is_that_of_hsv(textured, severity: int, factor: float, more: float) -> None:
    pixels = hsv(textured[0])
    pixels[:, 1] = np.clip(pixels[:, 1] * factor + more, 0, 1)
    found = corrupt(textured, "saturate", severity)[0]
    coloured = textured[0].max(axis=-1) > textured[0].min(axis=-1)
    np.testing.assert_allclose(found[coloured], rgb(pixels)[coloured], atol=0.51)
    assert (corrupt(flat(90, 1), "saturate", severity) == 90).all()  # grey has no hue


def test_saturate_fades_more_then_glows_more(textured) -> None:
    changes = [change(textured, "saturate", severity) for severity in SEVERITIES]
    assert changes[0] < changes[1]
    assert changes[2] < changes[3] < changes[4]


def test_elastic_transform_moves_each_pixel_a_little() -> None:
    ramp = np.broadcast_to(np.arange(32, dtype=np.uint8)[:, None] * 6, (20, 32, 32))
    ramp = np.stack([ramp, ramp.swapaxes(1, 2), ramp], axis=-1)  # rows, columns, rows
    moved = corrupt(ramp, "elastic_transform", 1).astype(float)
    np.testing.assert_array_equal(moved[..., 0], moved[..., 2])
    # Between the three points no pixel moves more than they do: 0.08 of 32 pixels, 6 each.
    moves = (moved - ramp)[:, 8:14, 18:24]
    assert 3 < np.abs(moves).max() <= 6 * 2.56 + 0.51
    # Without the small moves it is a linear map, which has no second differences.
    assert np.abs(np.diff(moved[:, 6:26, 6:26], n=2, axis=1)).max() <= 2  # rounding alone
    rubber = corrupt(ramp, "elastic_transform", 5).astype(float)
    assert np.abs(np.diff(rubber[:, 6:26, 6:26], n=2, axis=1)).max() > 2
    assert (corrupt(flat(77, 2), "elastic_transform", 5) == 77).all()


def test_pixelate_is_pillows_box_filter(textured) -> None:
    small = Image.fromarray(textured[0]).resize((20, 20), Image.Resampling.BOX)  # 0.65 of 32
    expected = np.asarray(small.resize((32, 32), Image.Resampling.BOX), float)
    np.testing.assert_allclose(corrupt(textured, "pixelate", 5)[0], expected, atol=1.01)


def test_jpeg_compression_is_pillows(textured) -> None:
    stored = io.BytesIO()
    Image.fromarray(textured[3]).save(stored, "JPEG", quality=40)
    expected = np.asarray(Image.open(stored))
    np.testing.assert_array_equal(corrupt(textured, "jpeg_compression", 5)[3], expected)


# --- geometry ---


def test_mirrored_is_numpys_reflect() -> None:
    for side in (2, 5):
        expected = np.pad(np.arange(side), 7, mode="reflect")
        np.testing.assert_array_equal(mirrored(np.arange(-7, side + 7), side), expected)


def test_shift_moves_by_whole_pixels_in_four_directions(textured) -> None:
    padded = np.pad(textured, ((0, 0), (4, 4), (4, 4), (0, 0)), mode="reflect")
    starts = [(0, 4), (8, 4), (4, 0), (4, 8)]
    moved = corrupt(textured, "shift", 4)
    taken = set()
    for image, around in zip(moved, padded, strict=True):
        same = [(image == around[r : r + 32, c : c + 32]).all() for r, c in starts]
        assert sum(same) == 1
        taken.add(same.index(True))
    assert len(taken) > 2


def ramps(count: int = 16) -> np.ndarray:
    """Pixel (row, column) is (4 row, 4 column, 0)."""
    rows, columns = np.mgrid[:32, :32] * 4
    image = np.stack([rows, columns, 0 * rows], axis=-1).astype(np.uint8)
    return np.repeat(image[None], count, axis=0)


def test_scale_takes_places_nearer_to_the_centre_or_farther() -> None:
    scaled = corrupt(ramps(), "scale", 5)[:, 10:22, 10:22]
    offset = np.arange(10, 22) - 15.5
    kinds = set()
    for image in scaled:
        factor = 1.5 if image[-1, 0, 0] > 4 * 21 else 1 / 1.5
        expected = 4 * (15.5 + offset * factor)
        np.testing.assert_allclose(image[:, 0, 0], expected, atol=0.51)
        np.testing.assert_allclose(image[0, :, 1], expected, atol=0.51)
        kinds.add(factor)
    assert len(kinds) == 2


def test_rotate_turns_to_either_side() -> None:
    turned = corrupt(ramps(), "rotate", 5)[:, 11:21, 11:21].astype(float)
    signs = np.where(turned[:, 0, -1, 0] > turned[:, 0, 0, 0], -1, 1)
    assert set(signs) == {-1, 1}
    down, right = np.mgrid[11:21, 11:21] - 15.5
    for image, sign in zip(turned, signs, strict=True):
        sine = 0.5 * sign
        expected = 4 * (15.5 + np.sqrt(0.75) * down - sine * right)
        np.testing.assert_allclose(image[..., 0], expected, atol=0.51)
        expected = 4 * (15.5 + sine * down + np.sqrt(0.75) * right)
        np.testing.assert_allclose(image[..., 1], expected, atol=0.51)
