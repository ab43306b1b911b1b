"""Compare: the same images or none, tests by hand, and a sentence that says what they allow."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import stats

import cifarlab
from cifarlab import metrics
from cifarlab.answers import read_answers
from cifarlab.cli import main
from cifarlab.compare import against_first, compare
from cifarlab.compare.flips import write_flips
from cifarlab.compare.folder import write_comparison
from cifarlab.data import load_dataset
from cifarlab.errors import CifarlabError, DataError, RunError, UsageError
from cifarlab.run import Run

NAMES = ["cat", "dog", "frog"]
LABELS = np.arange(60) % 3


def answers(*wrong: range) -> np.ndarray:
    """Right but for some images, which get the next class."""
    rows = np.isin(np.arange(60), [row for some in wrong for row in some])
    return np.where(rows, (LABELS + 1) % 3, LABELS)


def make_run(folder: Path, predictions, labels=LABELS, *, split="val", seed=0, **changes) -> Run:
    """A run that answered `predictions`, without a model."""
    data = {"name": "pets", "source": "nowhere", "fingerprint": "sha256:abc", "fit": "crop"}
    data |= {"class_names": NAMES, "validation_fraction": 0.1, "split_seed": 0, "image_size": 8}
    recipe = {"name": changes.pop("recipe", "mine")}
    run = Run.create(folder, recipe=recipe, data=data | changes, environment={}, seed=seed)
    logits = np.eye(len((data | changes)["class_names"]), dtype=np.float32)[predictions] * 2
    shown = {"shown_index": np.arange(4), "shown_kind": np.array(["random"] * 4)}
    shown["shown_images"] = np.full((4, 8, 8, 3), 200, np.uint8)
    if "tta" in changes:
        shown["tta"] = np.array(changes.pop("tta"))
    kept = {"logits": logits, "labels": labels, "temperature": np.array(0.5), **shown}
    run.write_predictions(split, **kept)
    run.update_result(parameters=12, n=60, seconds={"train": 30.0, "evaluate": 0.5})
    return run


@pytest.fixture
def pair(tmp_path) -> tuple[Run, Run]:
    """Image 0 to 5 only B has right, 6 and 7 only A, 8 and 9 neither."""
    a = make_run(tmp_path / "a", answers(range(6), range(8, 10)))
    return a, make_run(tmp_path / "b", answers(range(6, 10)), seed=1)


# --- two models ---


def test_flips_and_tests_by_hand(pair) -> None:
    found = compare(*pair, split="val")
    (one,) = found.pairs
    assert one.only_b.tolist() == [0, 1, 2, 3, 4, 5]
    assert one.only_a.tolist() == [6, 7]
    assert one.test == metrics.McNemar(2, 6, pytest.approx(stats.binomtest(2, 8).pvalue))
    assert one.interval[0] == pytest.approx(4 / 60)
    assert one.interval == metrics.paired_bootstrap(
        LABELS, *(m.predictions[0] for m in (one.a, one.b))
    )
    assert one.agreement == pytest.approx(52 / 60)
    assert not one.different
    low, high = (f"{100 * bound:.2f}" for bound in one.interval[1:])
    (sentence,) = found.sentences
    assert sentence == (
        "60 val images cannot tell b from a: b is 6.67 points ahead "
        f"(95 % interval {low} to {high}; McNemar's exact p = 0.29)."
    )


def test_the_one_ahead_is_named_first_and_its_interval_is_turned(pair) -> None:
    _, low, high = compare(*pair, split="val").pairs[0].interval
    turned = compare(*reversed(pair), split="val")
    assert "cannot tell a from b: b is 6.67 points ahead" in turned.sentences[0]
    _, turned_low, turned_high = turned.pairs[0].interval
    assert (turned_low, turned_high) == pytest.approx((-high, -low), abs=0.02)
    assert f"interval {-100 * turned_high:.2f} to {-100 * turned_low:.2f}" in turned.sentences[0]


def test_a_difference_that_is_more_than_chance_is_said(tmp_path) -> None:
    a = make_run(tmp_path / "a", answers(range(10)))
    b = make_run(tmp_path / "b", answers())
    found = compare(a, b, split="val")
    assert found.pairs[0].different
    assert found.sentences[0].startswith("b is better than a on 60 val images, by 16.67 points")


def test_figures_are_calibrated_and_stand_beside_the_cost(pair) -> None:
    member = compare(*pair, split="val").to_json()["contestants"][0]["members"][0]
    logits = np.eye(3)[answers(range(6), range(8, 10))] * 2
    figures = metrics.summarize(logits, LABELS, NAMES, 0.5)
    for key in ("accuracy", "accuracy_ci95", "loss", "ece"):
        assert member[key] == pytest.approx(figures[key])
    assert member["loss"] != pytest.approx(figures["loss_uncalibrated"])
    assert (member["train_seconds"], member["parameters"], member["images_per_second"]) == (
        *(30.0, 12),
        120.0,
    )


def test_the_difference_of_log_losses_is_of_calibrated_logits(pair) -> None:
    found = compare(*pair, split="val").to_json()["pairs"][0]
    right, wrong = (-np.log(np.exp(4 * k) / (np.exp(4) + 2)) for k in (1, 0))
    assert found["loss_difference"][0] == pytest.approx(-4 * (wrong - right) / 60)


def test_different_views_are_warned_of(tmp_path, capsys) -> None:
    runs = [
        make_run(tmp_path / name, answers(range(3)), **({"tta": tta} if tta else {}))
        for name, tta in (("a", "flip"), ("b", "none"), ("c", "flip"), ("older", None))
    ]
    (warning,) = compare(runs[0], runs[1], split="val").warnings
    assert "different views (a flip, b none)" in warning
    assert run_main("compare", *runs[:2], "--split", "val", "--json") == 0
    output = capsys.readouterr()
    assert json.loads(output.out)["warnings"] == [warning]
    assert f"warning: {warning}" in output.err
    assert not compare(runs[0], runs[2], runs[3], split="val").warnings  # older ones do not say


def test_identical_runs_are_called_alike(tmp_path) -> None:
    a = make_run(tmp_path / "a", answers(range(5)))
    b = Run(shutil.copytree(a.path, tmp_path / "b"))
    found = compare(a, b, split="val")
    assert found.sentences == ["a and b answer all 60 val images alike."]
    assert found.pairs[0].test.p_value == 1
    assert found.to_json()["pairs"][0]["different"] is False


def test_equally_many_right_on_other_images_is_no_agreement(tmp_path) -> None:
    a = make_run(tmp_path / "a", answers(range(3)))
    b = make_run(tmp_path / "b", answers(range(3, 6)))
    (sentence,) = compare(a, b, split="val").sentences
    assert sentence.startswith("60 val images cannot tell b from a: both have as many right")


def test_more_than_two_are_set_against_the_first_with_holm(tmp_path) -> None:
    """6 to 0 is p = 0.03125 alone, and nothing to go by among two pairs."""
    a = make_run(tmp_path / "a", answers(range(6)))
    b = make_run(tmp_path / "b", answers())
    c = make_run(tmp_path / "c", answers(range(5)))
    assert compare(a, b, split="val").pairs[0].different
    found = compare(a, b, c, split="val")
    assert [pair.p_holm for pair in found.pairs] == [0.0625, 1.0]
    assert [pair.a.name for pair in found.pairs] == ["a", "a"]
    assert not found.pairs[0].different
    assert "p = 0.031, by Holm 0.062" in found.sentences[0]


def test_the_best_of_many_equals_is_not_called_better(tmp_path) -> None:
    """Chosen by its luck from five: against the others alone p would be 0.031, over all 0.078."""
    chosen = [make_run(tmp_path / "best", answers()), make_run(tmp_path / "low", answers(range(8)))]
    chosen += [make_run(tmp_path / f"r{k}", answers(range(k, k + 2))) for k in (20, 30, 40)]
    found = compare(*chosen, split="val")
    contestants = list(found.contestants)
    assert found.pairs[0].p_holm == pytest.approx(4 / 2**7)
    pairs = against_first(contestants, found.labels, first_is_best=True)
    assert [pair.p_holm for pair in pairs] == [pytest.approx(10 / 2**7), 1, 1, 1]
    assert (found.pairs[0].different, pairs[0].different) == (True, False)


def test_runs_of_one_name_are_told_apart_by_their_paths(tmp_path) -> None:
    a = make_run(tmp_path / "x" / "run", answers(range(5)))
    b = make_run(tmp_path / "y" / "run", answers())
    found = compare(a, b, split="val")
    assert [each.name for each in found.contestants] == [str(a.path), str(b.path)]


# --- several seeds ---


def seeds(tmp_path: Path, recipe: str, wrong: list[int], first: int = 0) -> list[Run]:
    return [
        make_run(tmp_path / f"{recipe}{k}", answers(range(first, first + n)), seed=k, recipe=recipe)
        for k, n in enumerate(wrong)
    ]


def test_seeds_are_compared_by_welch(tmp_path) -> None:
    weak, strong = seeds(tmp_path, "weak", [20, 21, 22]), seeds(tmp_path, "strong", [4, 5, 7])
    found = compare(weak, strong, split="val")
    a, b = ([1 - n / 60 for n in some] for some in ([20, 21, 22], [4, 5, 7]))
    expected = stats.ttest_ind(b, a, equal_var=False).confidence_interval(0.95)
    (one,) = found.pairs
    assert one.interval[1:] == pytest.approx((expected.low, expected.high))
    assert one.different
    assert found.sentences[0].startswith("strong (3 runs) is better than weak (3 runs) on 60 val")
    # Most of weak have image k wrong for k < 21, most of strong for k < 5.
    assert one.only_b.tolist() == list(range(5, 21))
    assert one.only_a.tolist() == []
    described = found.to_json()["contestants"][1]
    assert described["accuracy_mean"] == pytest.approx(np.mean(b))
    assert described["agreement"] == pytest.approx(1 - (2 / 3 * 1 + 2 / 3 * 2) / 60)
    assert described["disputed"] == 3


def test_the_spread_over_seeds_is_printed_beside_the_mean(tmp_path, capsys) -> None:
    groups = [seeds(tmp_path, "weak", [20, 21, 22]), seeds(tmp_path, "strong", [3, 6, 12])]
    words = [",".join(str(run.path) for run in group) for group in groups]
    assert run_main("compare", *words, "--split", "val") == 0
    line, below = capsys.readouterr().out.split("strong (3 runs): mean ")[1].splitlines()[:2]
    deviation = 100 * stats.tstd([1 - n / 60 for n in (3, 6, 12)])
    assert line.startswith("88.33 % (95 % interval ")
    assert line.endswith(f"deviation {deviation:.2f} points, lowest 80.00 %, highest 95.00 %")
    assert below.endswith("all on all but 9; 48 images right in every run, 9 in some, 3 in none")


def test_each_image_has_the_number_of_runs_that_were_right(tmp_path) -> None:
    weak, strong = seeds(tmp_path, "weak", [20, 21, 22]), seeds(tmp_path, "strong", [3, 6, 12])
    found = compare(weak, strong, split="val")
    written = write_comparison(found, tmp_path / "out")
    assert [path.name for path in written if path.suffix != ".png"] == [
        *("flips.csv", "agreement.csv", "comparison.json"),
    ]
    with (tmp_path / "out" / "agreement.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["contestant"] == "strong (3 runs)"]
    # Image k is wrong in the runs that have more than k wrong.
    assert [int(row["right"]) for row in rows] == [0] * 3 + [1] * 3 + [2] * 6 + [3] * 48
    agreement = metrics.agreement(found.contestants[1].predictions)
    assert [float(row["agreement"]) for row in rows] == pytest.approx(agreement, abs=1e-4)
    assert rows[4] | {"index": "4", "label": "dog", "runs": "3", "agreement": "0.3333"} == rows[4]
    saved = json.loads((tmp_path / "out" / "comparison.json").read_text())
    assert saved == found.to_json()
    assert saved["contestants"][1]["images_by_runs_right"] == [3, 3, 6, 48]


def test_seeds_that_scatter_cannot_be_told_apart(tmp_path) -> None:
    found = compare(seeds(tmp_path, "one", [4, 20]), seeds(tmp_path, "two", [2, 17]), split="val")
    assert not found.pairs[0].different
    assert "cannot tell two (2 runs) from one (2 runs)" in found.sentences[0]
    assert found.to_json()["contestants"][0]["accuracy_mean_ci95"] == [0, 1]  # no share is beyond


def test_seeds_without_any_spread_are_no_certainty(tmp_path) -> None:
    groups = seeds(tmp_path, "one", [9, 9, 9]), seeds(tmp_path, "two", [4, 4, 4])
    found = compare(*groups, split="val")
    (sentence,) = found.sentences
    assert sentence == (
        "60 val images cannot tell two (3 runs) from one (3 runs): two (3 runs) is 8.33 points "
        "ahead (all runs of each are equally accurate, which leaves other seeds open)."
    )
    assert found.to_json()["pairs"][0]["different"] is False
    assert not found.warnings


def test_a_seed_that_is_there_twice_is_warned_of(tmp_path) -> None:
    one, two = seeds(tmp_path, "one", [9, 10]), seeds(tmp_path, "two", [4, 5])
    again = make_run(tmp_path / "again", answers(range(4)), seed=0, recipe="two")
    (warning,) = compare(one, [*two, again], split="val").warnings
    assert warning.startswith("2 runs of two (3 runs) have the seed 0: made again")


def test_several_pairs_of_seeds_hold_together(tmp_path) -> None:
    groups = [seeds(tmp_path, name, [k, k + 1, k + 3]) for k, name in enumerate("abc")]
    alone, together = compare(*groups[:2], split="val"), compare(*groups, split="val")
    assert together.pairs[0].confidence == 0.975
    assert together.pairs[0].interval[1] < alone.pairs[0].interval[1]
    chosen = against_first(list(together.contestants), together.labels, first_is_best=True)
    assert chosen[0].confidence == pytest.approx(1 - 0.05 / 3)


def test_one_model_against_several_seeds_is_refused(tmp_path, pair) -> None:
    with pytest.raises(UsageError, match="two or more for each, or one for each"):
        compare(pair[0], seeds(tmp_path, "s", [1, 2]), split="val")


# --- published predictions ---


def test_files_of_every_form_say_the_same(tmp_path, pair) -> None:
    given = answers(range(6, 10))
    forms = {
        name: tmp_path / name
        for name in ("n.csv", "i.txt", "i.npy", "s.npy", "l.npy", "p.npz", "b.npz")
    }
    forms["n.csv"].write_text("\ufeff" + "".join(f'"{NAMES[c]}"\r\n' for c in given), "utf-8")
    forms["i.txt"].write_text("\n".join(map(str, given)) + "\n\n")
    np.save(forms["i.npy"], given.astype(np.uint8))
    np.save(forms["s.npy"], np.array(NAMES)[given])
    np.save(forms["l.npy"], np.eye(3)[given] * 3)
    np.savez(forms["p.npz"], predictions=given, labels=LABELS)
    stored = np.array(NAMES, "S")  # as h5py and old NumPy files hold text
    np.savez(forms["b.npz"], predictions=stored[given], class_names=stored)
    for path in forms.values():
        found = compare(pair[0], path, split="val")
        np.testing.assert_array_equal(found.contestants[1].predictions[0], given)
        assert found.contestants[1].name == path.name
        (member,) = found.to_json()["contestants"][1]["members"]
        assert (member["loss"] is None) == (path.name != "l.npy")


def test_a_file_comes_first_as_well_and_takes_its_labels_from_the_run(tmp_path, pair) -> None:
    (tmp_path / "theirs.txt").write_text("\n".join(NAMES[c] for c in answers(range(9))))
    found = compare(tmp_path / "theirs.txt", pair[1], split="val")
    assert found.pairs[0].only_b.tolist() == [0, 1, 2, 3, 4, 5]


def test_the_predictions_of_a_run_are_a_published_file_themselves(tmp_path, pair) -> None:
    kept = pair[1].path / "predictions-val.npz"
    found = compare(pair[0], shutil.copy(kept, tmp_path / "b.npz"), split="val")
    beside = compare(*pair, split="val")
    assert found.pairs[0].loss_difference == beside.pairs[0].loss_difference


def test_names_win_over_indices(tmp_path) -> None:
    """Where classes are called by digits in another order, a file of digits is one of names."""
    (tmp_path / "a.txt").write_text("2\n0\n")
    given = read_answers(tmp_path / "a.txt", class_names=["2", "1", "0"]).predictions
    assert given.tolist() == [0, 2]
    (tmp_path / "b.txt").write_text("2\n3\n")  # 3 is no name: then these are indices
    given = read_answers(tmp_path / "b.txt", class_names=["2", "1", "0", "x"]).predictions
    assert given.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        ("a.csv", "cat\ncow\ndog\n", ["line 2", "'cow'", "cat, dog, frog"]),
        ("a.csv", "0\n1\ncat\n", ["line 3", "'cat'"]),
        ("a.txt", "0\n3\n", ["class 3", "0 to 2"]),
        ("a.txt", "cat\n\ndog\n", ["line 2", "empty"]),
        ("a.txt", "", ["line 1", "empty"]),
        ("a.csv", "cat,0.3\n", ["line 1", "'cat,0.3'"]),
        ("a.txt", b"\xff\xfe\x00", ["cannot read"]),
        ("a.json", "[0]", ["no file of predictions", ".npz"]),
        ("a.npy", np.zeros((2, 3, 1)), ["(N, C)"]),
        ("a.npy", np.array([0.5, 1.0]), ["float64"]),
        ("a.npy", np.array([[np.nan, 0.0, 1.0]]), ["row 0", "not finite"]),
        ("a.npy", np.full((4, 3), 1 / 3), ["probabilities", "logarithms"]),
        ("a.npy", np.zeros((4, 5)), ["5 classes", "there are 3"]),
        ("a.npy", np.array([0, -1]), ["row 1", "class -1"]),
        ("a.npy", b"no array", ["cannot be read"]),
        ("a.npy", np.array([b"caf\xe9"]), ["cannot be read", "utf-8"]),
        ("a.npz", {"answers": np.zeros(3, int)}, ["neither logits nor predictions"]),
        ("a.npz", {"predictions": LABELS, "labels": LABELS[:5]}, ["60 answers but 5 labels"]),
        ("a.npz", {"logits": 2 * np.eye(3), "temperature": np.array(-1.0)}, ["above 0"]),
        ("a.npz", {"logits": 2 * np.eye(3), "temperature": np.array("warm")}, ["above 0"]),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, name, content, fragments) -> None:
    path = tmp_path / name
    if isinstance(content, dict):
        np.savez(path, **content)
    elif isinstance(content, np.ndarray):
        np.save(path, content)
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as raised:
        read_answers(path, "test", NAMES)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    for fragment in fragments:
        assert fragment in message


def test_a_pickle_is_not_loaded(tmp_path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read"):
        read_answers(tmp_path / "a.npy")


# --- what is refused ---


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"fingerprint": "sha256:def"}, "differ in their data"),
        ({"split_seed": 1}, "differ in their validation split"),
        ({"class_names": ["cat", "dog", "cow"]}, "differ in their classes"),
        ({"labels": np.roll(LABELS, 1)}, "labels differ"),
    ],
)
def test_different_images_are_refused(tmp_path, changes, words) -> None:
    a = make_run(tmp_path / "a", answers())
    b = make_run(tmp_path / "b", answers(), **changes)
    with pytest.raises(DataError, match=words):
        compare(a, b, split="val")


def test_another_validation_split_has_the_same_test(tmp_path) -> None:
    a = make_run(tmp_path / "a", answers(range(2)), split="test")
    b = make_run(tmp_path / "b", answers(), split="test", split_seed=1)
    assert compare(a, b).n == 60


def test_what_cannot_be_compared_says_why(tmp_path, pair) -> None:
    with pytest.raises(UsageError, match="two or more"):
        compare(pair[0])
    with pytest.raises(UsageError, match="named twice"):
        compare(pair[0], pair[0].path)
    with pytest.raises(RunError, match=r"cifarlab evaluate .* --split test"):
        compare(*pair)
    with pytest.raises(UsageError, match="did you mean 'val'"):
        compare(*pair, split="vall")
    with pytest.raises(RunError, match="no run folder and no file"):
        compare(pair[0], tmp_path / "none", split="val")
    for name, rows in (("short.txt", 59), ("other.txt", 60)):
        (tmp_path / name).write_text("0\n" * rows)
    with pytest.raises(DataError, match=r"59 images, but .* has 60"):
        compare(pair[0], tmp_path / "short.txt", split="val")
    with pytest.raises(DataError, match="none of these files holds labels"):
        compare(tmp_path / "short.txt", tmp_path / "other.txt")


def test_files_alone_number_their_classes(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", predictions=answers(range(3)), labels=LABELS)
    (tmp_path / "b.txt").write_text("\n".join(map(str, answers())))
    found = compare(tmp_path / "a.npz", tmp_path / "b.txt")
    assert found.class_names == ("0", "1", "2")
    np.save(tmp_path / "c.npy", np.zeros((60, 2)))
    with pytest.raises(CifarlabError, match="classes"):
        compare(tmp_path / "a.npz", tmp_path / "c.npy")


# --- what flipped ---


def test_flips_are_written_with_their_answers(tmp_path, pair) -> None:
    table, sheet = write_flips(compare(*pair, split="val"), tmp_path / "new" / "out")
    rows = list(csv.DictReader(table.open()))
    assert [(int(row["index"]), row["right"]) for row in rows] == [
        *((k, "b") for k in range(6)),
        *((k, "a") for k in (6, 7)),
    ]
    assert rows[0] | {"label": "cat", "answer_a": "dog", "answer_b": "cat"} == rows[0]
    assert Image.open(sheet).format == "PNG"  # the data is nowhere: of the kept images


def test_curves_of_those_that_have_a_history_are_drawn_together(
    tmp_path, pair, monkeypatch, capsys
) -> None:
    rows = [{"epoch": k, "accuracy": k / 4, "val_accuracy": k / 5} for k in (1, 2)]
    a = make_run(tmp_path / "x" / "a", answers(range(3)))  # of another folder's run's name
    for run in (pair[0], a):
        run.write_history(rows)
    np.save(tmp_path / "theirs.npy", answers(range(9)))
    drawn = []
    monkeypatch.setattr("cifarlab.plots.curves_together", lambda *given: drawn.append(given))
    monkeypatch.setattr("cifarlab.plots.save_png", lambda figure, path, **_: None)
    words = [pair[0], a, tmp_path / "theirs.npy", "--split", "val", "--out", tmp_path / "out"]
    assert run_main("compare", *words) == 0
    ((histories, column),) = drawn
    assert list(histories) == [str(pair[0].path), str(a.path)]
    assert [row["val_accuracy"] for row in histories[str(a.path)]] == [0.2, 0.4]
    assert column == "val_accuracy"
    printed = capsys.readouterr().out
    assert f"  {tmp_path / 'out' / 'curves.png'}\n" in printed
    assert "No learning curve of theirs.npy: no history was kept." in printed


def test_flips_show_the_images_of_the_split_itself(tmp_path, tiny_folder, monkeypatch) -> None:
    dataset = load_dataset(tiny_folder, image_size=16)
    _, validation = dataset.carve(0.25, 3)
    known = {"source": str(tiny_folder), "fit": "crop", "image_size": 16, "split_seed": 3}
    known |= {"validation_fraction": 0.25, "class_names": list(dataset.class_names)}
    right = validation.labels
    runs = [
        make_run(tmp_path / name, given, right, **known)
        for name, given in (("a", (right + 1) % 4), ("b", right))
    ]
    drawn = {}
    monkeypatch.setattr(
        "cifarlab.plots.image_grid", lambda images, *_, **__: drawn.update(images=images)
    )
    monkeypatch.setattr("cifarlab.plots.save_png", lambda *_, **__: None)
    monkeypatch.setattr("cifarlab.data.Dataset.open_test", lambda self: pytest.fail("test opened"))
    found = compare(*runs, split="val")
    write_flips(found, tmp_path / "out")
    np.testing.assert_array_equal(drawn["images"], validation.images[:24])


def test_pictures_of_flips_are_not_downloaded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("cifarlab.data.places.find_cifar", lambda: None)
    monkeypatch.setattr("cifarlab.data.download.fetch_any", lambda *_: pytest.fail("downloads"))
    known = {"source": "cifar10", "image_size": 32}
    a = make_run(tmp_path / "a", answers(range(3)), **known)
    found = compare(a, make_run(tmp_path / "b", answers(), **known), split="val")
    assert [path.name for path in write_flips(found, tmp_path / "out")] == [
        *("flips.csv", "flips-1.png"),  # of the images that the runs kept
    ]


# --- the commands ---


def run_main(*words: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word.path if isinstance(word, Run) else word) for word in words])
    return int(ended.value.code or 0)


def test_the_command_prints_one_json_document(pair, tmp_path, capsys) -> None:
    assert run_main("compare", *pair, "--split", "val", "--out", tmp_path / "out", "--json") == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    expected = compare(*pair, split="val").to_json()
    assert {key: document[key] for key in expected} == expected
    assert document["files"] == [
        str(tmp_path / "out" / name) for name in ("flips.csv", "flips-1.png", "comparison.json")
    ]
    assert expected["pairs"][0]["sentence"] in printed.err


def test_the_command_takes_seeds_between_commas(tmp_path, capsys) -> None:
    groups = [seeds(tmp_path, "weak", [20, 21]), seeds(tmp_path, "strong", [4, 5])]
    words = [",".join(str(run.path) for run in group) for group in groups]
    assert run_main("compare", *words, "--split", "val") == 0
    assert "strong (2 runs) is better than weak (2 runs)" in capsys.readouterr().out
    odd = make_run(tmp_path / "a,b", answers())
    assert run_main("compare", odd, groups[0][0], "--split", "val") == 0


def test_evaluate_takes_a_file_in_place_of_a_run(tmp_path, tiny_folder, capsys) -> None:
    dataset = load_dataset(tiny_folder)
    labels = dataset.open_test().labels
    given = np.where(np.arange(len(labels)) < 8, (labels + 1) % 4, labels)
    (tmp_path / "theirs.csv").write_text("\n".join(dataset.class_names[c] for c in given))
    words = ["evaluate", "--predictions", tmp_path / "theirs.csv", "--data", tiny_folder, "--json"]
    assert run_main(*words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == 24 / 32
    assert found["accuracy_ci95"] == list(metrics.wilson_interval(24, 32))
    expected = metrics.per_class(labels, given, dataset.class_names)
    assert found["per_class"] == expected
    assert found["confusion_matrix"] == metrics.confusion_matrix(labels, given, 4).tolist()
    assert not {"loss", "ece", "roc_auc", "top_k_accuracy"} & set(found)  # classes tell none


def test_logits_without_a_model_have_every_figure(tmp_path, tiny_dataset) -> None:
    labels = tiny_dataset.open_test().labels
    logits = np.random.default_rng(0).normal(size=(len(labels), 4)) + 2 * np.eye(4)[labels]
    np.save(tmp_path / "theirs.npy", logits)
    found = cifarlab.evaluate_predictions(tmp_path / "theirs.npy", tiny_dataset)
    assert found.items() >= metrics.summarize(logits, labels, tiny_dataset.class_names).items()


def test_evaluate_refuses_what_does_not_fit(tmp_path, tiny_dataset, capsys) -> None:
    (tmp_path / "a.txt").write_text("0\n" * 31)
    with pytest.raises(DataError, match=r"31 answers, but the test split .* has 32"):
        cifarlab.evaluate_predictions(tmp_path / "a.txt", tiny_dataset)
    with pytest.raises(DataError, match="no validation split of its own"):
        cifarlab.evaluate_predictions(tmp_path / "a.txt", tiny_dataset, "val")
    np.savez(tmp_path / "b.npz", predictions=np.zeros(32, int), labels=np.zeros(32, int))
    with pytest.raises(DataError, match="labels"):
        cifarlab.evaluate_predictions(tmp_path / "b.npz", tiny_dataset)
    with pytest.raises(DataError, match="there is no file"):
        cifarlab.evaluate_predictions(tmp_path / "none.txt", tiny_dataset)
    assert run_main("evaluate", "run", "--predictions", tmp_path / "a.txt") == 2
    assert "--predictions stands alone" in capsys.readouterr().err
