"""How well `known` tells pictures of other things: the figures of what `predict` answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from cifarlab import cli
from cifarlab.data import Dataset
from cifarlab.errors import CifarlabError, RunError
from cifarlab.evaluate import evaluate
from cifarlab.known import open_sets
from cifarlab.metrics import wilson_interval
from cifarlab.predict import load_predictor
from cifarlab.unknowns.separation import known_scores, separation


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    """Twelve pictures of no class and of several shapes, some of which have several views."""
    folder, random = tmp_path_factory.mktemp("photographs"), np.random.default_rng(3)
    for number in range(12):
        shape = (24 + 8 * (number % 3), 40, 3)
        image = random.integers(0, 256 >> number % 4, shape, dtype=np.uint8)
        Image.fromarray(image).save(folder / f"{number:02}.png")
    return folder


@pytest.mark.parametrize("score", ["energy", "max_softmax"])
def test_the_figures_are_those_of_predicts_answers(run, photographs, tiny_dataset, score) -> None:
    """Of pictures in files and of known images, each asked for by itself."""
    data = json.loads((run.path / "data.json").read_text())
    data |= {"name": "cifar10"}  # photographs are then shown in several views
    (run.path / "data.json").write_text(json.dumps(data))
    of_energy = run.result["known_threshold"]
    run.update_result(known_score=score, known_threshold=of_energy if score == "energy" else 0.3)
    predictor = load_predictor(run)
    assert len(predictor.model_views(photographs / "00.png")) == 2
    kept = [predictor(path).known for path in sorted(photographs.glob("*.png"))]
    refused = [not predictor(image).known for image in tiny_dataset.open_test().images]

    found = evaluate(run, unknown={"photographs": photographs}, tta="flip").unknowns
    assert (found["score"], found["known"]["n"]) == (score, 32)
    assert found["known"]["refused"] == pytest.approx(np.mean(refused))
    of_set = found["sets"]["photographs"]
    assert of_set["passed"] == pytest.approx(np.mean(kept))
    assert of_set["passed_ci95"] == pytest.approx(wilson_interval(sum(kept), 12))
    assert of_set["auroc_ci95"][0] <= of_set["auroc"] <= of_set["auroc_ci95"][1]


def test_the_score_of_several_views_is_that_of_their_mean() -> None:
    logits = np.array([[0, 3.0], [4, 0], [2, 2], [0, 1]])
    mean = np.log(np.exp(logits).sum(axis=1))
    found = known_scores(logits, [1, 2, 1], "energy")
    np.testing.assert_allclose(found, [mean[0], (mean[1] + mean[2]) / 2, mean[3]])
    shares = np.exp(logits / 2) / np.exp(logits / 2).sum(axis=1, keepdims=True)
    found = known_scores(logits, [1, 2, 1], "max_softmax", temperature=2)
    np.testing.assert_allclose(found, [shares[0, 1], (shares[1, 0] + 0.5) / 2, shares[3, 1]])


def test_separation_is_scikit_learns_and_counts_what_reaches_the_threshold() -> None:
    random = np.random.default_rng(0)
    known, other = random.normal(1, 1, 80).round(1), random.normal(0, 1, 50).round(1)
    found = separation(known, {"far": other - 9, "near": other}, "energy", 0.4)
    truth = np.repeat([1, 0], [80, 50])
    expected = roc_auc_score(truth, np.concatenate([known, other]))
    assert found["sets"]["near"]["auroc"] == pytest.approx(expected)
    assert found["sets"]["near"]["passed"] == np.mean(other >= 0.4)
    assert found["known"]["refused"] == np.mean(known < 0.4)
    assert (found["sets"]["far"]["auroc"], found["sets"]["far"]["passed"]) == (1, 0)
    bins = found["histogram"]
    assert len(bins["known"]) == len(bins["edges"]) - 1
    for shares in (bins["known"], *bins["sets"].values()):
        assert sum(shares) == pytest.approx(1)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_the_figures_stay_in_the_run_and_out_of_result_json(run, tiny_dataset) -> None:
    assert evaluate(run, split="val").unknowns is None
    assert not (run.path / "unknowns.json").exists()
    found = evaluate(run, split="val", unknown={"a": "jigsaw", "b": "textures"})
    kept = json.loads((run.path / "unknowns.json").read_text())
    assert kept == {"split": "val", **found.unknowns}
    assert [each["n"] for each in kept["sets"].values()] == [found.n, 1000]
    assert found.to_json()["unknowns"] == found.unknowns
    evaluate(run, unknown={"digits": "digits"})
    assert "unknowns" not in run.result
    kept = (run.path / "unknowns.json").read_text()
    test = tiny_dataset.open_test()
    names = tiny_dataset.class_names
    other = Dataset(name="other", source="other", class_names=names, train=test, test=test)
    assert evaluate(run, data=other, unknown={"digits": "digits"}).unknowns
    assert (run.path / "unknowns.json").read_text() == kept


def test_what_cannot_be_measured_is_refused_before_test_is_opened(run, tiny_folder) -> None:
    for wrong, error in (("nowhere", "no folder nowhere"), (str(tiny_folder), "trained on")):
        with pytest.raises(CifarlabError, match=error):
            evaluate(run, unknown={"x": wrong})
    run.update_result(known_threshold=None)
    with pytest.raises(RunError, match="held no validation images out"):
        evaluate(run, unknown={"x": "textures"})
    assert run.result["test_looks"] == 0
    assert open_sets(run, {}) == {}  # nothing is asked, nothing needed


def test_a_damaged_rule_is_named(run) -> None:
    run.update_result(known_threshold="high")
    with pytest.raises(RunError, match=r"result\.json is damaged.*'high'"):
        open_sets(run, {"x": "textures"})


# --- the command ---


def test_the_table_and_the_document_say_the_same(run, photographs, capsys) -> None:
    words = ["evaluate", str(run.path), "--split", "val", "--unknown", "textures", "--json"]
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--unknown", f"other things={photographs}"])
    answer = capsys.readouterr()
    assert end.value.code in (0, None), answer.err
    found = json.loads(answer.out)["unknowns"]
    assert list(found["sets"]) == ["textures", "other things"]
    assert "known from" in answer.err
    assert "the threshold was chosen on these" in answer.err
    row = next(line for line in answer.err.splitlines() if line.startswith("other things"))
    of_set = found["sets"]["other things"]
    assert row.split()[2:4] == ["12", f"{of_set['auroc']:.3f}"]
    assert f"{of_set['passed']:.1%}" in row


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("RUN --unknown texture", 2, "did you mean 'textures'"),
        ("RUN --unknown digits --unknown digits=here", 2, "names digits twice"),
        ("RUN --unknown =here", 2, "NAME=FOLDER. Received: '=here'"),
        ("RUN --unknown x=nowhere", 1, "there is no folder nowhere"),
        ("--predictions their.csv --unknown digits", 2, "--unknown is for runs"),
        ("cifar10 --unknown digits", 2, "--unknown is for runs"),
    ],
)
def test_what_is_wrong_is_one_line(run, capsys, words, status, said) -> None:
    words = words.replace("RUN", str(run.path))
    with pytest.raises(SystemExit) as end:
        cli.main(["evaluate", *words.split()])
    answer = capsys.readouterr()
    assert end.value.code == status
    assert said in answer.err
    assert (answer.out, answer.err.count("\n")) == ("", 1)
