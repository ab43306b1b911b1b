"""``cifarlab train``, ``evaluate`` and ``report``, in one process but for one run of each kind."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from cifarlab import backend, cli
from cifarlab.data import load_dataset
from cifarlab.files import write_json
from cifarlab.run import Run
from cifarlab.train import resume, train

FIGURES = {
    *("split", "n", "accuracy", "accuracy_ci95", "loss", "ece", "per_class"),
    *("confusion_matrix", "tta", "test_looks", "balanced_accuracy", "balanced_accuracy_ci95"),
    *("top_k_accuracy", "most_confused", "brier_score", "ece_equal_mass", "reliability"),
    *("roc_auc", "average_precision", "aurc", "temperature", "thresholds"),
    *("loss_uncalibrated", "ece_uncalibrated", "tta_gain"),
}
BY_TRAINING = {
    *("recipe", "dataset", "seed", "epochs_run", "best_epoch", "stopped_early", "seconds"),
    *("completed", "known_score", "known_threshold"),
    *("batch_size", "parameters", "model_summary", "backend", "precision"),
    "calibration",
}
FILES = (
    *("recipe.json", "environment.json", "data.json", "result.json", "history.csv"),
    *("model.json", "model.safetensors", "checkpoint.safetensors"),
    *("predictions-test.npz", "report.html"),
)


class Answer(NamedTuple):
    status: int
    out: str
    err: str


def invoke(*words: object) -> Answer:
    """Run one command in this process."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2)]
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        with pytest.raises(SystemExit) as end:
            cli.main([str(word) for word in words])
        for stream in streams:
            stream.flush()
    texts = [stream.buffer.getvalue().decode() for stream in streams]  # type: ignore[attr-defined]
    return Answer(int(end.value.code or 0), *texts)


def one_document(text: str) -> object:
    """What `text` says, if it is one line of JSON and nothing else."""
    assert text.endswith("\n")
    assert text.count("\n") == 1
    return json.loads(text)


def assert_one_error(answer: Answer, status: int, *fragments: str) -> None:
    assert answer.status == status, answer
    assert answer.out == ""
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    for fragment in fragments:
        assert fragment in answer.err


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture(scope="module")
def trained(tiny_folder, tmp_path_factory) -> tuple[Path, Answer]:
    """A run that a process of its own made, and what it printed. Tests work on copies of it."""
    out = tmp_path_factory.mktemp("trained") / "run"
    words = ["train", tiny_folder, "--recipe", "debug", "--epochs", "1", "--out", out, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "cifarlab", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    return out, Answer(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run(trained, tmp_path) -> Path:
    return shutil.copytree(trained[0], tmp_path / "run")


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A folder to work in, without CIFAR-10 anywhere."""
    monkeypatch.delenv("CIFARLAB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- train ---


@pytest.mark.parametrize("words", [("--val", "0.1"), ("--set", "validation=0.1")])
def test_a_fraction_is_refused_where_the_data_has_a_validation_split(
    tiny_folder, place, words
) -> None:
    shutil.copytree(tiny_folder, place / "own")
    shutil.copytree(tiny_folder / "test", place / "own" / "val")
    answer = invoke("train", "own", "--recipe", "debug", *words, "--out", "run")
    assert_one_error(answer, 2, "own has a validation split of its own, 32 images", "leave it out")
    assert not (place / "run").exists()


def test_train_leaves_a_measured_and_reported_run(trained, tiny_folder) -> None:
    path, answer = trained
    assert answer.status == 0, answer.err
    result = one_document(answer.out)
    assert result == {"run": str(path), **Run(path).result}
    assert set(result) >= FIGURES | BY_TRAINING
    assert (result["recipe"], result["dataset"], result["seed"]) == ("debug", "quarters", 0)
    assert (result["completed"], result["split"], result["n"]) == (True, "test", 32)
    assert result["test_looks"] == 1
    assert result["epochs_run"] == result["best_epoch"] == 1
    assert set(result["seconds"]) == {"setup", "compile", "train", "evaluate"}
    assert Run(path).recipe["epochs"] == 1
    assert Run(path).data["source"] == str(tiny_folder)
    for name in FILES:
        assert (path / name).stat().st_size > 0, name
    assert list((path / "plots").glob("*.png"))
    assert not [name for name in files_below(path.parent) if name.startswith(".")]
    # People's text, and none of the backend's notices, on the other stream.
    assert "test accuracy" in answer.err
    assert f"cifarlab report {path}" in answer.err
    assert answer.err.startswith(f"debug on quarters, 102 images, seed 0: {path}\n")


def test_several_runs_have_seeds_folders_and_a_mean(place, tiny_folder) -> None:
    words = ("train", tiny_folder, "--recipe", "debug", "--set", "epochs=1", "--seed", 4)
    answer = invoke(*words, "--runs", 2, "--out", "both", "--json")
    assert answer.status == 0, answer.err
    results = one_document(answer.out)
    assert [result["seed"] for result in results] == [4, 5]
    assert [result["run"] for result in results] == ["both/debug-seed4", "both/debug-seed5"]
    runs = [Run(result["run"]) for result in results]
    assert [run.result["completed"] for run in runs] == [True, True]
    logits = [run.predictions("test")["logits"] for run in runs]
    assert (logits[0] != logits[1]).any()
    mean = np.mean([result["accuracy"] for result in results])
    assert f"2 seeds: mean {mean:.2%}" in answer.err
    assert sorted(os.listdir("both")) == ["debug-seed4", "debug-seed5"]


def test_test_can_stay_closed(place, tiny_folder) -> None:
    words = ("train", tiny_folder, "--recipe", "debug", "--epochs", 1, "--no-test", "--json")
    answer = invoke(*words, "--out", "closed")
    assert answer.status == 0, answer.err
    result = one_document(answer.out)
    assert (result["split"], result["test_looks"]) == ("val", 0)
    assert "validation accuracy" in answer.err
    run = Run(place / "closed")
    assert "accuracy" not in run.result
    assert (run.path / "predictions-val.npz").exists()
    assert not (run.path / "predictions-test.npz").exists()
    assert (run.path / "report.html").exists()
    # Going on without the word opens it, once.
    answer = invoke("train", "--resume", "closed", "--json")
    assert one_document(answer.out)["test_looks"] == 1
    none_left = invoke(*words, "--val", 0, "--set", "plateau=none", "--set", "early_stopping=none")
    assert_one_error(none_left, 2, "--no-test measures on validation", "--val 0.1")


def test_without_cifar10_it_says_why_and_trains_on_the_fallback(place) -> None:
    words = ("train", "--recipe", "debug", "--epochs", 1, "--fallback", "digits")
    answer = invoke(*words)
    assert answer.status == 0, answer.err
    why, instead = answer.err.splitlines()
    assert why.startswith("CIFAR-10 is neither on this machine")
    assert "CIFARLAB_DATA" in why
    assert instead == "training on digits instead"
    result = Run("runs/debug-1").result
    assert (result["dataset"], result["n"], result["completed"]) == ("digits", 359, True)
    assert answer.out.startswith("scikit-learn has no test split of it")  # the dataset's note
    rows = [line.split() for line in answer.out.splitlines()]
    (epoch,) = [row for row in rows if row and row[0] == "1"]
    assert len(epoch) == 7
    assert f"{result['accuracy']:.2%}" in answer.out
    assert answer.out.endswith("\n  cifarlab report runs/debug-1\n")


def test_without_cifar10_and_fallback_it_is_an_error(place) -> None:
    answer = invoke("train", "--recipe", "debug")
    assert_one_error(answer, 1, "CIFAR-10", "--fallback digits")
    assert files_below(place) == {}


def make_bad_data(place: Path) -> None:
    """Folders that are no datasets."""
    (place / "empty").mkdir()
    (place / "single" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(place / "single" / "cat" / "1.png")
    for name in ("cat", "dog"):
        (place / "text" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (8, 8)).save(place / "text" / name / f"{number}.png")
    (place / "text" / "dog" / "odd.jpg").write_text("no photograph at all")
    (place / "broken.json").write_text('{"name": "x"')
    (place / "there").mkdir()
    (place / "there" / "photo.jpg").write_text("precious")


BAD = [
    ("train nowhere/at/all", 1, ["nowhere/at/all", "does not exist"]),
    ("train cifar1O", 2, ["cifar1O", "'cifar10'"]),
    ("train empty", 1, ["empty"]),
    ("train single", 1, ["single", "cat"]),
    ("train text", 1, ["odd.jpg"]),
    ("train DATA --recipe debgu", 2, ["unknown recipe 'debgu'", "'debug'"]),
    ("train DATA --recipe broken.json", 2, ["broken.json", "not JSON"]),
    ("train DATA --recipe absent.json", 2, ["absent.json"]),
    ("train DATA --recipe debug --set epoch=3", 2, ["'epoch'", "'epochs'"]),
    ("train DATA --recipe debug --set epochs=three", 2, ["epochs", "'three'"]),
    ("train DATA --recipe debug --set epochs", 2, ["KEY=VALUE", "'epochs'"]),
    ("train DATA --recipe debug --set =3", 2, ["KEY=VALUE"]),
    ("train DATA --recipe debug --set epochs=3 --set epochs=4", 2, ["epochs is set twice"]),
    ("train DATA --recipe debug --epochs 3 --set epochs=4", 2, ["epochs is set twice", "4"]),
    ("train DATA --recipe debug --val 0.1 --set validation=0", 2, ["validation is set twice"]),
    ("train DATA --recipe debug --set model=tutorial_cn", 2, ["'tutorial_cnn'"]),
    ("train DATA --recipe debug --set model_options.droput=0.1", 2, ["'dropout'"]),
    ("train DATA --recipe debug --set model_options.dropout=2", 2, ["plain_cnn", "rate"]),
    ("train DATA --recipe debug --set model_options.l2=1e999", 2, ["l2"]),
    ("train DATA --recipe debug --set image_size=2", 2, ["2-pixel"]),
    ("train DATA --recipe quick --set image_size=8", 2, ["airbench_cnn", "4-pixel"]),
    ("train DATA --recipe debug --set plateau.factor=1.5", 2, ["plateau.factor"]),
    ("train DATA --recipe debug --set augmentation.shift=1", 2, ["augmentation.shift"]),
    ("train DATA --recipe debug --set precision=flaot32", 2, ["'float32'"]),
    ("train DATA --recipe debug --set label_smoothing=0.1 --set labels=integer", 2, ["one-hot"]),
    ("train DATA --recipe debug --epochs 0", 2, ["--epochs"]),
    ("train DATA --recipe debug --epochs many", 2, ["--epochs", "integer"]),
    ("train DATA --recipe debug --val 1.5", 2, ["validation", "1.5"]),
    ("train DATA --recipe debug --val nan", 2, ["validation"]),
    ("train DATA --recipe debug --seed 4294967296", 2, ["seed", "4294967296"]),
    ("train DATA --recipe debug --runs 0", 2, ["--runs"]),
    ("train DATA --recipe debug --backend tensorflw", 2, ["'tensorflow'"]),
    ("train DATA --recipe debug --out there", 1, ["there exists and is not overwritten"]),
    ("train DATA --recipe debug --out broken.json", 1, ["broken.json exists"]),
    ("train DATA --recipe debug --out broken.json/run", 1, ["cannot write", "broken.json"]),
    ("train DATA --recpie debug", 2, ["--recpie", "--recipe"]),
    ("train DATA more", 2, ["more"]),
    ("train --resume nowhere", 1, ["nowhere", "cifarlab train"]),
    ("train --resume there", 1, ["there is not a run folder"]),
    ("train --resume there --runs 2", 2, ["--runs"]),
    ("train --resume there --out new", 2, ["--out"]),
    ("evaluate nowhere", 1, ["nowhere"]),
    ("evaluate there", 1, ["there is not a run folder"]),
    ("report nowhere", 1, ["nowhere"]),
    ("evaluate", 2, ["MODEL"]),
]


@pytest.mark.parametrize(("words", "status", "fragments"), BAD, ids=[words for words, *_ in BAD])
def test_bad_input_is_one_line_and_leaves_nothing(
    place, tiny_folder, words: str, status: int, fragments: list[str]
) -> None:
    make_bad_data(place)
    before = files_below(place)
    answer = invoke(*(str(tiny_folder) if word == "DATA" else word for word in words.split()))
    assert_one_error(answer, status, *fragments)
    assert files_below(place) == before


def test_tensorboard_that_is_missing_is_said_before_training(
    place, tiny_folder, monkeypatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "tensorboard" else find_spec(name, *rest),
    )
    answer = invoke("train", tiny_folder, "--recipe", "debug", "--tensorboard")
    assert_one_error(answer, 1, 'pip install "cifarlab[track]"')
    assert files_below(place) == {}


@pytest.mark.parametrize(("low", "warned"), [(0.24, True), (0.25, True), (0.26, False)])
def test_a_run_that_guesses_is_warned_of(capsys, low: float, warned: bool) -> None:
    from cifarlab.cli import train as command

    supports = {"cat": {"support": 30}, "dog": {"support": 20}, "newt": {"support": 70}}
    result = {"run": "runs/a-1", "split": "test", "n": 280, "accuracy": 0.3, "loss": 2.0}
    command._show([result | {"accuracy_ci95": [low, 0.36], "per_class": supports}])
    printed = capsys.readouterr().out
    assert ("always answering 'newt' has 25.00% right" in printed) is warned
    assert printed.splitlines()[-1].strip() == "cifarlab report runs/a-1"


# --- resume ---


def test_resuming_a_finished_run_looks_at_test_no_second_time(run) -> None:
    before = files_below(run)
    answer = invoke("train", "--resume", run, "--recipe", run / "recipe.json", "--json")
    assert answer.status == 0, answer.err
    assert one_document(answer.out)["test_looks"] == 1
    after = files_below(run)
    for name in ("result.json", "model.safetensors", "history.csv", "recipe.json"):
        assert after[name] == before[name]


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ("--recipe tutorial_cnn", "was started with name debug, not tutorial_cnn"),
        ("--set batch_size=7", "was started with batch_size 32, not 7"),
        ("--epochs 9", "was started with epochs 1, not 9"),
        ("--val 0.5", "was started with validation 0.2, not 0.5"),
        ("--seed 5", "was started with seed 0, not 5"),
        ("digits", "fingerprint"),
    ],
)
def test_resuming_as_another_training_names_the_difference(run, words, fragment) -> None:
    before = files_below(run)
    assert_one_error(invoke("train", "--resume", run, *words.split()), 1, fragment)
    assert files_below(run) == before


def test_resuming_takes_the_backend_that_the_run_began_on(run, monkeypatch) -> None:
    """So the command that an interrupted training prints goes on, whatever the default is."""
    Run(run).update_result(completed=False)
    environment = Run(run).environment
    write_json(run / "environment.json", {**environment, "backend": "jax"})
    asked = []
    monkeypatch.setattr(backend, "load", asked.append)
    assert_one_error(invoke("train", "--resume", run), 1, "its backend is jax")
    assert_one_error(invoke("train", "--resume", run, "--backend", "tensorflow"), 1, "backend")
    assert asked == ["jax", "tensorflow"]


def test_resuming_fits_photographs_as_the_run_did(tmp_path) -> None:
    random = np.random.default_rng(0)
    for number in range(20):
        path = tmp_path / "wide" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (16, 24, 3), dtype=np.uint8)).save(path)
    data = load_dataset(tmp_path / "wide", image_size=16, fit="stretch")
    run = train(data, "debug", epochs=1, out=tmp_path / "run")
    assert resume(run).path == run.path
    assert invoke("train", "--resume", run.path, "--no-test", "--json").status == 0


def test_other_words_of_the_same_recipe_do_not_stop_resuming(run) -> None:
    recipe = {**Run(run).recipe, "summary": "said better"}
    write_json(run.parent / "better.json", recipe)
    answer = invoke("train", "--resume", run, "--recipe", run.parent / "better.json", "--json")
    assert answer.status == 0, answer.err


def test_what_resuming_cannot_do_is_refused_not_ignored(run) -> None:
    before = files_below(run)
    answer = invoke("train", "--resume", run, "--tensorboard")
    assert answer.status in (1, 2)
    assert "--tensorboard" in answer.err
    assert files_below(run) == before


@pytest.mark.parametrize("name", ["recipe.json", "data.json", "environment.json", "result.json"])
@pytest.mark.parametrize("content", ["{", "[]", "{}"])
@pytest.mark.parametrize("command", ["evaluate", "train --resume"])
def test_a_damaged_run_is_one_line_that_names_the_file(run, command, name, content) -> None:
    if command == "evaluate" and name == "recipe.json":
        pytest.skip("evaluation does not read the recipe")
    (run / name).write_text(content)
    before = files_below(run)
    assert_one_error(invoke(*command.split(), run), 1, name, "damaged")
    assert files_below(run) == before


@pytest.mark.parametrize("name", ["recipe.json", "data.json", "environment.json", "result.json"])
def test_no_report_of_a_damaged_run(run, name: str) -> None:
    (run / name).write_text("{")
    (run / "report.html").unlink()
    assert_one_error(invoke("report", run), 1, name, "damaged")
    assert not (run / "report.html").exists()


# --- evaluate and report ---


def test_evaluate_measures_and_counts(run) -> None:
    answer = invoke("evaluate", run, "--tta", "flip", "--json")
    assert answer.status == 0, answer.err
    found = one_document(answer.out)
    assert set(found) == FIGURES
    assert (found["split"], found["tta"], found["test_looks"]) == ("test", "flip", 2)
    assert {key: Run(run).result[key] for key in FIGURES} == found
    assert f"test: accuracy {found['accuracy']:.2%}" in answer.err
    assert "looks at the test split so far: 2" in answer.err


def test_evaluate_on_validation_for_people(run) -> None:
    answer = invoke("evaluate", run, "--split", "val")
    assert (answer.status, answer.err) == (0, "")
    (row,) = Run(run).history
    first = answer.out.splitlines()[0]
    assert first.startswith(f"val: accuracy {row['val_accuracy']:.2%} (95 % interval ")
    assert first.endswith(", 26 images")
    assert answer.out.splitlines()[1].endswith("these are the images that it was fitted to")
    names = [line.split()[0] for line in answer.out.splitlines() if line.split()]
    assert {"north_east", "north_west", "south_east", "south_west"} <= set(names)
    assert answer.out.endswith(f"cifarlab report {run}\n")
    assert "so far: 1" in answer.out


@pytest.mark.parametrize(
    ("words", "nearest"), [("--split tset", "'test'"), ("--tta flp", "'flip'")]
)
def test_evaluate_with_a_wrong_name(run, words: str, nearest: str) -> None:
    before = files_below(run)
    assert_one_error(invoke("evaluate", run, *words.split()), 2, nearest)
    assert files_below(run) == before


def test_report_of_one_run_and_of_two(run, trained, tmp_path) -> None:
    (run / "report.html").unlink()
    answer = invoke("report", run, "--json")
    assert answer.status == 0, answer.err
    assert one_document(answer.out) == {"report": str(run / "report.html")}
    assert (run / "report.html").stat().st_size > 0
    page = tmp_path / "two.html"
    answer = invoke("report", run, shutil.copytree(run, tmp_path / "second"), "--out", page)
    assert answer.status == 0, answer.err
    assert answer.out.splitlines()[0] == f"Report: {page}"
    assert "second" in page.read_text(encoding="utf-8")
    assert_one_error(invoke("report", run, run), 2, "named twice")


# --- the display ---


def test_the_moving_line_tells_pace_and_time_left(monkeypatch, capsys) -> None:
    from cifarlab.cli import display

    lines: list[str] = []

    class Screen:
        def update(self, text) -> None:
            lines.append(text.plain)

    clock = iter([100.0, 104.0, 2000.0])
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    shown = display.TrainingDisplay(Screen())  # type: ignore[arg-type]
    shown.begin("debug on digits", epochs=2, steps=10)
    logs = {"loss": 1.5, "accuracy": 0.25, "images_per_second": 1234.5, "waiting": 0.125}
    shown.step(0, 1, logs)  # the first call compiles: no pace yet
    shown.step(0, 5, logs)  # 0.4 epochs in 4 seconds, 1.5 to go
    assert lines[0].endswith("left -:--")
    assert lines[1] == (
        "epoch 1/2  step 5/10  loss 1.5000  accuracy 0.2500  1,234 images/s  "
        "waiting for data 12.5%  left 0:15"
    )
    shown.step(1, 5, logs)  # 1.4 epochs in 1,900 seconds, 0.5 to go: 678.6 seconds
    assert lines[2].endswith("left 11:19")
    shown.epoch({"epoch": 1, "seconds": 2.0, "learning_rate": 1e-3, "loss": 1.5, "accuracy": 0.25})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "debug on digits"
    assert len(printed[1]) == len(printed[2])  # the columns stand under their heads
    assert printed[2].split() == ["1", "2.0", "1.00e-03", "1.5000", "0.2500", "-", "-"]
    diverged = {"loss": 1e9, "val_loss": 17379425.0, "val_accuracy": 0.1}
    shown.epoch({"epoch": 2, "seconds": 2.0, "learning_rate": 1e-3, "accuracy": 0.25, **diverged})
    numbers = capsys.readouterr().out.split()
    assert numbers[3:] == ["1000000000.0000", "0.2500", "17379425.0000", "0.1000"]


@pytest.mark.parametrize("stopped_after", [387, 390])
def test_of_hundreds_of_epochs_some_are_printed_and_the_last(capsys, stopped_after: int) -> None:
    from cifarlab.cli import display

    figures = {"seconds": 0.1, "learning_rate": 1e-3, "loss": 1.5, "accuracy": 0.25}
    with display.training_display() as shown:
        shown.begin("quick on photos", epochs=390, steps=1)
        for epoch in range(1, stopped_after + 1):
            shown.epoch({"epoch": epoch, **figures})
    captured = capsys.readouterr()
    first, _, *rows = (captured.out + captured.err).splitlines()
    assert first == "quick on photos (390 epochs: one in 20 is printed, all are in history.csv)"
    assert [int(row.split()[0]) for row in rows] == [*range(20, 381, 20), stopped_after]
