"""Evaluation: honest about test, equal to scikit-learn, and kept in the run."""

from __future__ import annotations

import importlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics as sklearn_metrics

from cifarlab.data import Dataset, Split, load_dataset
from cifarlab.errors import DataError, RunError, UnknownNameError
from cifarlab.evaluate import Evaluation, evaluate, predict_views, views
from cifarlab.metrics import expected_calibration_error, softmax
from cifarlab.run import Run

TTA = ("none", "flip", "shift", "selective")


def logits_of(run: Run, images: np.ndarray) -> np.ndarray:
    return np.asarray(run.load_model()(images.astype("float32"), training=False))


def same(**options) -> dict:
    """Tolerances for float32 logits near 1 summed in two orders."""
    return {"rtol": 1e-4, "atol": 1e-5, **options}


# --- the test split ---


def test_test_figures_are_the_models_and_stay_in_the_run(run, tiny_dataset) -> None:
    before = run.result
    evaluation = evaluate(run)
    test = tiny_dataset.open_test()
    assert (evaluation.split, evaluation.tta, evaluation.n) == ("test", "none", 32)
    np.testing.assert_array_equal(evaluation.labels, test.labels)
    np.testing.assert_allclose(evaluation.logits, logits_of(run, test.images), **same())
    assert evaluation.logits.dtype == np.float32

    result = run.result
    assert {k: v for k, v in result.items() if k in evaluation.to_json()} == evaluation.to_json()
    untouched = set(before) - {"seconds", "test_looks"}
    assert {key: result[key] for key in untouched} == {key: before[key] for key in untouched}
    seconds = result["seconds"]
    assert seconds.pop("evaluate") == evaluation.seconds > 0
    assert seconds == before["seconds"]

    kept = run.predictions("test")
    np.testing.assert_array_equal(kept["logits"], evaluation.logits)
    np.testing.assert_array_equal(kept["labels"], evaluation.labels)
    shown_images_are_what_they_say(kept, test)


def shown_images_are_what_they_say(kept: dict, test: Split) -> None:
    index, kind = kept["shown_index"], kept["shown_kind"]
    np.testing.assert_array_equal(kept["shown_images"], test.images[index])
    random, worst = index[kind == "random"], index[kind == "worst"]
    cells = index[kind == "cell"]
    assert len(random) + len(worst) + len(cells) == len(kind)
    assert len(set(random)) == len(random) == 24
    assert list(random) != sorted(random)  # drawn, not the first ones
    wrong = kept["logits"].argmax(axis=1) != kept["labels"]
    sure = softmax(kept["logits"] / kept["temperature"]).max(axis=1)
    assert len(set(worst)) == len(worst) == min(24, wrong.sum()) > 0
    assert wrong[worst].all()
    assert (np.diff(sure[worst]) <= 0).all()
    others = sorted(set(np.flatnonzero(wrong)) - set(worst))
    assert sure[others].max(initial=0) <= sure[worst].min()
    mistakes = list(zip(kept["labels"], kept["logits"].argmax(axis=1), strict=True))
    for cell in {mistakes[i] for i in np.flatnonzero(wrong)}:  # of each the surest, up to six
        of_cell = [i for i in np.flatnonzero(wrong) if mistakes[i] == cell]
        expected = sorted(of_cell, key=lambda i: -sure[i])[:6]
        assert [i for i in cells if mistakes[i] == cell] == expected


def test_every_look_is_counted_before_it_happens(run, tiny_dataset, monkeypatch) -> None:
    assert run.result["test_looks"] == 0
    _ = tiny_dataset.fingerprint  # is no look, and reads the split too
    counted, open_test = [], tiny_dataset.open_test

    def opening() -> Split:
        counted.append(Run(run.path).result["test_looks"])
        return open_test()

    monkeypatch.setattr(tiny_dataset, "open_test", opening)
    assert evaluate(run, data=tiny_dataset).test_looks == 1
    assert evaluate(run, data=tiny_dataset).test_looks == 2
    assert counted == [1, 2]

    def failing(*_) -> None:
        raise MemoryError

    module = importlib.import_module("cifarlab.evaluate")  # the package's name is the function's
    monkeypatch.setattr(module, "predict_logits", failing)
    with pytest.raises(MemoryError):
        evaluate(run, data=tiny_dataset)
    assert run.result["test_looks"] == 3  # a look is a look, whatever comes of it


def test_a_look_of_another_command_meanwhile_stays_counted(run, tiny_dataset, monkeypatch) -> None:
    module = importlib.import_module("cifarlab.evaluate")
    predict_views = module.predict_views

    def meanwhile(*arguments: object) -> np.ndarray:
        assert module.count_look(run, "an audit") == 2
        return predict_views(*arguments)

    monkeypatch.setattr(module, "predict_views", meanwhile)
    assert evaluate(run, data=tiny_dataset).test_looks == 1
    assert (run.result["test_looks"], run.result["test_look_notes"]) == (2, ["an audit"])


def test_a_dataset_without_test_split_is_not_looked_at(run, tiny_dataset) -> None:
    bare = Dataset(
        name="bare",
        source=tiny_dataset.source,
        class_names=tiny_dataset.class_names,
        train=tiny_dataset.train,
    )
    known = json.loads((run.path / "data.json").read_text())
    known["fingerprint"] = bare.fingerprint  # as if the run had been trained on it
    (run.path / "data.json").write_text(json.dumps(known))
    with pytest.raises(DataError, match=r"no test split.*--split val"):
        evaluate(run, data=bare)
    assert run.result["test_looks"] == 0


# --- the other splits ---


def test_val_and_train_are_the_trainings_own(run, tiny_dataset) -> None:
    evaluate(run)
    result = (run.path / "result.json").read_bytes()
    training, validation = tiny_dataset.carve(0.2, 0)
    for split, carved in (("val", validation), ("train", training)):
        evaluation = evaluate(run, split=split)
        np.testing.assert_array_equal(evaluation.labels, carved.labels)
        np.testing.assert_allclose(evaluation.logits, logits_of(run, carved.images), **same())
        assert evaluation.test_looks == 1
        np.testing.assert_array_equal(run.predictions(split)["logits"], evaluation.logits)
        if split == "val":  # what the training said of it
            (row,) = run.history
            assert evaluation.accuracy == row["val_accuracy"]
            uncalibrated = evaluation.figures["loss_uncalibrated"]
            assert uncalibrated == pytest.approx(row["val_loss"], rel=1e-5)
            assert evaluation.loss < uncalibrated  # the temperature was fitted here
    assert (run.path / "result.json").read_bytes() == result  # the figures there are test's


def test_an_empty_split_is_refused(run) -> None:
    known = run.data
    (run.path / "data.json").write_text(json.dumps({**known, "validation_fraction": 0}))
    with pytest.raises(DataError, match=r"the val split of .*run is empty; name another"):
        evaluate(run, split="val")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "tset"}, "unknown split 'tset'; did you mean 'test'"),
        ({"split": "vall"}, "unknown split 'vall'; did you mean 'val'"),
        ({"tta": "flp"}, "unknown tta 'flp'; did you mean 'flip'"),
    ],
)
def test_a_wrong_name_is_refused_before_anything_is_opened(run, options, message) -> None:
    with pytest.raises(UnknownNameError, match=message):
        evaluate(run, **options)
    assert run.result["test_looks"] == 0


def test_an_unfinished_run_is_refused(run) -> None:
    (run.path / "model.json").unlink()
    with pytest.raises(RunError, match="--resume"):
        evaluate(run)
    assert run.result["test_looks"] == 0


# --- other data ---


def test_data_that_changed_since_is_refused(run, tiny_folder, tmp_path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "quarters")
    known = {**run.data, "source": str(folder)}
    (run.path / "data.json").write_text(json.dumps(known))
    path = folder / "test" / "north_east" / "03.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[0, 0, 0] ^= 128
    Image.fromarray(pixels).save(path)
    with pytest.raises(RunError, match=r"is not what .* was trained on .*--data"):
        evaluate(run)
    assert run.result["test_looks"] == 0

    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    evaluation = evaluate(run, data=folder)  # named, so meant: measured, but not as the run's own
    assert (evaluation.n, evaluation.test_looks) == (32, 0)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


def test_data_that_moved_is_the_same_data(run, tiny_folder, tmp_path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "elsewhere")
    assert evaluate(run, data=folder).test_looks == 1
    assert run.result["accuracy"] == evaluate(run).accuracy


def test_other_class_names_are_refused(run, tiny_folder, tmp_path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "renamed")
    for split in ("train", "test"):
        (folder / split / "north_east").rename(folder / split / "porth_east")
    with pytest.raises(DataError, match=r"porth_east.*run knows north_east"):
        evaluate(run, data=folder)
    assert run.result["test_looks"] == 0


def test_classes_in_another_order_are_never_mixed_up(run, tiny_dataset) -> None:
    """The same names at other positions: refused, or matched by name."""
    swapped = Dataset(
        name="swapped",
        source=tiny_dataset.source,
        class_names=tiny_dataset.class_names[::-1],
        train=tiny_dataset.train,
        test=tiny_dataset.open_test(),
    )
    with pytest.raises(DataError, match="has the classes"):
        evaluate(run, data=swapped)


def test_images_of_another_size_are_refused(run, tiny_folder) -> None:
    data = load_dataset(tiny_folder, image_size=8)
    with pytest.raises(DataError, match=r"loaded at 8 pixels and .*run wants 16"):
        evaluate(run, data=data)
    assert run.result["test_looks"] == 0


# --- calibration ---


def calibrated(run: Run, tta: str, **temperatures: float) -> Run:
    """`run` as if its validation had given these temperatures, by views."""
    by_tta = {
        name: {"temperature": temperature, "thresholds": {"0.95": temperature / 10, "0.99": None}}
        for name, temperature in temperatures.items()
    }
    run.update_result(calibration={"split": "val", "n": 32, "tta": tta, "by_tta": by_tta})
    return run


def test_figures_are_of_calibrated_logits_and_the_raw_ones_are_kept(run, tiny_dataset) -> None:
    calibrated(run, "none", none=3.0)
    evaluation = evaluate(run)
    raw = logits_of(run, tiny_dataset.open_test().images)
    kept = run.predictions("test")
    for logits in (kept["logits"], evaluation.logits):
        np.testing.assert_allclose(logits, raw, **same())
    assert kept["temperature"] == evaluation.temperature == run.result["temperature"] == 3
    np.testing.assert_allclose(evaluation.probabilities, softmax(raw / 3), **same())
    result, labels = run.result, evaluation.labels
    for suffix, logits in (("", raw / 3), ("_uncalibrated", raw)):
        loss = sklearn_metrics.log_loss(labels, softmax(logits), labels=range(4))
        assert result[f"loss{suffix}"] == pytest.approx(loss, rel=1e-5)
        error = expected_calibration_error(logits, labels)
        assert result[f"ece{suffix}"] == pytest.approx(error, abs=1e-6)


def test_each_kind_of_views_has_its_temperature_and_others_the_recipes(run) -> None:
    calibrated(run, "flip", none=1.5, flip=2.0)
    found = {tta: evaluate(run, split="val", tta=tta).temperature for tta in TTA}
    assert found == {"none": 1.5, "flip": 2.0, "shift": 2.0, "selective": 2.0}


def test_what_a_threshold_gives_is_measured(run) -> None:
    evaluation = evaluate(calibrated(run, "none", none=4.0), split="val")
    sure = evaluation.probabilities.max(axis=1) >= 0.4
    right = evaluation.predictions == evaluation.labels
    assert 0 < sure.sum() < len(sure)
    assert evaluation.to_json()["thresholds"] == {
        "0.95": {
            "confidence": 0.4,
            "coverage": pytest.approx(sure.mean()),
            "precision": pytest.approx(right[sure].mean()),
        },
        "0.99": None,
    }


def test_a_run_without_calibration_is_measured_as_it_is(run) -> None:
    calibration = run.result.pop("calibration")
    assert calibration["by_tta"]["none"]["temperature"] != 1
    run.update_result(calibration=None)  # it held nothing out; an older run has no such key
    evaluation = evaluate(run, split="val")
    assert evaluation.temperature == 1
    assert evaluation.loss == evaluation.figures["loss_uncalibrated"]
    assert evaluation.figures["thresholds"] == {}


# --- test-time augmentation ---


def test_views_by_hand() -> None:
    image = np.arange(27, dtype=np.uint8).reshape(1, 3, 3, 3)
    np.testing.assert_array_equal(views(image, "none"), [image])
    np.testing.assert_array_equal(views(image, "flip"), [image, image[:, :, ::-1]])
    # One pixel down and right, then up and left; the edge is reflected, not repeated.
    down, up = image[:, [1, 0, 1]][:, :, [1, 0, 1]], image[:, [1, 2, 1]][:, :, [1, 2, 1]]
    expected = [view for move in (image, down, up) for view in (move, move[:, :, ::-1])]
    np.testing.assert_array_equal(views(image, "shift"), expected)


def test_views_that_are_known_are_not_predicted_again(tiny_dataset) -> None:
    images, seen = tiny_dataset.open_test().images, []

    def call(batch: np.ndarray) -> np.ndarray:
        seen.append(batch)
        return batch.mean(axis=(1, 3))[:, :4] * [1, 2, 3, 4]

    plain = predict_views(call, images, "none")
    whole = predict_views(call, images, "flip")
    seen.clear()
    np.testing.assert_array_equal(predict_views(call, images, "flip", plain), whole)
    np.testing.assert_array_equal(np.concatenate(seen), images[:, :, ::-1])


@pytest.mark.parametrize("tta", ["flip", "shift"])
def test_logits_are_averaged_over_views(run, tiny_dataset, tta: str) -> None:
    images = tiny_dataset.open_test().images
    evaluation = evaluate(run, tta=tta)
    each = [logits_of(run, view) for view in views(images, tta)]
    assert np.abs(each[0] - each[1]).max() > 1e-3  # the views do differ
    np.testing.assert_allclose(evaluation.logits, np.mean(each, axis=0), **same())
    assert evaluation.logits.dtype == np.float32
    assert run.result["tta"] == evaluation.tta == run.predictions("test")["tta"] == tta
    gain = run.result["tta_gain"]
    assert gain["accuracy_without"] == np.mean(each[0].argmax(axis=1) == evaluation.labels)
    assert gain["difference"] == pytest.approx(evaluation.accuracy - gain["accuracy_without"])
    assert gain["views"] == len(each)
    assert gain["seconds_ratio"] > 1


def test_selective_looks_again_at_the_quarter_that_is_least_sure() -> None:
    sure = np.array([9.0, 1.0, 5.0, 2.0, 9.0])  # of five images; two are a quarter, rounded up
    images = np.zeros((5, 4, 4, 3), "uint8")
    images[:, 1, 1, 0] = np.arange(5)  # which image it is; moved or mirrored it is elsewhere

    def call(batch: np.ndarray) -> np.ndarray:
        image = np.asarray(batch).max(axis=(1, 2, 3)).astype(int)
        seen_as_it_is = np.asarray(batch)[:, 1, 1, 0] == image
        return np.stack([sure[image], np.where(seen_as_it_is, 0.0, 6.0)], axis=1)

    logits = predict_views(call, images, "selective")
    np.testing.assert_allclose(logits[[0, 2, 4]], np.stack([sure[[0, 2, 4]], np.zeros(3)], axis=1))
    np.testing.assert_allclose(logits[[1, 3]], predict_views(call, images[[1, 3]], "shift"))
    assert logits[1, 1] > 0


def test_the_gain_of_views_is_tested_on_the_same_images() -> None:
    """With views 8 of 40 are right that were wrong, 1 is wrong that was right: 0.175 ahead."""
    labels = np.zeros(40, int)
    without, averaged = (np.tile([2.0, 0.0], (40, 1)) for _ in range(2))
    without[:8] = averaged[39] = [0.0, 2.0]
    parts = ("val", averaged, labels, ("a", "b"), "selective", 0, 3.0)
    gain = Evaluation(*parts, plain=without, plain_seconds=1.5).figures["tta_gain"]
    assert gain["difference"] == pytest.approx(7 / 40)
    low, high = gain["difference_ci95"]
    assert 0 < low < 7 / 40 < high
    assert gain["p_value"] == pytest.approx(2 * 10 / 2**9)  # of nine fair coins eight or more
    assert (gain["views"], gain["seconds_ratio"]) == (2.25, 2)
    assert Evaluation(*parts).figures["tta_gain"] is None


# --- figures ---


@pytest.fixture
def guesses() -> Evaluation:
    """300 random logits of four classes, one of which is never right and one never predicted."""
    random = np.random.default_rng(0)
    logits = random.normal(size=(300, 4)).astype("float32")
    logits[:, 3] = -9
    labels = random.integers(0, 3, 300)
    labels[labels == 2] = 3
    return Evaluation("val", logits, labels, ("a", "b", "c", "d"), "none", 0, 1.0)


def test_figures_are_scikit_learns(guesses) -> None:
    e, every = guesses, range(4)
    predicted = e.logits.argmax(axis=1)
    assert (e.n, e.predictions.tolist()) == (300, predicted.tolist())
    assert e.accuracy == sklearn_metrics.accuracy_score(e.labels, predicted)
    loss = sklearn_metrics.log_loss(e.labels, e.probabilities, labels=list(every))
    assert e.loss == pytest.approx(loss, rel=1e-9)
    np.testing.assert_array_equal(
        e.confusion_matrix, sklearn_metrics.confusion_matrix(e.labels, predicted, labels=every)
    )
    expected = sklearn_metrics.precision_recall_fscore_support(
        e.labels, predicted, labels=every, zero_division=0
    )
    found = [
        [e.per_class[name][key] for name in e.class_names]
        for key in ("precision", "recall", "f1", "support")
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    low, high = e.accuracy_ci95
    assert 0 <= low < e.accuracy < high <= 1


def test_figures_as_json(guesses) -> None:
    value = guesses.to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert set(value) == {
        *("split", "n", "accuracy", "accuracy_ci95", "loss", "ece", "per_class"),
        *("confusion_matrix", "tta", "test_looks", "balanced_accuracy", "balanced_accuracy_ci95"),
        *("top_k_accuracy", "most_confused", "brier_score", "ece_equal_mass", "reliability"),
        *("roc_auc", "average_precision", "aurc", "temperature", "thresholds"),
        *("loss_uncalibrated", "ece_uncalibrated", "tta_gain"),
    }
    assert value["confusion_matrix"] == guesses.confusion_matrix.tolist()
    assert (value["split"], value["tta"], value["test_looks"]) == ("val", "none", 0)
    assert value["accuracy_ci95"] == list(guesses.accuracy_ci95)
