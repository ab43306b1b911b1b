"""The scripts behind single claims of the documents: what they count, by hand."""

from __future__ import annotations

import contextlib
import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cifarlab.audit.findings import Finding, write_csv
from cifarlab.errors import CifarlabError, DataError, RunError
from cifarlab.recipes import get_recipe
from cifarlab.run import Run

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


def test_a_command_is_timed_to_its_first_step(script) -> None:
    seconds = script("first_step").start("debug", "digits")
    assert 0 < seconds["imported"] < seconds["ready"] < seconds["stepped"]
    with pytest.raises(CifarlabError, match=r"took no step: .*nothing"):
        script("first_step").start("debug", "nothing")


def test_first_steps_are_told_by_recipe(script, monkeypatch, tmp_path, capsys) -> None:
    first, out, calls = script("first_step"), tmp_path / "first.json", []

    def start(recipe: str, data: str) -> dict[str, float]:
        calls.append((recipe, data))
        return {"imported": 1.0, "ready": 2.0, "stepped": 2.0 + len(calls)}

    monkeypatch.setattr(first, "start", start)
    first.main(["--recipes", "a", "b", "--processes", "3", "--data", "x", "--out", str(out)])
    assert calls == [("a", "x"), ("b", "x")] * 4
    result = json.loads(out.read_text())
    assert (result["first"]["a"]["stepped"], len(result["rounds"])) == (3.0, 3)
    assert (result["median"]["a"]["stepped"], result["median"]["b"]["stepped"]) == (7.0, 8.0)
    assert "within 8 seconds" in capsys.readouterr().out


def test_a_prediction_that_fails_is_no_cold_start(script) -> None:
    with pytest.raises(CifarlabError, match=r"python -c .* failed: ValueError: no such photo"):
        script("cold_start").python(["-c", "raise ValueError('no such photo')"])


LIST = """TestID,TrainID,Distance,Judgment\r
3,30,0.07,1\r
4,40,0.08,0\r
5,50,0.09,1\r
5,51,0.09,2\r
6,60,0.10,2\r
7,70,0.11,2\r
"""


def finding(pair: tuple[int, int], evidence: float, **other: Any) -> Finding:
    values = {"kind": "leak", "split": "test", "other_split": "train", **other}
    values |= {"index": pair[0], "other_index": pair[1], "evidence": evidence}
    return Finding(file=None, score=0.9, **values)


@pytest.fixture
def audited(tmp_path: Path) -> Path:
    """A run's folder as an audit leaves it: 3 found with its pair, 4 with another, 5 not at all;
    6, very similar, and 8, which the list has not, flagged as well."""
    findings = [
        finding((3, 30), 20.0),
        finding((3, 31), 19.0),  # a second copy of the same image is no false alarm
        finding((4, 41), 15.0),
        finding((6, 60), 18.0),
        finding((8, 80), 14.0),
        finding((5, 50), 16.0, other_split="val"),
        finding((5, 50), 16.0, kind="duplicate", split="train"),
    ]
    write_csv(tmp_path / "audit" / "findings.csv", findings)
    (tmp_path / "pairs.csv").write_text(LIST, newline="")
    write_audit(tmp_path, leaks=6)
    return tmp_path


def write_audit(folder: Path, leaks: int, train: int = 100) -> None:
    images = {"train": train, "test": 10}
    seconds = {"features": 2.5, "duplicates": 4.0}
    audit = {"images": images, "counts": {"leak": leaks}, "seconds": seconds}
    (folder / "audit.json").write_text(json.dumps(audit))


def test_copies_are_counted_by_test_image(script, audited, capsys) -> None:
    out = audited / "out.json"
    words = [str(audited), "--pairs", str(audited / "pairs.csv"), "--evidence", "15", "18.5"]
    script("audit_duplicates").main([*words, "--out", str(out)])
    result = json.loads(out.read_text())
    listed = {"listed": 3, "similar_listed": 2}  # 5 is a copy, whatever it is similar to
    found = {"found": 2, "found_with_the_pair": 1, "similar_flagged": 1, "others_flagged": 1}
    surer = {"found": 2, "found_with_the_pair": 1, "similar_flagged": 1, "others_flagged": 0}
    surest = {"found": 1, "found_with_the_pair": 1, "similar_flagged": 0, "others_flagged": 0}
    assert result["rules"] == [
        {"evidence": None, **listed, **found},
        {"evidence": 15, **listed, **surer},
        {"evidence": 18.5, **listed, **surest},
    ]
    assert result["audit_seconds"] == {"features": 2.5, "duplicates": 4.0, "all": 6.5}
    assert "2 of 3 (66.7%)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,2\n", "has no column Judgment, TestID, TrainID"),
        (LIST + "9,90,0.1,3\r\n", "line 8: wanted .* Received: 9, 90, 3"),
        (LIST + "-9,90,0.1,1\r\n", "line 8: wanted .* Received: -9, 90, 1"),
        (LIST + "9\r\n", "line 8: wanted .* Received: 9, None, None"),
        ("TestID,TrainID,Judgment\n1,2,2\n", "lists no copies"),
    ],
)
def test_another_list_is_refused(script, tmp_path, text: str, reason: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text, newline="")
    with pytest.raises(DataError, match=reason):
        script("audit_duplicates").read_list(path)


def test_a_list_is_of_the_audits_data(script, audited) -> None:
    measure, pairs = script("audit_duplicates").measure, audited / "pairs.csv"
    write_audit(audited, leaks=6, train=70)
    with pytest.raises(DataError, match="names image 70 of train, of which the audit saw 70"):
        measure(audited, pairs, [])
    write_audit(audited, leaks=7)
    with pytest.raises(RunError, match=r"of another audit.*make it with: cifarlab audit"):
        measure(audited, pairs, [])
    (audited / "audit.json").unlink()
    with pytest.raises(RunError, match=r"audit\.json.*make it with: cifarlab audit"):
        measure(audited, pairs, [])


@pytest.mark.parametrize(("hung", "status"), [([], 0), ([7], 1)])
def test_fuzzing_writes_what_it_counted(
    script, monkeypatch, tmp_path, hung: list[int], status: int
) -> None:
    fuzz_http, out = script("fuzz_http"), tmp_path / "http.json"
    counted = {"statuses": {0: 3, 400: 2}, "server_errors": [], "hung": hung, "answers_after": True}

    async def fuzz(server, arguments):
        return {"requests": arguments.requests, "seed": arguments.seed, **counted}

    monkeypatch.setattr(fuzz_http, "running", lambda command: contextlib.nullcontext())
    monkeypatch.setattr(fuzz_http, "fuzz", fuzz)
    with pytest.raises(SystemExit) as end:
        fuzz_http.main(["--requests", "5", "--seed", "4", "--out", str(out)])
    assert end.value.code == status
    result = json.loads(out.read_text())
    assert (result["requests"], result["seed"], result["hung"]) == (5, 4, hung)
    assert result["statuses"] == {"0": 3, "400": 2}
    assert result["hardware"]["cores"]


def test_a_record_is_of_what_its_command_trains(script, tmp_path) -> None:
    """Its command says the epochs, so that `least_steps`, which older recipes lack, adds none."""
    record, quick = script("record"), get_recipe("quick").to_json()
    newer = ("least_steps", "least_batch")
    recipes = {
        "today": quick,
        "older": {k: v for k, v in quick.items() if k not in newer} | {"summary": "as it was"},
        "shorter": quick | {"epochs": 2, "least_steps": 0},
        "other": quick | {"batch_size": 7},
        "few-images": quick,
        "fewer-images": quick,
    }
    for name, recipe in recipes.items():
        run = Run.create(tmp_path / name, recipe=recipe, data={}, environment={}, seed=0)
        run.update_result(epochs_run=130 if name == "fewer-images" else recipe["epochs"])
        if name == "few-images":
            run.update_result(batch_size=128)
    for name in ("today", "older", "shorter"):
        record.refuse_other_recipe(Run(tmp_path / name))
    for name, words in (
        ("other", "no longer, the recipe called quick"),
        ("few-images", "smaller batches than its 500"),
        ("fewer-images", "more epochs"),
    ):
        with pytest.raises(SystemExit, match=words):
            record.refuse_other_recipe(Run(tmp_path / name))
