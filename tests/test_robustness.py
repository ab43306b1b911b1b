"""Robustness: the table is the model's own, one look however long it is, kept in the run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cifarlab.cli import main
from cifarlab.corrupt import corrupt, corruption_names
from cifarlab.data import Dataset, Split, load_dataset
from cifarlab.errors import DataError, RunError, UnknownNameError, UsageError
from cifarlab.metrics import mean_interval, wilson_interval
from cifarlab.robustness import Robustness, draw, measure_robustness
from cifarlab.run import Run

SIZE = 16


@pytest.fixture(scope="module")
def made(untrained_run, tmp_path_factory) -> Path:
    """A run whose model is wrong often, and quick; tests work on copies of it."""
    options = {"blocks": [[8]], "dense": [], "block_dropout": [0.0]}
    return untrained_run(tmp_path_factory.mktemp("made") / "run", **options).path


@pytest.fixture
def run(made, tmp_path) -> Run:
    return Run(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def dataset(tiny_folder) -> Dataset:
    return load_dataset(tiny_folder, image_size=SIZE)


def right(run: Run, images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    logits = np.asarray(run.load_model()(images.astype("float32"), training=False))
    return logits.argmax(axis=1) == labels


# --- the table ---


def test_every_cell_is_the_models_accuracy_on_the_same_images(run, dataset) -> None:
    found = measure_robustness(run, severities=[5, 1], names=["fog", "rotate"], seed=3)
    _, validation = dataset.carve(0.2, 0)
    images, labels = validation.images, validation.labels
    assert (found.split, found.n, found.severities) == ("val", len(labels), (1, 5))
    np.testing.assert_array_equal(found.clean, right(run, images, labels))
    assert 0 < found.clean_accuracy < 1
    for name in ("fog", "rotate"):
        for i, severity in enumerate((1, 5)):
            expected = right(run, corrupt(images, name, severity, seed=3), labels)
            np.testing.assert_array_equal(found.right[name][i], expected)
            assert found.accuracy(name, severity) == expected.mean()
    assert json.loads((run.path / "robustness.json").read_text()) == found.to_json()


def test_all_corruptions_are_measured_where_none_is_named(run) -> None:
    told = []
    found = measure_robustness(
        run, severities=[2], limit=5, progress=lambda *state: told.append(state)
    )
    assert list(found.right) == corruption_names()
    assert told == [(i, 21, name) for i, name in enumerate(corruption_names())]


def test_a_limit_draws_at_random_the_same_every_time(run, dataset) -> None:
    options = {"names": ["shift"], "severities": [1], "limit": 9}
    found, again = (measure_robustness(run, split="train", **options) for _ in range(2))
    training, _ = dataset.carve(0.2, 0)
    index = draw(len(training), 9, seed=0)
    np.testing.assert_array_equal(
        found.clean, right(run, training.images[index], training.labels[index])
    )
    assert found.to_json() | {"seconds": 0} == again.to_json() | {"seconds": 0}
    assert (found.n, found.images_in_split) == (9, len(training))
    assert len(set(training.labels[index])) > 1  # a folder's classes stand one after the other
    assert list(index) == sorted(set(index))
    assert list(index) != list(draw(len(training), 9, seed=1))


def by_hand() -> Robustness:
    table = {
        "fog": np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool),
        "snow": np.array([[1, 1, 0, 0], [1, 1, 0, 0]], bool),
        "jpeg_compression": np.array([[1, 1, 1, 1], [1, 1, 1, 1]], bool),
        "shift": np.array([[0, 0, 0, 0], [0, 0, 0, 1]], bool),
    }
    return Robustness("val", (1, 3), np.array([1, 1, 1, 0], bool), table, 10, 0, 2, 0.5)


def test_figures_by_hand() -> None:
    found = by_hand()
    assert found.clean_accuracy == 0.75
    assert (found.accuracy("fog", 1), found.accuracy("fog", 3), found.accuracy("fog")) == (
        *(0.75, 0.25),
        0.5,
    )
    assert found.names("weather") == ["fog", "snow"]
    assert found.mean_accuracy("weather") == 0.5
    assert found.mean_accuracy("geometry") == 0.125
    assert found.mean_accuracy("noise") is None
    assert found.mean_interval("noise") is None
    # Without geometry: (fog 0.5 + snow 0.5 + jpeg 1) / 3.
    assert found.mean_accuracy() == pytest.approx(2 / 3)
    # An image's share over the six cells: 1, 5/6, 1/2, 1/3.
    _, low, high = mean_interval([1, 5 / 6, 1 / 2, 1 / 3])
    assert found.mean_interval() == pytest.approx((low, min(high, 1)))


def test_json_holds_every_figure() -> None:
    found = by_hand().to_json()
    assert found["clean"] == {"accuracy": 0.75, "accuracy_ci95": list(wilson_interval(3, 4))}
    assert found["corruptions"]["fog"] == {
        "kind": "weather",
        "mean_accuracy": 0.5,
        "by_severity": {
            "1": {"accuracy": 0.75, "accuracy_ci95": list(wilson_interval(3, 4))},
            "3": {"accuracy": 0.25, "accuracy_ci95": list(wilson_interval(1, 4))},
        },
    }
    assert found["mean_accuracy_by_kind"] == {"weather": 0.5, "digital": 1.0, "geometry": 0.125}
    assert (found["n"], found["images_in_split"], found["test_looks"]) == (4, 10, 2)
    json.dumps(found, allow_nan=False)


# --- the test split ---


def test_the_whole_table_is_one_look_counted_before_it_happens(run, dataset, monkeypatch) -> None:
    _ = dataset.fingerprint
    counted, open_test = [], dataset.open_test

    def opening() -> Split:
        counted.append(Run(run.path).result["test_looks"])
        return open_test()

    monkeypatch.setattr(dataset, "open_test", opening)
    options = {"data": dataset, "split": "test", "limit": 4}
    found = measure_robustness(run, names=["fog", "shift"], **options)
    assert (found.test_looks, counted, run.result["test_looks"]) == (1, [1], 1)
    assert json.loads((run.path / "robustness.json").read_text())["test_looks"] == 1
    assert measure_robustness(run, names=["fog"], **options).test_looks == 2
    assert measure_robustness(run, names=["fog"], data=dataset, limit=4).test_looks == 2
    assert counted == [1, 2]
    assert "accuracy" not in run.result  # those are of evaluate


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"names": ["fgo"]}, UnknownNameError, "did you mean 'fog'"),
        ({"severities": [0]}, UsageError, "severities are among 1, 2, 3, 4, 5"),
        ({"severities": []}, UsageError, "severities are among"),
        ({"limit": 0}, UsageError, "limit is at least 1"),
        ({"split": "tset"}, UnknownNameError, "did you mean 'test'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_opened(run, options, error, message) -> None:
    with pytest.raises(error, match=message):
        measure_robustness(run, **{"split": "test", **options})
    assert run.result["test_looks"] == 0
    assert not (run.path / "robustness.json").exists()


def test_other_data_are_measured_but_not_kept(run, tiny_folder, tmp_path, cli) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "fewer")
    (folder / "test" / "north_east" / "00.png").unlink()
    found = measure_robustness(run, data=folder, split="test", names=["fog"], severities=[1])
    assert (found.n, found.test_looks, run.result["test_looks"]) == (31, 0, 0)
    status, _, err = cli("--data", folder, "--limit", 4, "--severities", 1, "--only", "fog")
    assert status == 0, err
    assert not (run.path / "robustness.json").exists()
    assert [path.name for path in (run.path / "plots").iterdir()] == ["robustness-other.png"]


def test_a_run_that_cannot_be_measured(run, dataset) -> None:
    bare = Dataset(name="bare", source="x", class_names=dataset.class_names, train=dataset.train)
    with pytest.raises(DataError, match="no test split"):
        measure_robustness(run, data=bare, split="test")
    (run.path / "model.json").unlink()
    with pytest.raises(RunError, match="--resume"):
        measure_robustness(run, split="test")
    assert run.result["test_looks"] == 0


# --- the command ---


@pytest.fixture
def cli(capfd, run):
    """Run the command; gives (exit status, stdout, stderr)."""

    def invoke(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main(["robustness", str(run.path), *map(str, words)])
        return int(end.value.code or 0), *capfd.readouterr()

    return invoke


def test_the_command_prints_one_document_and_draws(cli, run) -> None:
    words = ["--limit", 10, "--severities", "1,5", "--only", "fog,shift", "--json"]
    status, out, err = cli(*words)
    assert (status, out.count("\n")) == (0, 1), err
    found = json.loads(out)
    assert found == json.loads((run.path / "robustness.json").read_text())
    assert (found["n"], found["severities"], found["split"]) == (10, [1, 5], "val")
    assert "2/2 shift" in err
    assert f"accuracy in % on 10 of {found['images_in_split']} val images" in err
    rows = [line.split() for line in err.splitlines()]
    cells = found["corruptions"]["fog"]["by_severity"]
    shown = [f"{100 * cells[s]['accuracy']:.1f}" for s in "15"]
    assert ["fog", "weather", *shown] in [row[:4] for row in rows]
    assert (run.path / "plots" / "robustness.png").read_bytes()[1:4] == b"PNG"


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--only", "fgo"], "'fog'"),
        (["--severities", "1,x"], "1,3,5"),
        (["--severities", "6"], "among 1, 2, 3, 4, 5"),
        (["--split", "vl"], "'val'"),
    ],
)
def test_wrong_words_are_one_line(cli, run, words, fragment) -> None:
    status, out, err = cli(*words)
    assert (status, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert fragment in err
    assert not (run.path / "robustness.json").exists()
