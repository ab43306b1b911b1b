"""Pictures of none of the classes: made as they are documented, or read as `predict` reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarlab.data.views import fit_views
from cifarlab.errors import DataError, ImageError, UsageError
from cifarlab.unknowns.pictures import LIMIT, jigsaw, open_set, textures

NOTHING = np.zeros((1, 8, 8, 3), np.uint8)


def pieces(image: np.ndarray) -> list[bytes]:
    """The sixteen pieces of an image of 8 x 8 pixels."""
    return [image[y : y + 2, x : x + 2].tobytes() for y in range(0, 8, 2) for x in range(0, 8, 2)]


def test_a_jigsaw_has_the_same_pieces_in_another_order() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    for image, other in zip(images, jigsaw(images), strict=True):
        assert sorted(pieces(image)) == sorted(pieces(other))
        assert pieces(image) != pieces(other)


def test_textures_are_images_and_the_same_each_time() -> None:
    images = textures(6, 16)
    assert (images.shape, images.dtype) == ((6, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(images, textures(6, 16))
    assert (images.reshape(6, -1).std(axis=1) > 5).all()
    checks = images[1].reshape(-1, 3)
    assert len(np.unique(checks, axis=0)) <= 3  # two colours, and where a sine is exactly 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["digits", "textures"])
def test_sets_that_need_no_known_image(name: str) -> None:
    pictures = open_set(name, 8, "photo")(NOTHING)
    assert len(pictures) == LIMIT
    assert {(picture.shape, picture.dtype.name) for picture in pictures} == {
        ((1, 8, 8, 3), "uint8")
    }


def test_jigsaws_are_of_known_images_from_all_over_the_split() -> None:
    known = np.zeros((LIMIT + 500, 8, 8, 3), np.uint8)
    known += np.linspace(0, 255, len(known)).astype(np.uint8)[:, None, None, None]
    pictures = open_set("jigsaw", 8, "photo")(known)
    assert len(pictures) == 750
    assert (pictures[0].max(), pictures[-1].min()) == (0, 254)
    with pytest.raises(UsageError, match="those of 10 x 10 pixels do not divide so"):
        open_set("jigsaw", 10, "photo")


def test_a_folder_in_any_layout_is_read_as_predict_reads_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    shapes = {"a/deep/1.png": (40, 30, 3), "2.png": (8, 8, 3)}
    for name, shape in shapes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = open_set(tmp_path, 8, "photo")(NOTHING)
    assert [len(views) for views in found] == [1, 4]
    expected = fit_views(np.asarray(Image.open(tmp_path / "a/deep/1.png")), 8, "photo")
    np.testing.assert_array_equal(found[1], expected)


def test_folders_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere; .* digits, jigsaw, textures"):
        open_set(tmp_path / "nowhere", 8, "photo")
    with pytest.raises(ImageError, match="there is no image in"):
        open_set(tmp_path, 8, "photo")
    (tmp_path / "cut.png").write_bytes(b"\x89PNG")
    with pytest.raises(ImageError, match=r"cut\.png"):
        open_set(tmp_path, 8, "photo")
