"""Comparisons: clocks, accuracies reached, ratios, processes watched, measurements gone on with."""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cifarlab.errors import CifarlabError

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The scripts as modules; they import each other as they do when run by path."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import comparison
    import competitors

    return SimpleNamespace(comparison=comparison, competitors=competitors)


def make_row(competitor: str, seed: int, *points: tuple[float, float]) -> dict[str, Any]:
    """A row with (accuracy, seconds) by epoch; the last point is the finished model."""
    curve = [
        {"accuracy": accuracy, "seconds": {"training": seconds, "command": seconds + 10}}
        for accuracy, seconds in points
    ]
    row = {"competitor": competitor, "seed": seed, "curve": curve, "accuracy": points[-1][0]}
    return row | {"images_per_second": 100.0, "peak_memory_bytes": 2**30}


def test_a_run_folder_becomes_a_row_that_counts_compilation_once(benchmarks, tmp_path):
    header = "epoch,seconds,learning_rate,loss,accuracy,val_loss,val_accuracy\n"
    (tmp_path / "history.csv").write_text(header + "1,5.0,0.1,1,0.5,1,0.6\n2,4.0,0.1,1,0.7,1,0.8\n")
    seconds = {"setup": 1.0, "compile": 2.0, "train": 8.0, "evaluate": 0.5}
    result = {"accuracy": 0.85, "tta": "flip", "seconds": seconds}
    for name, value in {
        "result": result,
        "environment": {},
        "data": {"counts": {"train": 90}},
    }.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(value))
    process = {"seconds": 30.0, "seen": [12.0, 18.0], "peak_memory_bytes": 7}
    row = benchmarks.competitors.read_run(tmp_path, process)
    assert [p["seconds"]["training"] for p in row["curve"]] == [6.0, 10.0, 10.5]
    assert [p["seconds"]["command"] for p in row["curve"]] == [12.0, 18.0, 30.0]
    assert [p["split"] for p in row["curve"]] == ["validation", "validation", "test"]
    assert row["images_per_second"] == pytest.approx(2 * 90 / 9)


def test_the_first_epochs_seconds_hold_the_compilation(tmp_path):
    """`read_run` relies on it: set-up and epochs are all that is added."""
    import cifarlab

    run = cifarlab.train("digits", "debug", epochs=1, out=tmp_path / "run")
    assert run.history[0]["seconds"] >= run.result["seconds"]["compile"] - 0.001


def test_an_accuracy_is_reached_at_the_first_point_that_has_it(benchmarks):
    seconds_to = benchmarks.comparison.seconds_to
    row = make_row("ours", 0, (0.5, 1.0), (0.8, 2.0), (0.7, 3.0), (0.94, 4.0))
    assert seconds_to(row, 0.7, "training") == 2.0
    assert seconds_to(row, 0.94, "command") == 14.0
    assert seconds_to(row, 0.95, "training") is None
    assert seconds_to(row, None, "training") == 4.0
    float32 = make_row("peer", 0, (0.9399999976158142, 5.0))  # 9,400 of 10,000
    assert seconds_to(float32, 0.94, "training") == 5.0


def test_ratios_are_taken_within_rounds(benchmarks):
    rows = [make_row("ours", 0, (0.9, 1.0)), make_row("peer", 0, (0.9, 4.0))]
    rows += [make_row("ours", 1, (0.8, 9.0)), make_row("peer", 1, (0.9, 9.0))]
    rows += [make_row("ours", 2, (0.9, 5.0))]  # a round that was cut: no peer to compare with
    summary = benchmarks.comparison.summarize(rows, ["ours", "peer"], "peer", [0.9])
    end, goal = summary["ours"]["seconds"]["training"].values()
    assert end == {
        "reached": 3,
        "mean": 5.0,
        "ratio": pytest.approx((1 / 4 * 9 / 9) ** 0.5),
        "rounds_compared": 2,
    }
    assert (goal["reached"], goal["mean"], goal["ratio"]) == (2, 3.0, pytest.approx(0.25))
    assert summary["peer"]["accuracy_mean"] == pytest.approx(0.9)
    lines = benchmarks.comparison.tabulate(summary, "training")
    assert lines[0][-2:] == ["end", "90 %"]
    assert lines[1][-2:] == ["5.0 ×0.50", "3.0 ×0.25 (2 of 3)"]


def test_a_process_is_watched(benchmarks, tmp_path):
    history = tmp_path / "history.csv"
    code = f"""
import pathlib, time
path, ballast = pathlib.Path({str(history)!r}), bytearray(b"x") * 300_000_000
path.write_text("epoch\\n1\\n"); time.sleep(0.4)
path.write_text("epoch\\n1\\n2\\n"); print("done")
"""
    seen = benchmarks.competitors.watch([sys.executable, "-c", code], history)
    assert seen["output"].strip() == "done"
    assert len(seen["seen"]) == 2
    assert 0.2 < seen["seen"][1] - seen["seen"][0] < 5
    assert seen["seconds"] >= seen["seen"][1]
    assert seen["peak_memory_bytes"] > 300_000_000


def test_a_failed_process_is_one_line(benchmarks):
    command = [sys.executable, "-c", "raise SystemExit('no such data')"]
    with pytest.raises(SystemExit, match="failed with status 1: no such data"):
        benchmarks.competitors.watch(command)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--recipes", "fats94"], "unknown recipe"),
        (["--recipes"], "give --recipes"),
        (["--recipes", "--peer", "absent.py"], "there is no absent.py"),
        (["--recipes", "--peer", __file__, "--peer-python", "absent"], "absent cannot run"),
        (["--recipes", "debug", "--runs", "0"], "must be 1 or more"),
    ],
)
@pytest.mark.parametrize("name", ["time_to_accuracy", "gpu"])
def test_wrong_words_are_told_before_anything_runs(
    benchmarks, tmp_path, monkeypatch, name, words, message
):
    out = tmp_path / "out.json"
    monkeypatch.setattr(sys, "argv", [name, *words, "--out", str(out)])
    with pytest.raises((SystemExit, CifarlabError), match=message):
        importlib.import_module(name).main()
    assert not out.exists()


def test_an_error_is_one_line(tmp_path):
    command = [
        sys.executable,
        str(BENCHMARKS / "gpu.py"),
        "--recipes",
        "fats94",
        "--out",
        "out.json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("unknown recipe 'fats94'")
    assert done.stderr.count("\n") == 1


def test_resume_keeps_what_was_measured(benchmarks, tmp_path, monkeypatch, capsys):
    import time_to_accuracy

    out, ran = tmp_path / "out.json", []

    def measure(recipe: str, arguments: argparse.Namespace, seed: int) -> dict[str, Any]:
        ran.append((recipe, seed))
        if ran == [("debug", 0), ("quick", 0), ("debug", 1)]:
            sys.exit("cut")
        return make_row(recipe, seed, (0.9, 1.0)) | {
            "what": time_to_accuracy.describe_recipe(recipe)
        }

    monkeypatch.setattr(time_to_accuracy, "run_ours", measure)
    words = ["time_to_accuracy.py", "--recipes", "debug", "quick", "--runs", "2", "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit, match="cut"):
        time_to_accuracy.main()
    with pytest.raises(SystemExit, match="add --resume"):
        time_to_accuracy.main()
    monkeypatch.setattr(sys, "argv", [*words, "--resume", "--plot", str(tmp_path / "a.png")])
    time_to_accuracy.main()
    assert ran[3:] == [("debug", 1), ("quick", 1)]
    assert len(json.loads(out.read_text())["rows"]) == 4
    assert (tmp_path / "a.png").read_bytes()[1:4] == b"PNG"
    assert "debug" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", [*words, "--resume", "--epochs", "1"])
    with pytest.raises(SystemExit, match="has other settings"):
        time_to_accuracy.main()
    older = json.loads(out.read_text())
    for row in older["rows"]:  # from before recipes had these fields, when their words were others
        row["what"] = {**row["what"], "summary": "as it was"}
        del row["what"]["least_steps"], row["what"]["least_batch"]
    out.write_text(json.dumps(older))
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    time_to_accuracy.main()
    assert len(ran) == 5  # nothing more
    quick = time_to_accuracy.describe_recipe("quick")
    assert not time_to_accuracy.same_training({**quick, "least_steps": 0}, quick, "cifar10")
    del older["rows"][1]["what"]["summary"]
    assert not time_to_accuracy.same_training(older["rows"][1]["what"], quick, "digits")
    out.write_text(out.read_text().replace('"momentum": ', '"momentum": 1'))
    monkeypatch.setattr(sys, "argv", [*words, "--resume"])
    with pytest.raises(SystemExit, match="was measured with another debug"):
        time_to_accuracy.main()


def test_measurements_of_one_machine_become_one_plot(benchmarks, monkeypatch, tmp_path):
    plot_times = importlib.import_module("plot_times")
    drawn: list[Any] = []
    monkeypatch.setattr(plot_times, "plot", lambda rows, names, path: drawn.append((rows, names)))
    ours, peer = make_row("ours", 0, (0.5, 1.0)), make_row("peer", 0, (0.5, 2.0))
    for name, cores, rows in (("a", 2, [ours]), ("b", 2, [peer, ours]), ("c", 4, [ours])):
        document = {"hardware": {"cores": cores}, "rows": rows}
        (tmp_path / name).write_text(json.dumps(document))
    (tmp_path / "d").write_text("[]")

    def draw(*names: str) -> None:
        files = [str(tmp_path / name) for name in names]
        monkeypatch.setattr(sys, "argv", ["plot_times.py", *files, "--out", "plot.png"])
        plot_times.main()

    draw("a", "b")
    assert drawn == [([ours, peer, ours], ["ours", "peer"])]
    with pytest.raises(SystemExit, match="different hardware"):
        draw("a", "c")
    with pytest.raises(SystemExit, match="no measurement"):
        draw("a", "d")
