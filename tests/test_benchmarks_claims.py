"""The scripts behind single claims of the documents: what they count, by hand."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from cifarlab.errors import CifarlabError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

# What `python -X importtime` writes: microseconds alone, with what it imported, module.
IMPORTS = """import time: self [us] | cumulative | imported package
import time:       200 |        200 |     numpy.linalg
import time:      1000 |       1200 |   numpy
import time:        50 |         50 | {framework}
a warning of something else
"""


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch):
    """A script as a module; they import each other as they do when run by path."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


@pytest.mark.parametrize(("framework", "status"), [("onnxruntime", 0), ("keras.src", 1)])
def test_a_cold_start_is_told_with_what_it_imported(
    script, monkeypatch, tmp_path, capsys, framework: str, status: int
) -> None:
    cold, out, asked = script("cold_start"), tmp_path / "cold.json", []

    def python(words):
        asked.append(words)
        return IMPORTS.format(framework=framework)

    monkeypatch.setattr(cold, "python", python)
    with pytest.raises(SystemExit) as end:
        cold.main(["cat.jpg", "--processes", "3", "--out", str(out)])
    assert end.value.code == status
    assert asked[:4] == [["-m", "cifarlab", "predict", "cat.jpg"]] * 4  # the first one apart
    assert asked[4:] == [["-X", "importtime", *asked[0]]]
    result = json.loads(out.read_text())
    assert len(result["seconds"]) == 3
    assert result["median_seconds"] == sorted(result["seconds"])[1]
    assert result["import_seconds"] == {"numpy": 1.2e-3, framework.partition(".")[0]: 5e-5}
    assert result["frameworks_imported"] == (["keras"] if status else [])
    assert result["hardware"]["cores"]
    assert result["versions"]["onnxruntime"]
    assert "median of 3" in capsys.readouterr().out


def test_a_prediction_that_fails_is_no_cold_start(script) -> None:
    with pytest.raises(CifarlabError, match=r"python -c .* failed: ValueError: no such photo"):
        script("cold_start").python(["-c", "raise ValueError('no such photo')"])
