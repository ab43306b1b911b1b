"""`cifarlab.train`: what a run folder holds, and that what the user sets is what is done."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from cifarlab.data import Dataset, Split, load_dataset
from cifarlab.errors import DataError, RunError, UsageError
from cifarlab.evaluate import evaluate
from cifarlab.files import claimed, write_json
from cifarlab.prepare import describe_work, require_effect, with_least_steps
from cifarlab.recipes import Augmentation, get_recipe, recipe_names
from cifarlab.run import Run
from cifarlab.train import resume, train

GOLDEN = Path(__file__).parent / "golden" / "debug_digits.json"
DEBUG = get_recipe("debug")


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = replace(DEBUG, precision="float32")
    return train("digits", recipe, out=tmp_path_factory.mktemp("train") / "digits")


def test_the_curve_is_the_golden_one(digits_run: Run) -> None:
    """Any change of order, augmentation, initial weights, loss or optimizer shows here.

    Another CPU sums in another order, and a training of 108 steps enlarges that: 2 % of the loss is
    ten times the largest difference seen, and a tenth of what another seed makes.
    """
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    assert len(digits_run.history) == len(golden)
    for row, expected in zip(digits_run.history, golden, strict=True):
        for key in ("loss", "val_loss", "learning_rate"):
            assert row[key] == pytest.approx(expected[key], rel=0.02), key


def test_the_run_folder_is_self_sufficient(digits_run: Run) -> None:
    names = {path.name for path in digits_run.path.iterdir()}
    assert names == {
        *("recipe.json", "data.json", "environment.json", "result.json", "history.csv"),
        *("model.json", "model.safetensors", "checkpoint.safetensors"),
    }
    result, data = digits_run.result, digits_run.data
    assert result["completed"]
    assert result["test_looks"] == 0
    assert "accuracy" not in result
    assert result["epochs_run"] == len(digits_run.history) == 3
    assert set(result["seconds"]) == {"setup", "compile", "train"}
    assert (result["known_score"], type(result["known_threshold"])) == ("energy", float)
    assert data["counts"] == {"train": 1150, "validation": 288, "test": 359}
    assert data["class_names"] == [str(digit) for digit in range(10)]
    model = digits_run.load_model()
    assert model.count_params() == result["parameters"]


def test_the_saved_model_is_the_one_that_validated_best(digits_run: Run) -> None:
    from cifarlab.data import load_dataset
    from cifarlab.engine import forward, predict_logits
    from cifarlab.metrics import log_loss

    data = load_dataset("digits", image_size=16)
    _, validation = data.carve(DEBUG.validation, 0)
    logits = predict_logits(forward(digits_run.load_model()), validation.images)
    best = digits_run.history[digits_run.result["best_epoch"] - 1]["val_loss"]
    assert log_loss(logits, validation.labels) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("tta", ["none", "flip"])
def test_calibration_is_fitted_on_validation_as_it_will_be_used(
    tmp_path: Path, tiny_dataset: Dataset, tta: str
) -> None:
    """By single images for `predict`, by the recipe's views for `evaluate`; test stays closed."""
    from cifarlab.engine import forward
    from cifarlab.evaluate import predict_views
    from cifarlab.metrics import calibrate
    from cifarlab.unknowns import energy, threshold

    recipe = replace(DEBUG, tta=tta, epochs=2)
    run = train(tiny_dataset, recipe, out=tmp_path / "run")
    _, validation = tiny_dataset.carve(DEBUG.validation, 0)
    call, kept = forward(run.load_model()), run.result["calibration"]
    assert (kept["split"], kept["n"], kept["tta"]) == ("val", len(validation), tta)
    assert set(kept["by_tta"]) == {"none", tta}
    for name, found in kept["by_tta"].items():
        logits = predict_views(call, validation.images, name)
        expected = calibrate(logits, validation.labels)
        assert found["temperature"] == pytest.approx(expected["temperature"], rel=1e-4)
        assert set(found["thresholds"]) == {"0.95", "0.99"}
        assert run.calibration(name) == found
        if name == "none":
            # Of raw logits, as an exported file gives them.
            bar = run.result["known_threshold"]
            assert bar == pytest.approx(threshold(energy(logits)), rel=1e-5)


def test_epochs_and_validation_of_the_user_win(tmp_path: Path, tiny_dataset: Dataset) -> None:
    run = train(tiny_dataset, DEBUG, epochs=1, validation=0.5, out=tmp_path / "run")
    assert run.recipe["epochs"] == 1
    assert run.data["counts"]["validation"] == 64
    assert len(run.history) == 1


def test_a_fraction_is_refused_where_the_data_has_a_validation_split(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    few = tiny_dataset.train.select(range(8))
    parts = {"class_names": tiny_dataset.class_names, "train": tiny_dataset.train}
    data = Dataset(name="own", source="own", validation=few, **parts)
    with pytest.raises(UsageError, match="own has a validation split of its own, 8 images"):
        train(data, DEBUG, validation=0.5, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())
    for fraction in (None, 0.0):  # that of the recipe, and none, which has an effect
        require_effect(data, fraction)
    require_effect(tiny_dataset, 0.5)


def test_without_validation_nothing_is_validated(tmp_path: Path, tiny_dataset: Dataset) -> None:
    recipe = replace(DEBUG, validation=0.0, plateau=None, early_stopping=None, epochs=1)
    run = train(tiny_dataset, recipe, out=tmp_path / "run")
    assert run.history[0]["val_loss"] is None
    assert run.result["known_threshold"] is None
    assert run.result["calibration"] is None
    assert run.calibration("none") == {"temperature": 1, "thresholds": {}}


def test_further_callbacks_of_keras_work_unchanged(tmp_path: Path, tiny_dataset: Dataset) -> None:
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 0.01 / (epoch + 1))
    log = keras.callbacks.CSVLogger(str(tmp_path / "log.csv"))
    recipe = replace(DEBUG, plateau=None, epochs=2)
    run = train(tiny_dataset, recipe, out=tmp_path / "run", callbacks=[schedule, log])
    assert [row["learning_rate"] for row in run.history] == pytest.approx([0.01, 0.005])
    logged = (tmp_path / "log.csv").read_text().splitlines()
    assert logged[0].split(",") == [
        *("epoch", "accuracy", "learning_rate", "loss", "val_accuracy", "val_loss")
    ]
    assert len(logged) == 3


def test_weights_that_a_further_callback_puts_back_are_named(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    rates = keras.callbacks.LearningRateScheduler(lambda epoch, rate: 1e-3 if epoch == 0 else 10.0)
    best = keras.callbacks.EarlyStopping("val_loss", patience=9, restore_best_weights=True)
    recipe = replace(DEBUG, plateau=None, early_stopping=None, epochs=2)
    run = train(tiny_dataset, recipe, out=tmp_path / "run", callbacks=[rates, best])
    losses = [row["val_loss"] for row in run.history]
    assert losses[0] < losses[1]
    assert (run.result["best_epoch"], run.result["epochs_run"]) == (1, 2)


def test_tensorboard_logs_are_written_where_asked(tmp_path: Path, tiny_dataset: Dataset) -> None:
    pytest.importorskip("tensorboard")
    run = train(tiny_dataset, DEBUG, epochs=1, out=tmp_path / "run", tensorboard=True)
    assert list((run.path / "tensorboard").rglob("events.out.tfevents.*"))


def test_every_recipe_field_reaches_the_training(tmp_path: Path, tiny_dataset: Dataset) -> None:
    """Changing any one field that says how to train changes the weights that come out."""
    base = replace(DEBUG, epochs=1, precision="float32")
    changes = {
        "pixels": "unit",
        "validation": 0.4,
        "augmentation": Augmentation(flip=True),
        "batch_size": 16,
        "optimizer": "sgd",
        "learning_rate": 1e-2,
        "label_smoothing": 0.1,
        "model_options": {**DEBUG.model_options, "block_dropout": (0.3, 0.1)},
    }
    seen = {weights(train(tiny_dataset, base, out=tmp_path / "base"))}
    for name, value in changes.items():
        recipe = replace(base, **{name: value})
        seen.add(weights(train(tiny_dataset, recipe, out=tmp_path / name)))
    recipe = replace(base, plateau=None, schedule="cosine")
    seen.add(weights(train(tiny_dataset, recipe, out=tmp_path / "schedule")))
    seen.add(weights(train(tiny_dataset, base, seed=1, out=tmp_path / "seed")))
    assert len(seen) == len(changes) + 3
    assert weights(train(tiny_dataset, base, out=tmp_path / "again")) in seen


def weights(run: Run) -> bytes:
    return (run.path / "model.safetensors").read_bytes()


def test_an_image_size_that_does_not_fit_is_refused(tmp_path: Path, tiny_dataset: Dataset) -> None:
    with pytest.raises(DataError, match="loaded at 16 pixels and the recipe wants 8"):
        train(tiny_dataset, replace(DEBUG, image_size=8), out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_seed_out_of_range_is_refused(tmp_path: Path, tiny_dataset: Dataset) -> None:
    with pytest.raises(UsageError, match="seed must be in"):
        train(tiny_dataset, DEBUG, seed=-1, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("file", "key", "value", "message"),
    [
        ("data.json", "fingerprint", "sha256:0", "its fingerprint is sha256:0"),
        ("environment.json", "threads", 999, "its threads is 999"),
        ("environment.json", "cpu", "abacus", "its cpu is abacus"),
        ("environment.json", "precision", "float8", "its precision is float8"),
        ("environment.json", "versions", {"keras": "1.0"}, "its version of keras is 1.0"),
    ],
)
def test_resume_names_what_differs(
    digits_run: Run, tmp_path: Path, file: str, key: str, value: object, message: str
) -> None:
    import shutil

    copy = Run(shutil.copytree(digits_run.path, tmp_path / "copy"))
    content = json.loads((copy.path / file).read_text())
    if isinstance(value, dict):
        value = {**content[key], **value}
    write_json(copy.path / file, {**content, key: value})
    with pytest.raises(RunError, match=message):
        resume(copy)


@pytest.mark.skipif(os.name == "nt", reason="no lock on folders")
def test_a_run_is_trained_by_one_process_at_a_time(digits_run: Run) -> None:
    with claimed(digits_run.path), pytest.raises(RunError, match="another process is at work"):
        resume(digits_run)


def test_resume_of_a_finished_run_changes_nothing(digits_run: Run) -> None:
    before = {path: path.read_bytes() for path in digits_run.path.iterdir()}
    assert resume(digits_run).path == digits_run.path
    assert {path: path.read_bytes() for path in digits_run.path.iterdir()} == before


def test_a_dataset_smaller_than_a_batch_trains(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    data = Dataset(
        name="ten", source="ten", class_names=("a", "b"), train=Split(images, np.arange(10) % 2)
    )
    run = train(data, DEBUG, epochs=1, out=tmp_path / "run")
    assert len(run.history) == 1


def test_few_images_are_seen_more_often(tmp_path: Path, tiny_dataset: Dataset) -> None:
    steps = -(-len(tiny_dataset.carve(DEBUG.validation, 0)[0]) // DEBUG.batch_size)
    recipe = replace(DEBUG, epochs=1, least_steps=2 * steps + 1)
    run = train(tiny_dataset, recipe, out=tmp_path / "more")
    assert len(run.history) == run.result["epochs_run"] == 3
    assert not run.result["stopped_early"]
    asked = train(tiny_dataset, recipe, epochs=2, out=tmp_path / "asked")
    assert len(asked.history) == 2


def test_few_images_are_trained_on_in_smaller_batches_as_if_these_were_asked_for(
    tmp_path: Path, tiny_dataset: Dataset
) -> None:
    """Batches shrink to the least that the recipe allows, epochs are added for the rest."""
    told: list[tuple] = []
    silent = lambda *_: None  # noqa: E731
    display = SimpleNamespace(begin=lambda *words: told.append(words), step=silent, epoch=silent)
    base = replace(DEBUG, epochs=1, optimizer="muon", learning_rate=0.05)
    few = replace(base, least_steps=26, least_batch=8)
    run = train(tiny_dataset, few, out=tmp_path / "few", display=display)
    what = "debug on quarters, 102 images in batches of 8 rather than 32, since they are few"
    assert told == [(f"{what}, seed 0: {run.path}", 2, 13)]
    assert (run.result["batch_size"], run.result["epochs_run"]) == (8, 2)
    asked = train(tiny_dataset, replace(base, batch_size=8, epochs=2), out=tmp_path / "asked")
    assert weights(run) == weights(asked)


@pytest.mark.parametrize(("hard", "said"), [((1.0, 0.5), True), ((1.0, 1.0), False), ((), False)])
def test_training_figures_of_hard_images_are_called_so(hard, said, tiny_dataset: Dataset) -> None:
    program: Any = SimpleNamespace(images=tiny_dataset.train.images, batch_size=32, hard=hard)
    words = describe_work(DEBUG, tiny_dataset, program)
    assert ("of those visited" in words) is said


@pytest.mark.parametrize("name", recipe_names())
def test_all_of_cifar_10_is_trained_on_as_the_recipe_says(name: str) -> None:
    recipe = get_recipe(name)
    assert with_least_steps(recipe, round(50_000 * (1 - recipe.validation))) == recipe


@pytest.mark.parametrize(
    ("count", "changes", "made"),
    [
        (45_000, {}, (448, 4)),  # smaller batches are enough
        (12_480, {}, (128, 4)),
        (12_479, {}, (128, 4)),  # 98 batches, the last filled up
        (12_416, {}, (128, 5)),
        (5_000, {}, (128, 10)),  # and where they are not, epochs are added
        (127, {}, (128, 390)),
        (5_000, {"least_batch": 64}, (64, 5)),
        (5_000, {"least_batch": 0}, (500, 39)),
        (5_000, {"least_batch": 600}, (500, 39)),  # never above the recipe's
        (5_000, {"least_steps": 0}, (500, 4)),
    ],
)
def test_batches_shrink_before_epochs_are_added(count: int, changes: dict, made: tuple) -> None:
    quick = get_recipe("quick")
    recipe = with_least_steps(replace(quick, **changes), count)
    assert (recipe.batch_size, recipe.epochs) == made
    assert recipe.hard == (quick.hard if recipe.epochs == quick.epochs else ())


@pytest.mark.parametrize("name", ["fast94", "robust", "fast96", "best"])
def test_recipes_too_large_to_train_here_train_in_miniature(
    name: str, tmp_path: Path, tiny_folder: Path
) -> None:
    """A few channels, images of 16 pixels, two epochs: only sizes differ."""
    recipe = get_recipe(name)
    small = replace(
        recipe,
        model_options={**recipe.model_options, "widths": (4, 6, 8)},
        augmentation=replace(recipe.augmentation, cutout=min(recipe.augmentation.cutout, 2)),
        image_size=16,
        sizes=(12, 16),
        validation=0.2,
        batch_size=16,
        epochs=2,
        least_steps=0,
    )
    run = train(load_dataset(tiny_folder, image_size=16), small, out=tmp_path / "run")
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert all(np.isfinite(row["val_loss"]) for row in run.history)
    evaluation = evaluate(run)
    assert evaluation.tta == recipe.tta
    assert evaluation.n == 32
