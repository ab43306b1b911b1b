"""An exported file's figures are those of its logits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cifarlab.bundled import bundled_path
from cifarlab.cli import main
from cifarlab.data import Dataset, Split
from cifarlab.errors import DataError, ModelFileError, UsageError
from cifarlab.evaluate_file import BATCH, evaluate_file
from cifarlab.metrics import accuracy, log_loss
from cifarlab.runtimes import open_model


@pytest.fixture(scope="module")
def model():
    return open_model(bundled_path("cifar10"))


@pytest.fixture(scope="module")
def noise(model) -> Dataset:
    """More images than a batch holds, so that the order over batches counts."""
    random, n = np.random.default_rng(0), BATCH + 7
    images = random.integers(0, 256, (n, 32, 32, 3), np.uint8)
    images //= random.integers(1, 9, (n, 1, 1, 1), np.uint8)
    test = Split(images, random.integers(0, 10, n))
    names = model.info.class_names
    return Dataset(name="noise", source="-", class_names=names, train=test, test=test)


def test_the_figures_are_of_the_files_logits(model, noise) -> None:
    found, split = evaluate_file("cifar10", data=noise), noise.open_test()
    np.testing.assert_allclose(found.logits[-3:], model(split.images[-3:]), atol=1e-4)
    assert found.n == BATCH + 7
    assert found.accuracy == accuracy(found.logits, split.labels)
    assert found.temperature == model.info.temperature
    assert found.loss == pytest.approx(log_loss(found.logits / found.temperature, split.labels))


def test_what_does_not_fit_is_refused(noise, tmp_path) -> None:
    with pytest.raises(DataError, match="has no val split"):
        evaluate_file("cifar10", data=noise, split="val")
    names = tuple("abcdefghij")
    letters = Dataset(name="letters", source="-", class_names=names, train=noise.train)
    with pytest.raises(DataError, match="knows airplane"):
        evaluate_file("cifar10", data=letters)
    with pytest.raises(ModelFileError, match="no exported file and no bundled model"):
        evaluate_file(tmp_path)


def test_a_file_whose_data_is_elsewhere_asks_for_it(tmp_path) -> None:
    from test_runtimes import write_onnx

    with pytest.raises(UsageError, match="name it with --data"):
        evaluate_file(write_onnx(tmp_path / "dense.onnx"))


def test_the_command_takes_a_file(tmp_path, capsys) -> None:
    from PIL import Image

    from test_runtimes import INFO, SIDE, write_onnx

    for name in INFO.class_names:
        for split in ("train", "test"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            picture = tmp_path / "data" / split / name / "a.png"
            Image.new("RGB", (SIDE, SIDE), name).save(picture)
    path = write_onnx(tmp_path / "dense.onnx")
    arguments = ["evaluate", str(path), "--data", str(tmp_path / "data"), "--json"]
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--tta", "flip"])
    assert end.value.code == 2
    capsys.readouterr()
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    found = json.loads(capsys.readouterr().out)
    assert (found["n"], found["split"], found["tta"], found["test_looks"]) == (3, "test", "none", 0)


def test_the_command_checks_a_bundled_model_once(monkeypatch, capsys) -> None:
    checked = []

    def check(name: str) -> Path:
        checked.append(name)
        return bundled_path(name)

    monkeypatch.setattr("cifarlab.runtimes.opening.bundled_path", check)
    with pytest.raises(SystemExit) as end:
        main(["evaluate", "cifar10", "--data", "nowhere"])
    assert checked == ["cifar10"]
    assert end.value.code
    assert "nowhere" in capsys.readouterr().err, "the words are about the data that was asked for"
