"""Datasets by name and path: where they are looked for, and what is said without them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cifar_files import (
    binary_files,
    make_official,
    python_files,
    small_records,
    write_archive,
    write_folder,
)
from cifarlab.data import catalog, dataset_names, describe_sources, load_dataset
from cifarlab.data.download import UnreachableError
from cifarlab.data.places import cache_folder
from cifarlab.errors import DataError, DataNotFoundError, UnknownNameError, UsageError

RECORDS = small_records(10)
BINARY, PYTHON = binary_files(RECORDS), python_files(RECORDS)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a working folder without any data, and small records that pass for CIFAR-10."""
    for name in ("CIFARLAB_DATA", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    make_official(monkeypatch, RECORDS)
    return tmp_path


PLACES = {
    "keras 3": "home/.keras/datasets/cifar-10-batches-py-target/cifar-10-batches-py",
    "keras, nested": "home/.keras/datasets/cifar-10-batches-py/cifar-10-batches-py",
    "keras 2": "home/.keras/datasets/cifar-10-batches-py",
    "torchvision": "work/data/cifar-10-batches-py",
    "own cache": "home/cache/cifarlab/cifar-10-batches-bin",
}
ARCHIVES = {
    "keras 3": "home/.keras/datasets/cifar-10-batches-py-target_archive",
    "keras 2": "home/.keras/datasets/cifar-10-batches-py.tar.gz",
    "torchvision": "work/data/cifar-10-python.tar.gz",
    "own cache": "home/cache/cifarlab/cifar-10-binary.tar.gz",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_cifar10_is_found_in_the_folders_of(machine: Path, place: str) -> None:
    path = write_folder(machine / place, BINARY if place.endswith("-bin") else PYTHON)
    data = load_dataset("cifar10", download=False)
    assert (len(data.train), data.test_size) == (50, 10)
    assert (data.name, data.source, data.notes) == ("cifar10", "cifar10", ())
    assert describe_sources()[0].found == str(path)


@pytest.mark.parametrize("place", ARCHIVES.values(), ids=ARCHIVES)
def test_cifar10_is_found_in_the_archives_of(machine: Path, place: str) -> None:
    write_archive(machine / place, BINARY if "binary" in place else PYTHON)
    assert len(load_dataset("cifar10", download=False).train) == 50


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-bin"])
def test_the_environment_variable_comes_first(
    machine: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    write_folder(machine / PLACES["own cache"], {"data_batch_1.bin": b"damaged"})
    write_folder(machine / "mine" / inside, BINARY)
    monkeypatch.setenv("CIFARLAB_DATA", str(machine / "mine"))
    assert len(load_dataset("cifar10").train) == 50


def test_the_environment_variable_may_name_an_archive(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFARLAB_DATA", str(write_archive(machine / "any", PYTHON)))
    assert len(load_dataset("cifar10").train) == 50


def test_an_environment_variable_that_leads_nowhere_is_refused(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIFARLAB_DATA", str(machine / "nowhere"))
    with pytest.raises(DataError, match=r"CIFARLAB_DATA is set to .*nowhere, which does not exist"):
        load_dataset("cifar10")


def test_keras_home_is_respected(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", str(machine / "keras"))
    write_folder(machine / "keras" / "datasets" / "cifar-10-batches-py", PYTHON)
    assert len(load_dataset("cifar10", download=False).train) == 50


def test_cifar10_by_name_is_the_official_data_or_an_error(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(machine / "mine", binary_files(small_records(20)))
    monkeypatch.setenv("CIFARLAB_DATA", str(machine / "mine"))
    with pytest.raises(DataError, match="data_batch_1 is not the official CIFAR-10's: 20 records"):
        load_dataset("cifar10")


def test_without_data_one_line_says_where_it_looked_and_what_to_do(machine: Path) -> None:
    with pytest.raises(DataNotFoundError) as caught:
        load_dataset("cifar10", download=False)
    message = str(caught.value)
    for part in ("cifarlab", ".keras", "work", "CIFARLAB_DATA", "--fallback digits"):
        assert part in message
    assert "\n" not in message
    assert describe_sources()[0].found is None


def test_without_network_too(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(archives, folder):
        assert folder == cache_folder()
        raise UnreachableError("https://nowhere.example: no address")

    monkeypatch.setattr(catalog.download, "fetch_any", unreachable)
    with pytest.raises(DataNotFoundError, match=r"nor reachable .*no address.*--fallback digits"):
        load_dataset("cifar10")


def test_what_was_downloaded_is_loaded(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(archives, folder):
        return write_archive(folder / archives[0].name, PYTHON)

    monkeypatch.setattr(catalog.download, "fetch_any", fetch)
    assert len(load_dataset("cifar10").train) == 50
    assert len(load_dataset("cifar10", download=False).train) == 50  # from the cache now


def test_digits_are_the_same_for_good() -> None:
    data = load_dataset("digits")
    assert (data.name, data.source, data.num_classes) == ("digits", "digits", 10)
    assert data.train.images.shape == (1438, 32, 32, 3)
    assert np.bincount(data.open_test().labels).min() >= 34
    small = load_dataset("digits", image_size=8)
    assert small.fingerprint == (
        "sha256:759f79ea0881b74562ead8af54f5c2d1756e7360ca3471684e31002860b087ff"
    )
    assert small.train.images.max() == 255


def test_names_paths_and_options_that_are_not(tmp_path: Path) -> None:
    with pytest.raises(
        UnknownNameError, match="unknown dataset 'cifar100'; did you mean 'cifar10'"
    ):
        load_dataset("cifar100")
    for path in (tmp_path / "nothing", "no/thing", "nothing.csv", ""):
        with pytest.raises(DataError, match="does not exist; give"):
            load_dataset(path)
    (tmp_path / "a.tar.gz").write_text("no archive")
    (tmp_path / "a.jpg").write_text("no archive")
    for name in ("a.tar.gz", "a.jpg"):
        with pytest.raises(DataError, match=f"{name} is no dataset"):
            load_dataset(tmp_path / name)
    for size in (0, 1.5, True, "32", 10**9):
        with pytest.raises(UsageError, match="image_size"):
            load_dataset("digits", image_size=size)
    with pytest.raises(UnknownNameError, match="unknown fit 'squash'"):
        load_dataset("digits", fit="squash")
    assert dataset_names() == ["cifar10", "digits"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_place_that_may_not_be_read_is_passed_over(machine: Path) -> None:
    closed = machine / "work" / "data"
    closed.mkdir(mode=0)
    with pytest.raises(DataNotFoundError):
        load_dataset("cifar10", download=False)
