"""What a model is shown of a picture, and that the words say it."""

from __future__ import annotations

import numpy as np
import pytest

from cifarlab.data.decode import FITS, fit_image
from cifarlab.data.views import RULES, describe_views, fit_views, photograph_rule
from cifarlab.errors import UnknownNameError


@pytest.fixture
def photograph() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (100, 150, 3), np.uint8)


@pytest.mark.parametrize("fit", FITS)
def test_one_fit_is_one_view(photograph, fit: str) -> None:
    views = fit_views(photograph, 32, fit)
    np.testing.assert_array_equal(views, fit_image(photograph, 32, fit)[None])


def test_a_photograph_is_cropped_and_stretched_far_and_near(photograph) -> None:
    middle = photograph[10:90, 15:135]
    expected = [fit_image(p, 32, fit) for p in (photograph, middle) for fit in ("crop", "stretch")]
    np.testing.assert_array_equal(fit_views(photograph, 32, "photo"), expected)


def test_views_that_would_be_alike_are_left_out(photograph) -> None:
    square = photograph[:, :100]
    whole, near = fit_views(square, 32, "photo")
    np.testing.assert_array_equal(whole, fit_image(square, 32))
    np.testing.assert_array_equal(near, fit_image(square[10:90, 10:90], 32))
    small = photograph[:40, :50]
    np.testing.assert_array_equal(
        fit_views(small, 32, "photo"), [fit_image(small, 32, f) for f in ("crop", "stretch")]
    )
    own = photograph[:32, :32]
    np.testing.assert_array_equal(fit_views(own, 32, "photo"), own[None])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("shape", [(48, 64, 3), (480, 640, 3), (32, 32, 3), (1, 7, 3), (90, 90, 3)])
def test_each_view_is_described(shape, rule: str) -> None:
    words = describe_views(shape, 32, rule)
    assert len(words) == len(fit_views(np.zeros(shape, np.uint8), 32, rule)) == len(set(words))


def test_the_words() -> None:
    assert describe_views((480, 640, 3), 32, "photo") == [
        "the centre square of 640 x 480, scaled to 32 x 32, antialiased",
        "640 x 480, stretched to a square, scaled to 32 x 32, antialiased",
        "the centre square of the middle 80% of 640 x 480, scaled to 32 x 32, antialiased",
        "the middle 80% of 640 x 480, stretched to a square, scaled to 32 x 32, antialiased",
    ]
    assert describe_views((8, 8), 32, "crop") == ["8 x 8, scaled to 32 x 32, enlarged"]
    assert describe_views((32, 32), 32, "photo") == ["32 x 32, as it is"]


def test_only_data_that_were_square_leave_the_rule_open() -> None:
    assert photograph_rule({"name": "cifar10", "fit": "crop"}) == "photo"
    assert photograph_rule({"name": "cifar10", "fit": "stretch"}) == "stretch"  # somebody chose it
    assert photograph_rule({"name": "flowers", "fit": "crop"}) == "crop"


def test_an_unknown_rule_is_refused(photograph) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'photo'"):
        fit_views(photograph, 32, "foto")
