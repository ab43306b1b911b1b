"""A run made again: what is the same to the bit, what within noise, what should not differ."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cifarlab.data import Dataset, load_dataset
from cifarlab.errors import RunError
from cifarlab.evaluate import evaluate
from cifarlab.files import write_json
from cifarlab.recipes import get_recipe
from cifarlab.reproduce import reproduce
from cifarlab.run import Run
from cifarlab.train import train
from test_cli_train import assert_one_error, invoke, one_document


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset("digits", image_size=16)


@pytest.fixture(scope="module")
def pair(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run that was measured on validation and test, and the folder of the one made again."""
    recipe = replace(get_recipe("debug"), epochs=2)
    run = train(digits, recipe, seed=3, out=tmp_path_factory.mktemp("reproduce") / "mine")
    # Not the recipe's views: on each split those of the kept answers count.
    evaluate(run, data=digits, split="val", tta="shift")
    evaluate(run, data=digits, tta="flip")
    receipt = reproduce(run, data=digits)
    assert receipt.reproduced
    return run, Path(receipt.again)


@pytest.fixture
def copied(pair: tuple[Run, Path], tmp_path: Path) -> Run:
    """The run made again, to be spoilt."""
    return Run(shutil.copytree(pair[1], tmp_path / "copy"))


def change_weights(run: Run, by: float) -> None:
    path = run.path / "model.safetensors"
    weights = load_file(path)
    name = next(name for name in weights if name.endswith("kernel"))
    save_file({**weights, name: weights[name] + np.float32(by)}, path)


def change_answers(run: Run, split: str, wrong: int) -> None:
    """Turn as many right answers wrong."""
    kept = run.predictions(split)
    right = np.flatnonzero(kept["logits"].argmax(axis=1) == kept["labels"])[:wrong]
    kept["logits"][right] = np.roll(kept["logits"][right], 1, axis=1)
    run.write_predictions(split, **kept)


def change_environment(run: Run, **values: Any) -> None:
    write_json(run.path / "environment.json", {**run.environment, **values})


def verdicts(run: Run, again: Run, data: Dataset) -> tuple[dict[str, str], bool]:
    receipt = reproduce(run, out=again.path, data=data)
    return {each.what: each.verdict for each in receipt.findings}, receipt.reproduced


def test_the_same_environment_gives_the_same_bits(pair: tuple[Run, Path], digits: Dataset) -> None:
    run, again = pair
    assert again == run.path.with_name("mine-again")
    receipt = reproduce(run, data=digits)  # again: found finished, nothing is measured anew
    assert {each.verdict for each in receipt.findings} == {"same bits"}
    whats = [each.what for each in receipt.findings]
    assert whats == ["weights", "history", "test answers", "val answers"]
    assert receipt.same_bits_expected
    assert receipt.sentences == [f"{again} is {run.path} to the bit."]
    assert json.loads((again / "receipt.json").read_text()) == receipt.to_json()
    result = Run(again).result
    assert (result["test_looks"], result["tta"], result["seed"]) == (1, "flip", 3)


def test_one_other_weight_is_not_the_same(
    pair: tuple[Run, Path], copied: Run, digits: Dataset
) -> None:
    change_weights(copied, 1e-6)
    found, reproduced = verdicts(pair[0], copied, digits)
    assert found["weights"] == "differs"
    assert found["history"] == "same bits"
    assert not reproduced


def test_another_environment_explains_what_is_within_noise(
    pair: tuple[Run, Path], copied: Run, digits: Dataset
) -> None:
    change_weights(copied, 1e-6)
    change_answers(copied, "test", 2)
    change_environment(copied, threads=64)
    receipt = reproduce(pair[0], out=copied.path, data=digits)
    assert receipt.reproduced
    assert not receipt.same_bits_expected
    assert receipt.environment == {"threads": (pair[0].environment["threads"], 64)}
    assert {e.what: e.verdict for e in receipt.findings}["test answers"] == "within noise"
    assert "the environment is another" in receipt.sentences[0]


@pytest.mark.parametrize("threads", [64, None])
def test_nothing_explains_more_than_noise(
    pair: tuple[Run, Path], copied: Run, digits: Dataset, threads: int | None
) -> None:
    change_answers(copied, "test", 40 if threads else 1)
    if threads:
        change_environment(copied, threads=threads)
    receipt = reproduce(pair[0], out=copied.path, data=digits)
    assert not receipt.reproduced
    assert receipt.wrong[0].startswith("test answers: ")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"versions": {"keras": "0.1"}}, False),
        ({"cpu": "abacus"}, False),
        ({"platform": "newer kernel"}, True),
    ],
    ids=str,
)
def test_what_decides_the_bits(
    pair: tuple[Run, Path], copied: Run, digits: Dataset, values: dict, expected: bool
) -> None:
    change_environment(copied, **values)
    receipt = reproduce(pair[0], out=copied.path, data=digits)
    assert receipt.same_bits_expected is expected
    assert receipt.environment


def test_a_history_that_differs_names_where(
    pair: tuple[Run, Path], copied: Run, digits: Dataset
) -> None:
    rows = copied.history
    rows[1]["val_loss"] += 1e-9
    rows[0]["seconds"] += 5
    copied.write_history(rows)
    receipt = reproduce(pair[0], out=copied.path, data=digits)
    (history,) = (each for each in receipt.findings if each.what == "history")
    assert history.wrong
    assert history.detail.startswith("first in epoch 2: val_loss")


def spoil(run: Run) -> None:
    run.update_result(completed=False)


def other_seed(run: Run) -> None:
    run.update_result(seed=4)


@pytest.mark.parametrize(
    ("which", "how", "message"),
    [("run", spoil, "is not finished"), ("again", other_seed, "was trained with seed 4, not 3")],
)
def test_what_cannot_be_compared_is_refused(
    pair: tuple[Run, Path],
    tmp_path: Path,
    digits: Dataset,
    which: str,
    how: Callable[[Run], None],
    message: str,
) -> None:
    copies = {"run": pair[0].path, "again": pair[1]}
    copies = {name: shutil.copytree(path, tmp_path / name) for name, path in copies.items()}
    how(Run(copies[which]))
    with pytest.raises(RunError, match=message):
        reproduce(copies["run"], out=copies["again"], data=digits)


def test_the_run_itself_and_other_data_are_refused(
    pair: tuple[Run, Path], tiny_folder: Path, digits: Dataset
) -> None:
    with pytest.raises(RunError, match="is the run itself"):
        reproduce(pair[0], out=pair[0].path, data=digits)
    fewer = Dataset(
        name="fewer",
        source="fewer",
        class_names=digits.class_names,
        train=digits.train.select(np.arange(100)),
    )
    with pytest.raises(RunError, match="is not the data that"):
        reproduce(pair[0], data=fewer)


def test_the_command_says_it_in_words_in_json_and_by_its_status(
    pair: tuple[Run, Path], copied: Run
) -> None:
    good = invoke("reproduce", pair[0].path, "--json")
    assert good.status == 0
    receipt: Any = one_document(good.out)
    assert receipt["reproduced"]
    assert receipt["findings"][0]["verdict"] == "same bits"
    assert "to the bit" in good.err
    change_weights(copied, 1.0)
    bad = invoke("reproduce", pair[0].path, "--out", copied.path, "--json")
    assert bad.status == 1
    assert not one_document(bad.out)["reproduced"]  # type: ignore[index]
    assert "nothing around it explains that" in bad.err
    assert bad.err.splitlines()[-1].startswith("error: ")


def test_an_unfinished_run_is_one_line(copied: Run) -> None:
    spoil(copied)
    assert_one_error(invoke("reproduce", copied.path), 1, "is not finished", "--resume")
