"""The audit: planted copies, flipped labels, outliers and small classes are caught and named."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from cifarlab.audit import LOOK, Audit, audit
from cifarlab.audit.alignment import (
    FINE,
    REACH,
    alignment,
    best_shift,
    details,
    mirror,
    sampling,
    spectra,
)
from cifarlab.audit.duplicates import EVIDENCE, find_duplicates, nearest
from cifarlab.audit.labels import confident_suspects, cross_validated_probabilities, deal
from cifarlab.audit.outliers import FAR, imbalance, outlier_scores
from cifarlab.data import Dataset, Split, load_dataset
from cifarlab.errors import DataError, UsageError
from cifarlab.evaluate import evaluate
from cifarlab.metrics import accuracy, softmax
from cifarlab.report.numbers import quoted
from cifarlab.run import Run


def textures(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Images with details of several sizes, none like another: uint8 (N, S, S, 3)."""
    random = np.random.default_rng(seed)
    total = np.zeros((count, side, side, 3))
    for points, weight in ((4, 1.0), (8, 1.0), (16, 1.0)):
        read = sampling(points, side, sigma=0.5)
        grain = random.normal(size=(count, 3, points, points))
        total += weight * (read @ grain @ read.T).transpose(0, 2, 3, 1)
    return np.clip(128 + 60 * total, 0, 255).astype(np.uint8)


# --- copies ---


def edited(large: np.ndarray, way: str) -> np.ndarray:
    """The photograph (N, 64, 64, 3) as another user may have put it online, (N, 32, 32, 3)."""
    small = lambda x: x.reshape(len(x), 32, 2, 32, 2, 3).mean(axis=(2, 4))  # noqa: E731
    plain = small(large)
    if way == "tinted":
        plain = plain * [0.5, 0.6, 0.7] + 40
    elif way == "mirrored":
        plain = plain[:, :, ::-1]
    elif way == "moved":
        plain = np.roll(plain, (3, -2), axis=(1, 2))
    elif way == "cut":
        read = sampling(64, 32, sigma=0.4, zoom=0.85)
        plain = (read @ large.transpose(0, 3, 1, 2) @ read.T).transpose(0, 2, 3, 1)
    return plain.round().astype(np.uint8)


@pytest.mark.parametrize("way", ["same", "tinted", "mirrored", "moved", "cut"])
def test_a_copy_is_told_from_another_image(way: str) -> None:
    large = textures(20, 64)
    plain, copies = edited(large, "same"), edited(large, way)
    alike, mirrored = alignment(plain, copies)
    different, _ = alignment(plain, np.roll(copies, 1, axis=0))
    assert alike.mean() > 0.8
    assert alike.min() > 0.7 > 0.6 > different.max()
    assert mirrored.all() == mirrored.any() == (way == "mirrored")


def test_the_quick_transforms_are_numpys() -> None:
    first, second = (details(textures(5, 32, seed), *FINE) for seed in (0, 1))
    a, b = spectra(first), spectra(second)
    np.testing.assert_allclose(mirror(a), np.fft.rfft2(first[:, :, ::-1]), atol=1e-4)
    surface = np.fft.irfft2(a * np.conj(b), s=(32, 32))
    near = np.r_[0 : REACH + 1, 32 - REACH : 32]
    expected = surface[:, near][:, :, near].max(axis=(1, 2))
    np.testing.assert_allclose(best_shift(a, b), expected, atol=1e-5)


def test_planted_copies_are_found_and_nothing_else() -> None:
    ways = ["same", "tinted", "mirrored", "moved", "cut"]
    large = textures(100, 64)
    images = np.concatenate(
        [edited(large, "same")] + [edited(large[i : i + 1], w) for i, w in enumerate(ways)]
    )
    features = np.random.default_rng(0).normal(size=(len(images), 8))  # of no help
    found = find_duplicates(images, features, np.zeros(len(images), int))
    expected = {(i, 100 + i) for i in range(len(ways))}
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == expected
    assert (found.evidence >= EVIDENCE).all()
    by_copy = {int(second): i for i, second in enumerate(found.second)}
    assert [bool(found.exact[by_copy[100 + i]]) for i in range(5)] == [True] + 4 * [False]
    assert [bool(found.mirrored[by_copy[100 + i]]) for i in range(5)] == [
        w == "mirrored" for w in ways
    ]


@pytest.mark.parametrize("rows", [5, 64, 200])
def test_nearest_is_what_sorting_finds(rows: int) -> None:
    random = np.random.default_rng(0)
    queries, base = random.normal(size=(600, 4)), random.normal(size=(rows, 4))
    found = nearest(queries.astype("float32"), base.astype("float32"), 5)
    expected = np.argsort(-(queries.astype("float32") @ base.astype("float32").T), axis=1)[:, :5]
    np.testing.assert_array_equal(np.sort(found, axis=1), np.sort(expected, axis=1))


def test_sampling_is_a_weighted_mean_at_every_place() -> None:
    for zoom in (1.0, 0.5, 1.3):
        np.testing.assert_allclose(sampling(8, 32, 0.01, zoom).sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(sampling(4, 4, sigma=0.01), np.eye(4))


# --- labels ---


def test_suspects_by_the_papers_rule() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    p = random.dirichlet([1, 1, 1], 60) + 0.8 * np.eye(3)[labels]
    p[:4] = np.roll(p[:4], 1, axis=1)
    p /= p.sum(axis=1, keepdims=True)
    bars = [np.mean([p[i, j] for i in range(60) if labels[i] == j]) for j in range(3)]
    expected = {}
    for i in range(60):
        sure = [j for j in range(3) if p[i, j] >= bars[j]]
        best = max(sure, key=lambda j: p[i, j], default=labels[i])
        if best != labels[i] and p[i, best] > p[i, labels[i]]:
            expected[i] = best
    found = confident_suspects(p, labels)
    assert dict(zip(found.index.tolist(), found.suggested.tolist(), strict=True)) == expected
    assert len(expected) >= 4
    assert (np.diff(found.margin) <= 0).all()


def test_a_class_without_images_is_never_suggested() -> None:
    p = np.array([[0.1, 0.1, 0.8], [0.9, 0.1, 0.0], [0.1, 0.9, 0.0]])
    assert confident_suspects(p, np.array([0, 0, 1])).suggested.tolist() in ([], [1])


def test_probabilities_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="finite probabilities"):
        confident_suspects(np.ones((3, 2)), np.zeros(4, int))


def test_a_row_has_no_say_in_its_own_probabilities() -> None:
    """With more features than rows a fit in sample would be perfect; out of it, it is a guess."""
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(200, 300)), random.integers(0, 2, 200)
    p = cross_validated_probabilities([x], labels, 2, folds=5)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert 0.3 < accuracy(p, labels) < 0.65


def test_folds_are_even_in_every_class() -> None:
    labels = np.repeat([0, 1, 2], [50, 20, 7])
    fold = deal(labels, 5)
    for label in range(3):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1
    with pytest.raises(UsageError, match="folds must be 2 to the 77 images"):
        cross_validated_probabilities([np.ones((77, 2))], labels, 3, folds=1)


# --- outliers and balance ---


def test_outliers_are_far_from_their_own_class() -> None:
    random = np.random.default_rng(0)
    centres = 8 * np.eye(5)[[0, 1]]
    labels = np.repeat([0, 1, 2], [60, 60, 2])
    x = np.concatenate([random.normal(size=(60, 5)) + c for c in centres] + [np.ones((2, 5))])
    x[5], x[70] = [0, 8, 0, 0, 0], [0, 0, 9, 0, 0]  # one of the other class, one of none
    scores = outlier_scores(x, labels)
    assert set(np.argsort(-scores)[:2].tolist()) == {5, 70}
    assert scores[-2:].tolist() == [0, 0]  # two images have no usual distance


def test_what_is_no_copy_in_a_class_of_copies_is_no_outlier() -> None:
    x = np.random.default_rng(0).normal(size=(100, 16))
    x[:60] = x[0]
    labels = np.zeros(100, int)
    assert 1 < outlier_scores(x, labels).max() < FAR
    x[:99] = x[0]
    assert outlier_scores(x, labels).argmax() == 99
    assert outlier_scores(x, labels).max() > FAR


def test_small_classes_are_named() -> None:
    found = imbalance(np.repeat([0, 1, 2], [100, 50, 49]), ("a", "b", "c"))
    assert (found["imbalanced"], found["small"]) == (True, ["c"])
    even = imbalance(np.repeat([0, 1], [10, 9]), ("a", "b"))
    assert (even["imbalanced"], even["small"]) == (False, [])
    assert imbalance(np.zeros(3, int), ("a", "b"))["ratio"] is None


# --- a run's whole dataset ---

FLIPPED, COPIES = 8, 6  # 2 % of the labels; test images of each kind of copy


@pytest.fixture(scope="module")
def sound() -> Dataset:
    """400 digits to train on, 60 for test."""
    digits = load_dataset("digits", image_size=16)
    test = digits.open_test().select(np.arange(60))
    return dataset(digits.train.select(np.arange(400)), test, digits.class_names)


def dataset(train: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    return Dataset(name="made", source="made", class_names=class_names, train=train, test=test)


@pytest.fixture(scope="module")
def faulty(sound) -> tuple[Dataset, dict[int, int]]:
    """The same with leaks into test, flipped labels and a class of which little is left."""
    random = np.random.default_rng(0)
    eights = np.flatnonzero(sound.train.labels == 8)
    train = sound.train.select(np.setdiff1d(np.arange(400), eights[12:]))
    labels, images = train.labels.copy(), sound.open_test().images.copy()
    flipped = random.choice(len(labels), FLIPPED, replace=False)
    labels[flipped] = (labels[flipped] + random.integers(1, 10, FLIPPED)) % 10
    source = train.images[: 3 * COPIES]
    images[:COPIES] = source[:COPIES]
    images[COPIES : 2 * COPIES] = source[COPIES : 2 * COPIES] // 2 + 50
    images[2 * COPIES : 3 * COPIES] = source[2 * COPIES :, :, ::-1]
    test = Split(images, sound.open_test().labels)
    made = dataset(Split(train.images, labels), test, sound.class_names)
    return made, {int(i): int(train.labels[i]) for i in flipped}


@pytest.fixture(scope="module")
def trained(faulty, tmp_path_factory) -> Path:
    """A run that learned from the faulty data, as it is in life."""
    from cifarlab.train import train

    return train(faulty[0], "debug", epochs=20, out=tmp_path_factory.mktemp("audited") / "run").path


@pytest.fixture(scope="module")
def found(trained, faulty, tmp_path_factory) -> tuple[Audit, Path]:
    out = tmp_path_factory.mktemp("found")
    other = dataset(
        faulty[0].train, faulty[0].open_test().select(np.arange(59)), faulty[0].class_names
    )
    return audit(trained, data=other, out=out), out


def test_leaks_are_caught_and_named(found) -> None:
    result, _ = found
    assert set(range(3 * COPIES)) <= set(result.leaked)
    assert len(result.leaked) <= 3 * COPIES + 2
    pairs = {(f.split, f.index, f.other_split, f.other_index): f for f in result.findings}
    for i in range(3 * COPIES):
        assert pairs["test", i, "train", i].kind == "leak"
        assert pairs["test", i, "train", i].exact == (i < COPIES)


def test_flipped_labels_are_caught_and_named(found, faulty) -> None:
    result, _ = found
    labels = [f for f in result.findings if f.kind == "label" and f.split == "train"]
    hits = [f for f in labels if f.index in faulty[1]]
    right = [f for f in hits if f.suggested == faulty[0].class_names[faulty[1][f.index]]]
    assert len(hits) >= 0.75 * FLIPPED
    assert len(right) >= 0.8 * len(hits)
    first = {f.index for f in labels[:FLIPPED]}
    assert len(first & set(faulty[1])) >= 0.6 * FLIPPED  # they stand first


def test_an_imbalanced_class_is_caught_and_named(found) -> None:
    balance = found[0].balance["train"]
    assert balance["imbalanced"]
    assert balance["small"] == ["8"]


@pytest.fixture(scope="module")
def page(found, trained, tmp_path_factory) -> str:
    """The text of a report on the run with this audit, one space between words."""
    from cifarlab.report import write_report

    run = shutil.copytree(trained, tmp_path_factory.mktemp("reported") / "run")
    shutil.copy(found[1] / "audit.json", run)
    text = write_report(Run(run)).read_text(encoding="utf-8")
    section = text.partition('<section id="audit">')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]*>|\xa0", " ", section).split())


def test_the_report_names_the_leaks(found, page) -> None:
    assert f"{len(found[0].leaked)} test images have a copy elsewhere" in page
    for i in range(COPIES):
        assert f"test {i} the very same pixels as training {i} " in page
    assert "a copy of training" in page


def test_the_report_names_the_flipped_labels(found, faulty, page) -> None:
    assert f"{found[0].counts['label']} labels that may be wrong" in page
    names, labels = faulty[0].class_names, faulty[0].train.labels
    named = [
        i
        for i, right in faulty[1].items()
        if f"training {i} labelled {names[labels[i]]}, rather {names[right]} " in page
    ]
    assert len(named) >= 0.6 * FLIPPED


def test_the_report_names_the_small_class(faulty, page) -> None:
    counts = np.bincount(faulty[0].train.labels)
    largest = f"the largest class has {counts.max()}, {quoted('8')} {counts[8]}"
    assert f"Training images are imbalanced: {largest}." in page


def test_sound_data_is_called_sound(trained, sound, tmp_path) -> None:
    result = audit(trained, data=sound, out=tmp_path)
    assert len(result.leaked) <= 2
    assert result.counts["exact"] == result.counts["conflicting"] == 0
    assert not result.balance["train"]["imbalanced"]
    assert result.counts["label"] <= 0.05 * 400


def test_what_is_written_says_what_was_found(found) -> None:
    result, out = found
    rows = list(csv.DictReader((out / "findings.csv").open()))
    assert len(rows) == len(result.findings)
    kinds = [row["kind"] for row in rows]
    near = [row for row in rows if row["exact"] == "False"]
    assert near
    assert all(float(row["evidence"]) >= EVIDENCE for row in near)
    assert {kind: kinds.count(kind) for kind in ("leak", "label")} == {
        kind: result.counts[kind] for kind in ("leak", "label")
    }
    value = json.loads((out / "audit.json").read_text())
    assert value == json.loads(json.dumps(result.to_json()))
    for kind in ("leak", "label"):
        assert value["findings"][kind]
    pages = {Path(path).name for path in result.files}
    assert {"findings.csv", "leaks.png", "label-suspects.png"} <= pages
    assert all(Path(path).stat().st_size for path in result.files)


def test_labels_of_test_stay_closed_until_evaluated(found, faulty) -> None:
    result, _ = found
    assert "test" not in result.balance
    assert result.accuracy is None
    assert not [f for f in result.findings if f.split == "test" and f.given is not None]
    assert result.test_look is None  # another dataset's test is not the run's


@pytest.fixture
def own(trained, faulty, tmp_path) -> tuple[Run, Dataset]:
    """A run whose own data is a small part of the faulty."""
    whole, run = faulty[0], Run(shutil.copytree(trained, tmp_path / "run"))
    test = whole.open_test().select(np.arange(40))
    data = dataset(whole.train.select(np.arange(100)), test, whole.class_names)
    known = {**run.data, "fingerprint": data.fingerprint}
    (run.path / "data.json").write_text(json.dumps(known))
    return run, data


def test_the_look_at_test_is_counted_before_and_accuracy_is_told_without_leaks(
    own, monkeypatch
) -> None:
    run, data = own
    evaluation = evaluate(run, data=data)
    counted, open_test = [], data.open_test

    def opening() -> Split:
        counted.append(run.result["test_looks"])
        return open_test()

    monkeypatch.setattr(data, "open_test", opening)
    result = audit(run, data=data)
    assert counted[-1] == run.result["test_looks"] == 2
    assert run.result["test_look_notes"] == [result.test_look] == [LOOK]
    assert result.accuracy["all"]["accuracy"] == evaluation.accuracy
    assert len(result.leaked) >= 3 * COPIES
    rest = np.setdiff1d(np.arange(40), result.leaked)
    expected = accuracy(evaluation.logits[rest], evaluation.labels[rest])
    assert result.accuracy["without_leaked"]["accuracy"] == pytest.approx(expected)
    assert result.accuracy["without_leaked"]["n"] == len(rest)
    assert json.loads((run.path / "audit.json").read_text())["leaked"] == list(result.leaked)


def test_another_datasets_sheets_do_not_take_the_place_of_the_runs_own(own) -> None:
    run, data = own
    names = {Path(path).name for path in audit(run, data=data).files}
    before = {name: (run.path / "audit" / name).read_bytes() for name in names}
    other = dataset(data.train.select(np.arange(60)), data.open_test(), data.class_names)
    assert {Path(path).parent.name for path in audit(run, data=other).files} == {"audit-other"}
    document = json.loads((run.path / "audit-other" / "audit.json").read_text())
    assert document["images"]["train"] == 60
    assert {name: (run.path / "audit" / name).read_bytes() for name in names} == before


def test_suspects_in_test_are_those_of_calibrated_probabilities(own) -> None:
    run, data = own
    fitted = {"temperature": 4.0, "thresholds": {}}
    run.update_result(calibration={"tta": "none", "by_tta": {"none": fitted}})
    evaluation = evaluate(run, data=data, tta="none")
    suspects = confident_suspects(evaluation.probabilities, evaluation.labels)
    raw = confident_suspects(softmax(evaluation.logits), evaluation.labels)
    assert len(suspects.index) > 0
    assert suspects.margin[0] < raw.margin[0] - 0.01  # so that the temperature shows
    found = [f for f in audit(run, data=data).findings if (f.kind, f.split) == ("label", "test")]
    assert [f.index for f in found] == suspects.index.tolist()
    np.testing.assert_allclose([f.score for f in found], suspects.margin, atol=1e-3)


def test_wrong_folds_are_refused_before_test_is_opened(own) -> None:
    run, data = own
    with pytest.raises(UsageError, match="folds must be 2"):
        audit(run, data=data, folds=1)
    assert run.result["test_looks"] == 0


def test_the_command_says_what_was_found(monkeypatch, tmp_path, capsys) -> None:
    from cifarlab.cli import main

    parts = {"recipe": {"name": "mine"}, "data": {}, "environment": {"backend": "tensorflow"}}
    run = Run.create(tmp_path / "run", **parts, seed=0)
    balance = {"train": imbalance(np.repeat([0, 1], [90, 9]), ("cat", "dog"))}
    counts = dict.fromkeys(("leak", "duplicate", "exact", "conflicting", "label", "outlier"), 7)
    figures = {"n": 8, "accuracy": 0.5, "accuracy_ci95": [0.25, 0.75]}
    accuracies = {"all": figures, "without_leaked": figures}
    made = Audit({"train": 99, "test": 9}, (), counts, (3,), accuracies, balance, LOOK, {}, ("a",))
    asked = {}
    monkeypatch.setattr(
        sys.modules["cifarlab.audit"], "audit", lambda run, **how: asked.update(how) or made
    )
    with pytest.raises(SystemExit) as end:
        main(["audit", str(run.path), "--folds", "3", "--data", "digits", "--json"])
    output = capsys.readouterr()
    assert end.value.code == 0
    assert asked == {"data": "digits", "out": None, "folds": 3}
    assert json.loads(output.out) == json.loads(json.dumps(made.to_json()))
    assert "Test images with a copy elsewhere: 1" in output.err
    assert "accuracy on test images without a copy: 50.00%" in output.err
    assert "the largest class has 90 images; few: dog (9)" in output.err
