"""The ladder: rungs by one change each, built once, stopped and gone on with, honestly told."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import fields, replace
from html import unescape
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import cifarlab.ladder
from cifarlab.answers import Answers
from cifarlab.data import Dataset, load_dataset
from cifarlab.errors import DataError, Interrupted, RunError, UsageError
from cifarlab.files import write_json
from cifarlab.ladder import ASIDE, RUNGS, Rung, climb, faster
from cifarlab.ladder.figures import class_gains, gain, quality
from cifarlab.ladder.rungs import step
from cifarlab.metrics import mean_interval, softmax, wilson_interval
from cifarlab.recipes import Recipe, get_recipe, recipe_names
from cifarlab.report.ladder import ladder_context, write_ladder_page
from cifarlab.resumable import train_to_end, weights_digest
from cifarlab.run import Run
from test_cli_train import assert_one_error, invoke, one_document

REPOSITORY = Path(__file__).resolve().parents[1]

DEBUG = replace(get_recipe("debug"), epochs=2, early_stopping=None)
first = Rung(name="first", change="the start", why="It is. It is so.", recipe=DEBUG)
second = step(first, "second", "averaged", "It may. It may not.", ema=0.5)
both = step(second, "views", "mirrored", "It may. It may not.", kind="views", tta="flip")
mean = step(both, "mean", "the mean", "It may. It may not.", kind="ensemble")
SMALL = (first, second, both, mean)
BESIDE = (step(first, "beside", "the first, mirrored", "It may.", kind="views", tta="flip"),)


class StoppedError(Exception):
    """As a kill would: nothing is put in order."""


@contextmanager
def stopping(after: int, counted: list[int]):
    """A display that stops the program after so many epochs of all trainings together."""

    def epoch(_row: dict) -> None:
        counted.append(1)
        if len(counted) == after:
            raise StoppedError

    silent = lambda *_: None  # noqa: E731
    yield SimpleNamespace(begin=silent, step=silent, epoch=epoch)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", image_size=16)


@pytest.fixture(scope="module")
def built(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A small ladder of two seeds that was stopped in its second rung and gone on with."""
    folder, counted = tmp_path_factory.mktemp("ladder") / "small", []
    with pytest.raises(StoppedError):
        climb(digits, folder, runs=2, rungs=SMALL, displays=lambda: stopping(3, counted))
    assert not Run(folder / "runs" / "second-seed0").result["completed"]
    return folder, climb(digits, folder, runs=2, rungs=SMALL, aside=BESIDE)


# --- the rungs ---


def changed(below: Recipe, above: Recipe) -> set[str]:
    return {f.name for f in fields(Recipe) if getattr(below, f.name) != getattr(above, f.name)}


def test_every_rung_is_the_one_below_with_one_change() -> None:
    names = [rung.name for rung in RUNGS]
    assert RUNGS[0].recipe == get_recipe("tutorial_cnn")
    assert [rung.below for rung in RUNGS] == [None, *names[:-1]]
    of_optimizer = {"optimizer", "learning_rate", "weight_decay"}
    allowed: dict[str, set[str]] = {
        "depth": {"model", "model_options"},
        "batch-norm": {"model_options"},
        "dropout": {"model_options"},
        "augmentation": {"augmentation"},
        "schedule": {"schedule", "learning_rate", "warmup", "final_rate"},
        "weight-decay": {"optimizer", "weight_decay"},
        "optimizer": of_optimizer | {"bias_rate", "head_rate"},
        "label-smoothing": {"labels", "label_smoothing"},
        "averaging": {"ema"},
        "residual": {"model_options"},
        "views": {"tta"},
        "ensemble": set(),
    }
    for below, above in pairwise(RUNGS):
        found = changed(below.recipe, above.recipe) - {"name", "summary"}
        assert found == allowed[above.name], above.name


def test_rungs_beside_the_ladder_leave_one_of_it_by_one_change() -> None:
    by_name = {rung.name: rung for rung in RUNGS}
    for rung in ASIDE:
        assert rung.below is not None
        found = changed(by_name[rung.below].recipe, rung.recipe) - {"name", "summary"}
        assert len(found) == 1, rung.name
        assert rung.name not in by_name


@pytest.mark.parametrize("rung", [*RUNGS, *ASIDE], ids=lambda rung: rung.name)
def test_every_rung_says_why_in_two_sentences(rung: Rung) -> None:
    assert rung.why.endswith(".")
    ends = rung.why.replace("et al. ", "").replace("e.g. ", "").count(". ") + 1
    assert ends == 2, rung.why


def test_every_rung_is_in_the_document() -> None:
    page = (REPOSITORY / "docs" / "ladder.md").read_text("utf-8")
    rows = [f"| {i} | `{rung.name}` |" for i, rung in enumerate(RUNGS, start=1)]
    assert not [row for row in rows if row not in page]
    assert not [rung.name for rung in ASIDE if f"`{rung.name}`" not in page]


def test_the_fast_ladder_is_a_fifth_as_long() -> None:
    assert [rung.recipe.epochs for rung in faster(RUNGS)] == [2] * len(RUNGS)
    assert {r.name: r.recipe.epochs for r in faster(ASIDE)}["longer"] == 4
    short = replace(first, recipe=replace(DEBUG, epochs=3))
    assert faster((short,))[0].recipe.epochs == 1


# --- building ---


def test_a_stopped_training_is_gone_on_with_to_the_same_bits(
    built: tuple[Path, dict], digits: Dataset, tmp_path: Path
) -> None:
    """The averaged weights too, which only the optimizer holds when the program stops."""
    whole = train_to_end(digits, second.recipe, 0, tmp_path / "whole")
    stopped = Run(built[0] / "runs" / "second-seed0")
    assert weights_digest(stopped) == weights_digest(whole)
    plain = Run(built[0] / "runs" / "first-seed0")
    assert weights_digest(plain) != weights_digest(whole)


def test_an_interruption_says_how_to_go_on(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise Interrupted("go on with: cifarlab train --resume", 15)

    monkeypatch.setattr("cifarlab.resumable.train", interrupted)
    with pytest.raises(Interrupted, match="the same command goes on from there") as error:
        climb(digits, tmp_path, rungs=SMALL)
    assert error.value.exit_code == 143


def test_what_is_done_is_not_done_again(
    built: tuple[Path, dict], digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, found = built
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz")}
    monkeypatch.setattr("cifarlab.resumable.train", None)
    monkeypatch.setattr("cifarlab.ladder.answering.evaluate", None)
    again = climb(digits, folder, runs=2, rungs=SMALL, aside=BESIDE)
    assert again == found == json.loads((folder / "ladder.json").read_text())
    kept = {p: p.stat().st_mtime_ns for p in folder.rglob("*.npz") if "-of-" not in p.name}
    assert kept.items() <= before.items()


def test_test_is_opened_once_a_rung(built: tuple[Path, dict]) -> None:
    looks = {p.name: Run(p).result["test_looks"] for p in (built[0] / "runs").iterdir()}
    seeds = (0, 1)
    # As they are, and by the rungs of views.
    assert looks == {f"{name}-seed{s}": 2 for name in ("first", "second") for s in seeds}


def test_a_changed_recipe_is_noticed(built: tuple[Path, dict], digits: Dataset) -> None:
    other = replace(first, recipe=replace(first.recipe, learning_rate=0.5))
    with pytest.raises(RunError, match=r"first-seed0 was trained with learning_rate 0.003, not"):
        climb(digits, built[0], runs=1, rungs=[other])


def test_a_run_that_was_made_anew_is_measured_anew(
    built: tuple[Path, dict], digits: Dataset, tmp_path: Path
) -> None:
    """Answers are of certain weights, not of a folder's name."""
    from cifarlab.ladder.answering import _answered_by

    path = built[0] / "answers" / "first-seed0-test.npz"
    assert _answered_by(path, weights_digest(Run(built[0] / "runs" / "first-seed0")))
    assert not _answered_by(path, weights_digest(Run(built[0] / "runs" / "first-seed1")))
    damaged = tmp_path / "a.npz"
    damaged.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="is damaged"):
        _answered_by(damaged, "")


@pytest.mark.parametrize(
    ("rungs", "runs", "message"),
    [
        ((), 1, "needs a rung"),
        ((first,), 0, "a run or more"),
        ((first, first), 1, "two rungs have the name first"),
        ((second,), 1, "second is derived from first, which is not below it"),
    ],
)
def test_a_ladder_that_cannot_stand_is_refused(rungs: tuple, runs: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        climb("digits", runs=runs, rungs=rungs)


def test_a_split_that_is_not_there_is_refused(digits: Dataset, tmp_path: Path) -> None:
    untested = Dataset(
        name="d", source="d", class_names=digits.class_names, train=digits.train, test=None
    )
    with pytest.raises(DataError, match="has no test split; measure on validation: --no-test"):
        climb(untested, tmp_path, rungs=SMALL)
    unheld = replace(first, recipe=replace(DEBUG, validation=0.0, plateau=None))
    with pytest.raises(DataError, match="hold no validation images out"):
        climb(digits, tmp_path, rungs=[unheld], split="val")
    with pytest.raises(UsageError, match="unknown split"):
        climb(digits, tmp_path, rungs=SMALL, split="train")


# --- figures ---


def answers(*rows: list[int], labels: list[int]) -> list[Answers]:
    return [
        Answers(str(i), Path(str(i)), np.array(r), np.array(labels)) for i, r in enumerate(rows)
    ]


def test_quality_by_hand() -> None:
    members = answers([0, 0, 1, 1], [0, 1, 1, 1], labels=[0, 0, 0, 1])
    found = quality(members, ["cat", "dog", "newt"])
    assert found["accuracy_each"] == [0.75, 0.5]
    assert found["accuracy_ci95"] == [0, 1]  # two seeds so far apart leave every accuracy open
    assert found["recall"] == {"cat": 0.5, "dog": 1.0, "newt": None}
    alone = quality(members[:1], ["cat", "dog", "newt"])
    assert alone["accuracy_ci95"] == list(wilson_interval(3, 4))
    assert (found["ci_over"], alone["ci_over"]) == ("seeds", "images")


def test_a_gain_within_each_seed_is_paired_by_seed() -> None:
    """Seeds far apart, each a little better: Welch could not see what the pairs show."""
    labels = [0] * 100
    below = answers(*([0] * k + [1] * (100 - k) for k in (50, 70, 90)), labels=labels)
    above = answers(*([0] * k + [1] * (100 - k) for k in (52, 72, 92)), labels=labels)
    views = gain(below, above, both, ["cat", "dog"])
    assert views["method"] == "seeds"
    assert views["difference"] == pytest.approx(0.02)
    assert views["measurable"]
    trained = gain(below, above, second, ["cat", "dog"])
    assert (trained["method"], trained["measurable"]) == ("welch", False)
    alike = gain(below, above, replace(second, paired=True), ["cat", "dog"])
    assert (alike["method"], alike["measurable"]) == ("seeds", True)
    assert trained["interval"][0] < 0 < trained["interval"][1]
    one = gain(below[:1], above[:1], second, ["cat", "dog"])
    assert one["method"] == "bootstrap"


def test_a_gain_is_of_other_images_too() -> None:
    """Seeds that agree in everything leave open what other images would say."""
    below, above = (answers(row, row, labels=[0] * 4) for row in ([0, 1, 1, 1], [0, 0, 1, 1]))
    found = gain(below, above, second, ["cat", "dog"])
    assert (found["difference"], found["interval"]) == (0.25, [0.25, 0.25])
    assert found["interval_images"] == list(mean_interval([0, 1, 0, 0], within=(-1, 1))[1:])
    assert found["interval_images"][0] < 0
    assert not found["measurable"]
    many = [answers(row * 9, row * 9, labels=[0] * 36) for row in ([0, 1, 1, 1], [0, 0, 1, 1])]
    assert gain(*many, second, ["cat", "dog"])["measurable"]


def test_gains_of_classes_by_hand() -> None:
    before = answers([0, 1, 1, 1, 2], [1, 1, 1, 1, 2], labels=[0, 0, 1, 1, 2])
    after = answers([0, 0, 1, 0, 2], labels=[0, 0, 1, 1, 2])
    found = class_gains(before, after, ["cat", "dog", "newt"])
    assert list(found) == ["cat", "dog"]  # one image of a newt has no spread
    cat = found["cat"]
    assert (cat["images"], cat["first"], cat["last"], cat["difference"]) == (2, 0.25, 1.0, 0.75)
    assert cat["interval"] == [-1, 1]  # two images
    assert found["dog"]["difference"] == -0.5


def test_seeds_are_pairs_where_the_training_is_the_same(built: tuple[Path, dict]) -> None:
    """An average of the weights changes no step, so every epoch's figures are those below."""
    paired = [(below, above) for below, above in pairwise(RUNGS) if above.paired]
    assert [above.name for _, above in paired] == ["averaging"]
    assert not [rung.name for rung in ASIDE if rung.paired]
    for below, above in paired:
        assert changed(below.recipe, above.recipe) - {"name", "summary"} == {"ema"}
    for seed in (0, 1):
        runs = [Run(built[0] / "runs" / f"{name}-seed{seed}") for name in ("first", "second")]
        losses = [[row["loss"] for row in run.history] for run in runs]
        assert losses[0] == losses[1]


def test_an_ensemble_is_set_against_its_mean_member(built: tuple[Path, dict]) -> None:
    folder, found = built
    by_name = {rung["name"]: rung for rung in found["rungs"]}
    kept = [np.load(folder / "answers" / f"views-seed{s}-test.npz") for s in (0, 1)]
    shares = np.mean([softmax(k["logits"] / k["temperature"]) for k in kept], axis=0)
    right = shares.argmax(axis=1) == kept[0]["labels"]
    assert by_name["mean"]["accuracy_mean"] == pytest.approx(right.mean())
    expected = right.mean() - by_name["views"]["accuracy_mean"]
    assert by_name["mean"]["gain"]["difference"] == pytest.approx(expected)
    assert by_name["mean"]["gain"]["method"] == "images"


def test_costs_count_views_and_models(built: tuple[Path, dict]) -> None:
    rungs = {rung["name"]: rung for rung in built[1]["rungs"]}
    for key, factors in {
        "multiply_adds": (1, 2, 4),
        "parameters": (1, 1, 2),
        "training_operations": (1, 1, 2),
    }.items():
        one = rungs["second"][key]
        assert [rungs[name][key] for name in ("second", "views", "mean")] == [
            pytest.approx(factor * one) for factor in factors
        ]
    images, second_run = 2 * 1150, rungs["second"]
    assert second_run["training_operations"] == 6 * images * second_run["multiply_adds"]


# --- the page ---


def test_the_page_tells_what_is_measured_and_what_is_not(
    built: tuple[Path, dict], tmp_path: Path
) -> None:
    found = json.loads(json.dumps(built[1]))
    for rung, (difference, low, high) in zip(
        found["rungs"][1:],
        [(0.1, 0.05, 0.15), (0.01, -0.02, 0.04), (-0.03, -0.05, -0.01)],
        strict=True,
    ):
        measurable = low > 0 or high < 0
        rung["gain"] |= {"difference": difference, "interval": [low, high]}
        rung["gain"]["interval_images"] = [low - 0.01, high + 0.01]
        rung["gain"]["measurable"] = measurable
    page, picture = write_ladder_page(found, "cifarlab ladder digits", tmp_path)
    text = unescape(page.read_text(encoding="utf-8"))
    assert picture.read_bytes()[1:4] == b"PNG"
    assert "The largest gains, in points: second (+10.0)." in text
    assert "A loss: mean. No measurable gain: views." in text
    for words in (
        "a gain",
        "no measurable gain",
        "a loss",
        "+5.0 to +15.0",
        "+4.0 to +16.0",
        "−3.0",
        "The first, mir",
    ):
        assert words in text
    assert "−6.0 to +0.0" not in text  # an ensemble has one interval, which is over images
    assert "cifarlab ladder digits" in text
    assert "<script" not in text
    assert [row["name"] for row in ladder_context(found, "")["classes"]] == found["class_names"]


def test_one_seed_says_what_its_intervals_are_of(built: tuple[Path, dict]) -> None:
    assert "Means of 2 seeds" in ladder_context(built[1], "")["caption"]
    assert "One seed a rung" in ladder_context(built[1] | {"runs": 1}, "")["caption"]
    assert "judged by itself: of twenty" in ladder_context(built[1], "")["caption"]


# --- the command ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifarlab.ladder, "RUNGS", SMALL)
    monkeypatch.setattr(cifarlab.ladder, "ASIDE", BESIDE)


def test_the_command_goes_on_and_prints_one_document(built: tuple[Path, dict], small: None) -> None:
    answer = invoke("ladder", "digits", "--runs", 2, "--out", built[0], "--aside", "--json")
    assert answer.status == 0, answer
    found: Any = one_document(answer.out)
    assert found["rungs"] == built[1]["rungs"]
    assert Path(found["page"]).exists()
    assert Path(found["plot"]).exists()
    assert "no measurable gain" in answer.err or "a gain" in answer.err
    assert "largest step" in answer.err
    assert "Hardest to the end: " in answer.err
    with_one = invoke("ladder", "digits", "--runs", 1, "--out", built[0])
    assert with_one.status == 0
    assert "ensemble" not in with_one.out  # of one seed there is none


def test_a_recipe_of_another_time_is_one_line(
    built: tuple[Path, dict], small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = invoke("ladder", "digits", "--fast", "--out", built[0])
    assert_one_error(answer, 1, "was trained with epochs 2, not 1", "remove it to train anew")


# --- the records ---


@pytest.fixture
def finished(
    built: tuple[Path, dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """A copy of the small ladder, and where a record of it may go; the scripts can be imported."""
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    ladder = tmp_path / "ladder"
    shutil.copytree(built[0], ladder)
    write_json(ladder / "ladder.json", built[1])
    return ladder, tmp_path / "record"


def kept_text(record: Path) -> str:
    """All that a record says, in any of its files of text."""
    kinds = {".md", ".json", ".html", ".csv"}
    return "\n".join(p.read_text("utf-8") for p in record.rglob("*") if p.suffix in kinds)


def test_a_record_holds_the_figures_and_no_path_of_the_machine(
    finished: tuple[Path, Path], built: tuple[Path, dict], capsys: pytest.CaptureFixture[str]
) -> None:
    import ladder_record

    ladder, record = finished
    assert str(built[0]) in (ladder / "ladder.json").read_text()
    ladder_record.main([str(record), str(ladder)])
    readme = (record / "README.md").read_text("utf-8")
    assert str(built[0].parent) not in kept_text(record)
    assert "`cifarlab ladder digits --runs 2 --aside`" in readme
    assert ladder_record.gains_table(built[1]["rungs"]) in readme
    assert ladder_record.gains_table(built[1]["aside"]) in readme
    kept = json.loads((record / "ladder.json").read_text())
    assert kept["rungs"][1]["runs"] == ["second-seed0", "second-seed1"]
    assert kept["classes"] == built[1]["classes"]
    assert len([*record.glob("runs/*/history.csv")]) == 4
    assert (record / "ladder.html").exists()
    assert "| 1 | the start | " in capsys.readouterr().out
    (record / "README.md").write_text("by hand")
    ladder_record.main([str(record), str(ladder)])
    assert (record / "README.md").read_text() == "by hand"


def test_a_record_of_runs_that_looked_more_often_is_refused(
    finished: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import ladder_record

    ladder, record = finished
    path = ladder / "runs" / "second-seed1" / "result.json"
    result = json.loads(path.read_text())
    write_json(path, result | {"test_looks": 3})
    with pytest.raises(SystemExit) as end:
        ladder_record.main([str(record), str(ladder)])
    assert end.value.code == "error: second-seed1: its test split was opened 3 times, not 2"
    assert not (record / "README.md").exists()
    with pytest.raises(SystemExit, match="is not what a ladder leaves"):
        ladder_record.main([str(record), str(ladder / "runs")])


def test_how_much_seeds_are_alike_by_hand(finished: tuple[Path, Path]) -> None:
    from ladder_record import seed_correlation

    def rung(name: str, below: str | None, *each: float) -> dict[str, Any]:
        figures = {"accuracy_each": each, "accuracy_mean": sum(each) / len(each)}
        return {"name": name, "below": below, "gain": {"method": "welch"}} | figures

    low, high = rung("low", None, 0.5, 0.7), rung("high", "low", 0.8, 0.9)
    assert seed_correlation([low, high]) == pytest.approx(1)
    other = rung("other", "low", 0.9, 0.8)  # as far, the other way
    assert seed_correlation([low, other]) == pytest.approx(-1)
    assert seed_correlation([low, high, other]) == pytest.approx(0)
    pairs = high | {"gain": {"method": "seeds"}}  # known to be alike
    assert seed_correlation([low, other, pairs]) == pytest.approx(-1)
    assert seed_correlation([rung("low", None, 0.5), rung("high", "low", 0.6)]) is None


@pytest.mark.parametrize("path", sorted(REPOSITORY.glob("records/*/ladder.json")), ids=str)
def test_a_ladders_record_tells_its_figures(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    from ladder_record import gains_table

    found = json.loads(path.read_text("utf-8"))
    assert gains_table(found["rungs"]) in (path.parent / "README.md").read_text("utf-8")


def test_architectures_are_trained_alike(finished: tuple[Path, Path]) -> None:
    import architectures

    rungs = architectures.networks(epochs=3)
    assert {f"{rung.name}_short" for rung in rungs} == {
        name for name in recipe_names() if name.endswith("_short")
    }
    for rung in rungs[1:]:
        found = changed(rungs[0].recipe, rung.recipe)
        assert found <= {"name", "summary", "model", "model_options"}
        assert (rung.below, rung.recipe.epochs) == (rungs[0].name, 3)


def test_architectures_are_set_beside_each_other(
    finished: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """On runs that are there already: nothing is trained."""
    import architectures

    ladder, record = finished
    monkeypatch.setattr(architectures, "networks", lambda _: (*SMALL, *BESIDE))
    words = ["--data", "digits", "--runs", "2", "--out", str(ladder), "--record", str(record)]
    architectures.main(words)
    said = capsys.readouterr().out
    rows = [line for line in said.splitlines() if line.startswith("| ")][2:]
    shown = [float(row.split("|")[2].strip(" %")) for row in rows]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) == len((*SMALL, *BESIDE))
    assert f"{ladder}/runs/first-seed0,{ladder}/runs/first-seed1" in said
    assert "--epochs 4 --runs 2 --out runs/architectures" in kept_text(record)
    assert str(ladder) not in kept_text(record)
