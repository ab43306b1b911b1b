"""The unknown images that the benchmark makes are what its documentation says."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "unknowns.py"


@pytest.fixture(scope="module")
def benchmark():
    specification = importlib.util.spec_from_file_location("benchmark_of_unknowns", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def test_a_jigsaw_has_the_same_pieces_in_another_order(benchmark) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    shuffled = benchmark.jigsaw(images)

    def pieces(image: np.ndarray) -> list[bytes]:
        return [
            image[y : y + 2, x : x + 2].tobytes() for y in range(0, 8, 2) for x in range(0, 8, 2)
        ]

    for image, other in zip(images, shuffled, strict=True):
        assert sorted(pieces(image)) == sorted(pieces(other))
        assert pieces(image) != pieces(other)


def test_textures_are_images_and_the_same_each_time(benchmark) -> None:
    images = benchmark.textures(6, 16)
    assert (images.shape, images.dtype) == ((6, 16, 16, 3), np.uint8)
    np.testing.assert_array_equal(images, benchmark.textures(6, 16))
    assert (images.reshape(6, -1).std(axis=1) > 5).all()
    checks = images[1].reshape(-1, 3)
    assert len(np.unique(checks, axis=0)) <= 3  # two colours, and where a sine is exactly 0


def test_a_set_without_a_folder_is_refused(benchmark, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        benchmark.main(["run", "--set", "nothing"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: --set needs NAME=FOLDER. Received: nothing\n"
