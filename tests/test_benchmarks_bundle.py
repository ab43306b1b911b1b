"""The scripts that make the bundle and that feed the decoder with mutations."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from cifarlab import bundled
from cifarlab.run import Run
from cifarlab.runtimes import open_model

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"


def script(name: str):
    specification = importlib.util.spec_from_file_location(f"the_{name}", FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


@pytest.fixture
def run(tmp_path) -> Run:
    """As much of a measured run of the bundled model's classes as its card needs."""
    card = bundled.bundled_card("cifar10")
    run = Run.create(
        tmp_path / "run",
        recipe={"name": "mine"},
        data=card["data"],
        environment=card["trained"],
        seed=3,
    )
    run.update_result(split="test", accuracy=0.9, accuracy_ci95=[0.89, 0.91], n=10, tta="none")
    run.update_result(ece=0.01)
    return run


@pytest.mark.parametrize("half", [False, True])
def test_a_bundle_is_the_export_and_its_card(run, tmp_path, monkeypatch, half: bool) -> None:
    bundle, exported = script("bundle"), bundled.bundled_path("cifar10")
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    options = ["--float16"] if half else []
    bundle.main([str(run.path), str(exported), "--name", "new", "--limit", "It is new.", *options])
    path, card = bundled.bundled_path("new"), bundled.bundled_card("new")
    assert card["figures"][0] == {
        "name": "test accuracy",
        "value": 0.9,
        "ci95": [0.89, 0.91],
        "n": 10,
    }
    assert card["recipe"] == {"seed": 3, "name": "mine"}
    assert card["limits"][0] == "It is new."
    images = np.random.default_rng(5).integers(0, 256, (4, 32, 32, 3), np.uint8)
    before, after = (open_model(each) for each in (exported, path))
    assert after.info == before.info
    difference = np.abs(before.probabilities(images) - after.probabilities(images)).max()
    if not half:
        assert path.read_bytes() == exported.read_bytes()
    else:
        assert 0 < difference < 2e-3
        stored = [numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer]
        assert {values.dtype for values in stored if values.size >= bundle.LARGE} <= {
            np.dtype(kind) for kind in (np.float16, np.int64, np.int8, np.uint8)
        }


def test_a_run_without_test_figures_makes_no_card(run, tmp_path, monkeypatch, capsys) -> None:
    bundle, exported = script("bundle"), bundled.bundled_path("cifar10")
    monkeypatch.setattr(bundled, "FOLDER", tmp_path)
    run.update_result(split="val")
    with pytest.raises(SystemExit) as end:
        bundle.main([str(run.path), str(exported), "--name", "new"])
    assert end.value.code == 2
    assert "measure with: cifarlab evaluate" in capsys.readouterr().err


def test_two_hundred_mutations_leave_the_decoder_as_errors_of_one_line() -> None:
    fuzz = script("fuzz_decoder")
    found = fuzz.fuzz(fuzz.made_pictures(), 200, seed=1)
    assert found["wrong"] == 0
    assert {row["outcome"] for row in found["outcomes"]} == {"decoded", "refused"}
    assert {row["mutation"] for row in found["outcomes"]} == {m.__name__ for m in fuzz.MUTATIONS}


def test_the_fuzzer_sees_what_it_looks_for(monkeypatch) -> None:
    fuzz = script("fuzz_decoder")
    pictures = fuzz.made_pictures()
    assert list(fuzz.mutants(pictures, 30, 7)) == list(fuzz.mutants(pictures, 30, 7))
    monkeypatch.setattr(fuzz, "decode_image", lambda content: 1 / 0)
    assert fuzz.fuzz(pictures, 10)["wrong"] == 10
