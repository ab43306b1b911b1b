"""What `explore` says of a dataset, against what is known of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifarlab.data import Dataset, Split, load_dataset
from cifarlab.explore import BINS, explore


def split(shades: list[int], labels: list[int], **more) -> Split:
    """Images of 4 x 4 pixels, each of one shade: red as given, green 0, blue 255."""
    images = np.zeros((len(shades), 4, 4, 3), np.uint8)
    images[..., 0] = np.array(shades)[:, None, None]
    images[..., 2] = 255
    return Split(images, np.array(labels), **more)


def dataset(train: Split, **more) -> Dataset:
    return Dataset(name="d", source="d", class_names=("cat", "dog"), train=train, **more)


def test_counts_and_colours() -> None:
    data = dataset(split([0, 0, 51, 153], [0, 0, 1, 1]), test=split([10, 20, 30], [1, 1, 1]))
    found = explore(data)
    assert found.counts == {"train": {"cat": 2, "dog": 2}, "test": {"cat": 0, "dog": 3}}
    red = np.array([0, 0, 51, 153]) / 255
    np.testing.assert_allclose(found.channels["mean"], [red.mean(), 0, 1])
    np.testing.assert_allclose(found.channels["std"], [red.std(), 0, 0], atol=1e-12)
    bright = np.array([85, 85, 102, 136])
    assert found.brightness["mean"] == pytest.approx(bright.mean())
    assert found.brightness["std"] == pytest.approx(bright.std())
    assert found.brightness["per_class"] == pytest.approx({"cat": 85, "dog": 119})
    assert len(found.brightness["edges"]) == BINS + 1
    assert sum(found.brightness["histogram"]["train"]) == 4
    assert sum(found.brightness["histogram"]["test"]) == 3


def test_duplicates_within_and_across_splits() -> None:
    data = dataset(
        split([1, 2, 1, 3, 1], [0, 0, 0, 1, 1]),
        validation=split([5, 3], [0, 1]),
        test=split([3, 3, 9], [1, 1, 0], names=np.array(["x/1.png", "x/2.png", "x/3.png"])),
    )
    found = explore(data).duplicates
    assert found["within"] == {"train": 2, "validation": 0, "test": 1}
    assert found["across"] == {"train/validation": 1, "train/test": 2, "validation/test": 2}
    assert (found["groups"], found["conflicting"]) == (2, 1)
    assert found["examples"][0] == [
        {"split": "train", "index": i, "file": None, "label": label}
        for i, label in ((0, "cat"), (2, "cat"), (4, "dog"))
    ]
    assert found["examples"][1][-1] == {
        "split": "test", "index": 1, "file": "x/2.png", "label": "dog",
    }  # fmt: skip


def test_images_of_odd_size(tmp_path: Path) -> None:
    for split_name in ("train", "test"):
        for name in ("cat", "dog"):
            folder = tmp_path / split_name / name
            folder.mkdir(parents=True)
            size = (40, 30) if name == "dog" else (20, 20)
            Image.new("RGB", size).save(folder / "1.png")
    found = explore(load_dataset(tmp_path, image_size=24)).odd_sizes
    assert (found["not_square"], found["too_small"]) == (2, 2)
    assert (found["smallest"], found["largest"]) == (20, 40)
    assert found["examples"][1] == {
        "split": "train", "index": 1, "file": "train/dog/1.png", "height": 30, "width": 40,
    }  # fmt: skip
    plain = explore(dataset(split([1, 2], [0, 1]))).odd_sizes
    assert (plain["not_square"], plain["too_small"], plain["smallest"]) == (0, 0, None)


def test_figures_and_json_are_written(tmp_path: Path) -> None:
    data = dataset(split([0, 10, 200], [0, 0, 1]), test=split([3], [0]), notes=["a note"])
    found = explore(data, tmp_path / "out")
    names = ["classes.png", "samples.png", "brightness.png"]
    assert found.figures == tuple(str(tmp_path / "out" / name) for name in names)
    for name in names:
        with Image.open(tmp_path / "out" / name) as image:
            assert min(image.size) > 100
    written = json.loads((tmp_path / "out" / "explore.json").read_text(encoding="utf-8"))
    assert written == json.loads(json.dumps(found.to_json()))
    assert (written["dataset"], written["notes"]) == ("d", ["a note"])
    assert explore(data).figures == ()


def test_samples_are_of_train_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from cifarlab import plots

    shown = []
    plain = plots.class_samples
    monkeypatch.setattr(
        plots, "class_samples", lambda images, names: shown.append(images) or plain(images, names)
    )
    explore(dataset(split([1, 2, 3], [0, 0, 1]), test=split([9, 9], [0, 1])), tmp_path)
    assert shown[0].shape == (2, 2, 4, 4, 3)
    assert shown[0][:, :, 0, 0, 0].tolist() == [[1, 2], [3, 255]]


def test_the_real_cifar10(real_data: Path) -> None:
    found = explore(load_dataset("cifar10"))
    np.testing.assert_allclose(found.channels["mean"], [0.49140, 0.48216, 0.44653], atol=1e-5)
    np.testing.assert_allclose(found.channels["std"], [0.24703, 0.24349, 0.26159], atol=1e-5)
    assert found.duplicates["within"] == {"train": 0, "test": 0}
    assert found.duplicates["across"] == {"train/test": 0}
