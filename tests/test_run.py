"""The run folder: never overwritten, whole or not at all, and honest about damage."""

from __future__ import annotations

import errno
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cifarlab import run as module
from cifarlab.errors import CifarlabError, RunError
from cifarlab.run import HISTORY, Run

DOCUMENTS = ("recipe.json", "data.json", "environment.json", "result.json")


def create(out: Path | None = None, name: str = "mine", **fields) -> Run:
    parts = {"recipe": {"name": name}, "data": {"name": "pets"}, "environment": {}, "seed": 3}
    return Run.create(out, **{**parts, **fields})


@pytest.fixture
def run(tmp_path) -> Run:
    return create(tmp_path / "run")


def everything(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


# --- a new run ---


def test_a_new_run_says_what_it_will_be(tmp_path) -> None:
    run = create(tmp_path / "new" / "run", tensorboard=True)
    assert sorted(path.name for path in run.path.iterdir()) == sorted(DOCUMENTS)
    assert (run.name, os.fspath(run)) == ("run", str(run.path))
    assert (run.recipe, run.data, run.environment) == ({"name": "mine"}, {"name": "pets"}, {})
    assert run.result == {
        "recipe": "mine",
        "dataset": "pets",
        "seed": 3,
        "completed": False,
        "test_looks": 0,
        "tensorboard": True,
    }
    assert run.history == []


def test_runs_are_numbered(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [create().path for _ in range(2)] == [Path("runs/mine-1"), Path("runs/mine-2")]
    for name in ("mine-9", "mine-x", "mine-10-old", "mines-50", "other-70", "mine"):
        Path("runs", name).mkdir()
    assert create().path == Path("runs/mine-10")  # after the highest, whatever holes there are
    assert create(name="a.b").path == Path("runs/a.b-1")
    Path("runs/axb-5").mkdir()
    assert create(name="a.b").path == Path("runs/a.b-2")  # a name is no pattern


def test_a_number_that_another_process_takes_first_is_left_to_it(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    rename, theirs = os.rename, []

    def racing(source, target) -> None:
        if len(theirs) < 2:  # it takes mine-1, then mine-2, between our look and our rename
            Path(target).mkdir()
            (Path(target) / "recipe.json").write_text("theirs")
            theirs.append(Path(target))
        rename(source, target)

    monkeypatch.setattr(module.os, "rename", racing)
    assert create().path == Path("runs/mine-3")
    assert theirs == [Path("runs/mine-1"), Path("runs/mine-2")]
    assert [everything(path) for path in theirs] == [{"recipe.json": b"theirs"}] * 2
    assert sorted(os.listdir("runs")) == ["mine-1", "mine-2", "mine-3"]


@pytest.mark.parametrize("kind", ["run", "folder", "file"])
def test_what_exists_is_not_overwritten(tmp_path, kind: str) -> None:
    out = tmp_path / "out"
    if kind == "run":
        create(out)
    elif kind == "folder":
        out.mkdir()
        (out / "photo.jpg").write_bytes(b"precious")
    else:
        out.write_bytes(b"precious")
    before = everything(tmp_path)
    with pytest.raises(RunError, match=r"out exists and is not overwritten.*--resume"):
        create(out, name="other")
    assert everything(tmp_path) == before


def test_an_empty_folder_may_become_the_run(tmp_path) -> None:
    (tmp_path / "out").mkdir()
    assert create(tmp_path / "out").recipe == {"name": "mine"}


@pytest.mark.parametrize("out", ["out", None])
@pytest.mark.parametrize("written", range(4))
def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch, out, written: int) -> None:
    monkeypatch.chdir(tmp_path)
    write, done = module.write_json, []

    def failing(path, value) -> None:
        if len(done) == written:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(path)
        write(path, value)

    monkeypatch.setattr(module, "write_json", failing)
    with pytest.raises(CifarlabError, match=r"cannot write .* the disk is full"):
        create(Path(out) if out else None)
    assert [path for path in tmp_path.rglob("*") if path.name != "runs"] == []


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch) -> None:
    def interrupted(path, value) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "write_json", interrupted)
    with pytest.raises(KeyboardInterrupt):
        create(tmp_path / "out")
    assert everything(tmp_path) == {}


def test_a_place_that_cannot_be_written_is_one_line(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CifarlabError, match="cannot write") as error:
        create(tmp_path / "file" / "run")
    assert "\n" not in str(error.value)

    def refused(source, target) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(module.os, "rename", refused)
    for out in (tmp_path / "run", None):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(CifarlabError, match="Permission denied"):
            create(out)
    assert [path.name for path in tmp_path.rglob("*") if path.name != "runs"] == ["file"]


# --- result.json ---


def test_figures_are_added_and_the_others_kept(run) -> None:
    before = run.result
    run.update_result(accuracy=0.5)
    run.update_result(accuracy=0.75, completed=True)
    assert run.result == {**before, "accuracy": 0.75, "completed": True}


def test_changes_at_once_lose_nothing(run) -> None:
    def count() -> None:
        for _ in range(10):
            run.update_result(lambda result: {"counted": result.get("counted", 0) + 1})

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run.result["counted"] == 30


def test_calibration_of_an_older_run_changes_nothing(run) -> None:
    assert "calibration" not in run.result
    assert run.calibration("flip") == {"temperature": 1, "thresholds": {}}


@pytest.mark.parametrize(
    "kept",
    [
        *(3, {}, {"tta": "none", "by_tta": {}}, {"tta": "none", "by_tta": {"none": 2.0}}),
        *(
            {"tta": "none", "by_tta": {"none": {"temperature": t, "thresholds": {}}}}
            for t in (0, -1, "warm", None, "nan", "inf")
        ),
    ],
)
def test_a_damaged_calibration_is_one_line_that_names_it(run, kept) -> None:
    run.update_result(calibration=kept)
    with pytest.raises(RunError, match=r"result\.json is damaged: its calibration"):
        run.calibration("none")


def test_a_figure_that_json_cannot_say_leaves_the_old_file(run) -> None:
    before = everything(run.path)
    with pytest.raises(ValueError, match="JSON"):
        run.update_result(loss=float("nan"))
    assert everything(run.path) == before


def test_the_current_folder_has_a_name_to_put_others_beside(run, monkeypatch) -> None:
    monkeypatch.chdir(run.path)
    assert Run(".").path.with_name("run-again") == run.path.resolve().with_name("run-again")
    (run.path / "below").mkdir()
    monkeypatch.chdir(run.path / "below")
    assert Run("..").path == run.path.resolve()
    assert Run("../../run").path == Path("../../run")  # any other stays as it was written


# --- damage ---


def test_a_path_that_is_no_run(tmp_path, run) -> None:
    with pytest.raises(RunError, match=r"no run folder .*absent; train one with: cifarlab train"):
        Run(tmp_path / "absent")
    with pytest.raises(RunError, match="no run folder"):
        Run(run.path / "recipe.json")
    with pytest.raises(RunError, match="is not a run folder"):
        Run(tmp_path)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_missing_document_is_named(run, name: str) -> None:
    (run.path / name).unlink()
    with pytest.raises(RunError, match=f"run is not a run folder, or is damaged: it has no {name}"):
        Run(run.path)
    with pytest.raises(RunError, match=f"{name} is damaged"):  # gone since it was opened
        getattr(run, name.removesuffix(".json"))


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("content", [b"", b'{"name": "mi', b"[]", b"\x80\x00", b"\0" * 64])
def test_a_damaged_document_is_one_line_that_names_it(run, name: str, content: bytes) -> None:
    (run.path / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name} is damaged") as error:
        getattr(Run(run.path), name.removesuffix(".json"))
    assert "\n" not in str(error.value)


# --- history.csv ---


def test_history_survives_its_file(run) -> None:
    rows = [
        {"epoch": 1, "seconds": 2.5, "learning_rate": 1e-3, "loss": 1 / 3, "accuracy": 0.1},
        {
            "epoch": 2,
            "seconds": 2.0,
            "learning_rate": 1e-8,
            "loss": 0.25,
            "accuracy": 0.2,
            "val_loss": None,
            "val_accuracy": 0.5,
        },
    ]
    run.write_history(rows)
    assert run.history == [{key: row.get(key) for key in HISTORY} for row in rows]  # to the bit
    assert [type(row["epoch"]) for row in run.history] == [int, int]
    lines = (run.path / "history.csv").read_bytes().split(b"\n")
    assert lines[0] == b"epoch,seconds,learning_rate,loss,accuracy,val_loss,val_accuracy"
    assert lines[1:] == [b"1,2.5,0.001,0.3333333333333333,0.1,,", b"2,2.0,1e-08,0.25,0.2,,0.5", b""]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 64,
        b"\0" * 200_000,  # longer than a field of a CSV may be
        b"epoch,loss\n1,2\n",
        (",".join(HISTORY) + "\n1,2.0,0.1").encode(),
        (",".join(HISTORY) + "\none,2,0.1,1,1,1,1\n").encode(),
        (",".join(HISTORY) + "\n1,2,0.1,x,1,1,1\n").encode(),
        b"\xff" * 10,
    ],
    ids=["empty", "zeros", "long", "columns", "cut", "epoch", "figure", "bytes"],
)
def test_a_damaged_history_is_one_line_that_names_it(run, content: bytes) -> None:
    (run.path / "history.csv").write_bytes(content)
    with pytest.raises(RunError, match=r"history\.csv is damaged") as error:
        _ = run.history
    assert "\n" not in str(error.value)


# --- predictions-<split>.npz ---


def test_predictions_survive_their_file(run) -> None:
    arrays = {
        "logits": np.random.default_rng(0).normal(size=(5, 3)).astype("float32"),
        "labels": np.arange(5),
        "shown_kind": np.array(["random", "worst"]),
    }
    run.write_predictions("val", **arrays)
    read = run.predictions("val")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)
    with pytest.raises(RunError, match=r"no predictions of the test split; .*--split test"):
        run.predictions("test")


class Evil:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickled_predictions_are_refused_and_not_run(run, tmp_path) -> None:
    path = run.path / "predictions-test.npz"
    evil = np.array([Evil(tmp_path / "executed")], dtype=object)
    np.savez(path, logits=evil)
    with pytest.raises(RunError, match=r"predictions-test\.npz is damaged"):
        run.predictions("test")
    with pytest.raises(ValueError, match="allow_pickle"):
        run.write_predictions("val", logits=evil)
    assert not (tmp_path / "executed").exists()
    assert not (run.path / "predictions-val.npz").exists()


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "npy"])
def test_damaged_predictions_are_one_line_that_names_them(run, damage: str) -> None:
    path = run.path / "predictions-test.npz"
    run.write_predictions("test", logits=np.random.default_rng(0).normal(size=(50, 10)))
    whole = path.read_bytes()
    middle = len(whole) // 2
    contents = {
        "empty": b"",
        "text": b"no archive",
        "cut": whole[:middle],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    }
    if damage == "npy":
        with open(path, "wb") as file:
            np.save(file, np.zeros(3))
    else:
        path.write_bytes(contents[damage])
    with pytest.raises(RunError, match=r"predictions-test\.npz is damaged") as error:
        run.predictions("test")
    assert "\n" not in str(error.value)


# --- the model ---

DESCRIPTION = {
    "name": "plain_cnn",
    "num_classes": 3,
    "image_size": 8,
    "mean": (100.0, 110.0, 120.0),
    "std": (50.0, 60.0, 70.0),
    "blocks": ((4,), (6,)),
    "block_dropout": (0.1, 0.1),
    "dense": (5,),
    "batch_norm": True,
    "l2": 1e-4,
}


@pytest.fixture(scope="module")
def model():
    """A model whose every weight and moving statistic is its own."""
    from cifarlab.models import create_model

    made = create_model(**DESCRIPTION)
    random = np.random.default_rng(0)
    made.set_weights([random.uniform(0.1, 1, w.shape) for w in made.weights])
    return made


def test_a_model_comes_back_with_the_same_logits(run, model) -> None:
    images = np.random.default_rng(1).integers(0, 256, (4, 8, 8, 3)).astype("float32")
    run.save_model(model, DESCRIPTION)
    loaded = run.load_model()
    for ours, theirs in zip(model.weights, loaded.weights, strict=True):
        assert ours.path == theirs.path
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    logits = np.asarray(loaded(images, training=False))
    np.testing.assert_array_equal(logits, np.asarray(model(images, training=False)))
    assert json.loads((run.path / "model.json").read_text())["format"] == 1


def test_an_unfinished_run_has_no_model(run) -> None:
    with pytest.raises(RunError, match=r"no finished model; go on with: cifarlab train --resume"):
        run.load_model()


def saved(run: Run, model) -> Path:
    run.save_model(model, DESCRIPTION)
    return run.path / "model.safetensors"


def change_weights(path: Path, change) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "too few", "too many", "shape"])
def test_foreign_or_damaged_weights_are_refused(run, model, damage: str) -> None:
    path = saved(run, model)
    if damage == "missing":
        path.unlink()
    elif damage in ("empty", "cut"):
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else -8])
    elif damage == "too few":
        change_weights(path, lambda weights: weights.pop("logits/bias"))
    elif damage == "too many":
        change_weights(path, lambda weights: weights.update(more=np.zeros(2, "float32")))
    else:
        change_weights(path, lambda w: w.update({"logits/bias": np.zeros(4, "float32")}))
    with pytest.raises(RunError, match=r"model\.safetensors .*model\.json") as error:
        run.load_model()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"format": None},
        {"name": "no_such_model"},
        {"no_such_option": 1},
        {"num_classes": "ten"},
        {"blocks": [[4], [6], [8], [8]]},
    ],
    ids=str,
)
def test_a_description_of_another_version_or_model_is_refused(run, model, change: dict) -> None:
    saved(run, model)
    path = run.path / "model.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(RunError, match=r"model\.json") as error:
        run.load_model()
    assert "\n" not in str(error.value)


def test_two_weights_of_one_name_are_not_saved(run) -> None:
    import keras

    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2, name="twin")(keras.layers.Dense(3, name="other")(inputs))
    twins = keras.Model(inputs, outputs)
    twins.layers[1].kernel._path = twins.layers[2].kernel.path
    with pytest.raises(ValueError, match="same path"):
        run.save_model(twins, {})
    assert not (run.path / "model.safetensors").exists()
