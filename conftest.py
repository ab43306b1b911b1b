"""Fixtures for every test and for the examples in docstrings (`src` has no other conftest).

A test session has a home folder of its own, no network, and quiet backends: neither the caches of
whoever runs it nor a download can change what it finds.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

_HOME = tempfile.mkdtemp(prefix="cifarlab-home-")

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
for _name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
    os.environ[_name] = _HOME
for _name in ("KERAS_HOME", "MPLCONFIGDIR"):
    os.environ.pop(_name, None)
os.environ.pop("COLUMNS", None)
# Port 9 discards: whatever would leave the machine fails at once, and loopback goes on working.
for _name in ("http_proxy", "https_proxy"):
    os.environ[_name] = os.environ[_name.upper()] = "http://127.0.0.1:9"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"


def pytest_unconfigure() -> None:
    shutil.rmtree(_HOME, ignore_errors=True)


@pytest.fixture(autouse=True)
def _doctest_names(request: pytest.FixtureRequest, doctest_namespace: dict) -> None:
    """Examples may write below ``tmp_path``, and print to the standard output, whether or not the
    command before them was asked for JSON; other tests see to that themselves."""
    if isinstance(request.node, pytest.DoctestItem):
        if console := sys.modules.get("cifarlab.cli.console"):
            console._set_json(False)
        doctest_namespace["tmp_path"] = request.getfixturevalue("tmp_path")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder that ``CIFARLAB_DATA`` names; without it the test is skipped, or fails in CI."""
    folder = os.environ.get("CIFARLAB_DATA")
    if folder and Path(folder).is_dir():
        return Path(folder)
    why = f"CIFARLAB_DATA names no folder of real data: {folder!r}"
    if os.environ.get("CIFARLAB_REQUIRE_DATA") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``train/`` and ``test/`` of four class folders: 160 PNG images of 8 x 8 pixels.

    The class is the bright quarter of the picture, so that a few epochs learn it.
    """
    from PIL import Image

    root = tmp_path_factory.mktemp("tiny") / "quarters"
    random = np.random.default_rng(0)
    for split, each in (("train", 32), ("test", 8)):
        for label, name in enumerate(("north_west", "north_east", "south_west", "south_east")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(each):
                image = random.integers(0, 100, (8, 8, 3), dtype=np.uint8)
                row, column = label // 2 * 4, label % 2 * 4
                image[row : row + 4, column : column + 4] += 120
                Image.fromarray(image).save(folder / f"{number:02}.png")
    return root


@pytest.fixture
def tiny_dataset(tiny_folder: Path):
    """The `Dataset` of `tiny_folder`, of the size that the recipe ``debug`` wants."""
    from cifarlab.data import load_dataset

    return load_dataset(tiny_folder, image_size=16)
