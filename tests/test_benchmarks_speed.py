"""The measurements of speed: what they count and compare, by hand, and that they run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))  # where a script of that folder looks first

import inference  # noqa: E402
import onednn  # noqa: E402
import step  # noqa: E402
from measuring import interleave  # noqa: E402
from step_parts import count_flops, keep_weights  # noqa: E402

import cifarlab  # noqa: E402

TINY = ["--recipe", "debug", "--images", "64", "--batch", "8", "--seconds", "0", "--product", "64"]


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speed") / "run"
    return cifarlab.train("digits", "debug", epochs=1, out=folder).path


# step.py


def network(*, frozen: bool) -> keras.Model:
    inputs = keras.Input((None, None, 3))
    first = keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False)
    x = keras.layers.Conv2D(8, 1)(first(inputs))
    outputs = keras.layers.Dense(5)(keras.layers.GlobalMaxPooling2D()(x))
    model = keras.Model(inputs, outputs)
    first.trainable = not frozen
    return model


def test_flops_are_two_a_multiply_add_of_each_needed_product():
    first, second, head = 2 * 3 * 3 * 3 * 4 * 8 * 8, 2 * 4 * 8 * 8 * 8, 2 * 8 * 5
    forward = first + second + head
    assert count_flops(network(frozen=False), 16) == (forward, 2 * first + 3 * second + 3 * head)
    # Nothing before the second convolution is trained, so its input needs no gradient either.
    assert count_flops(network(frozen=True), 16) == (forward, first + 2 * second + 3 * head)


def test_flops_of_a_whitening_layer_with_fixed_filters_are_those_of_its_forward_pass():
    model = cifarlab.create_model(
        "airbench_cnn", num_classes=10, image_size=None, mean=(0.0,) * 3, std=(255.0,) * 3
    )
    forward, training = count_flops(model, 20)
    whitening = 2 * (2 * 2 * 3 * 24) * 19 * 19
    assert training == whitening + 3 * (forward - whitening)


def test_parts_give_what_a_step_consists_of():
    work = step.make_work(step.parse(TINY))
    parts, weights = work.parts(), work.model.trainable_weights
    assert tuple(parts["data"]().shape) == (8, 16, 16, 3)
    gradients = parts["forward + backward"]()
    assert [tuple(g.shape) for g in gradients] == [tuple(w.shape) for w in weights]
    before = [weight.numpy() for weight in weights]
    restore = keep_weights(work.model)
    parts["update"]()
    assert all((w.numpy() != b).any() for w, b in zip(weights, before, strict=True))
    restore()
    assert all((w.numpy() == b).all() for w, b in zip(weights, before, strict=True))


def test_calls_take_turns_and_the_first_round_is_not_counted():
    heard: list[str] = []
    calls = {name: (lambda name=name: heard.append(name)) for name in "ab"}
    times = interleave(calls, least=2, before=lambda: heard.append("-"))
    assert "".join(heard) == "-ab-ab-ab"
    assert [len(taken) for taken in times.values()] == [2, 2]


def check_step(result: dict[str, Any]) -> None:
    rows = {row["part"]: row for row in result["parts"]}
    assert list(rows) == ["data", "forward", "backward", "update", "the rest", "step"]
    assert rows["step"]["share_of_step"] == 1
    assert result["images_per_second"] > 0
    assert rows["step"]["gflop"] == pytest.approx(8 * result["gflop_per_image"]["training"])
    limit = result["limit_gflop_per_second"][result["environment"]["precision"]]
    assert 0 < rows["step"]["gflop_per_second"] < 10 * limit


def test_step_measures_and_writes_json(tmp_path: Path, capsys: pytest.CaptureFixture):
    step.main([*TINY, "--out", str(tmp_path / "step.json")])
    check_step(json.loads((tmp_path / "step.json").read_text()))
    assert "of limit" in capsys.readouterr().out


def test_step_runs_on_jax(tmp_path: Path):
    pytest.importorskip("jax")
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    words = [BENCHMARKS / "step.py", *TINY, "--out", tmp_path / "step.json"]
    subprocess.run([sys.executable, *map(str, words)], env=environment, check=True)
    check_step(json.loads((tmp_path / "step.json").read_text()))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "quik"], "did you mean 'quick'"),
        (["--out", "nowhere/step.json"], "no folder nowhere"),
        (["--recipe", "quick", "--size", "2", "--images", "8"], "cannot take 2-pixel images"),
        (["--size", "0"], "1 or more"),
    ],
)
def test_step_says_what_is_wrong(words: list[str], said: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stopped:
        step.main(words)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


# onednn.py

CONVOLUTION = "mb2_ic3oc4_ih8oh8kh3sh1dh0ph1_iw8ow8kw3sw1dw0pw1"
LOG = f"""\
onednn_verbose,v1,info,cpu,runtime:threadpool,nthr:2
something that the program printed
onednn_verbose,v1,primitive,exec,cpu,convolution,jit,forward_training,src wei,,,{CONVOLUTION},0.5
onednn_verbose,v1,primitive,exec,cpu,convolution,jit,backward_weights,src wei,,,{CONVOLUTION},2
onednn_verbose,v1,primitive,exec,cpu,convolution,jit,backward_weights,src wei,,,{CONVOLUTION},1
onednn_verbose,v1,primitive,exec,cpu,reorder,jit:uni,undef,src dst,,,4x3x3x3,0.5
onednn_verbose,v1,primitive,exec,cpu,reo"""


def test_account_sums_by_primitive_and_by_problem():
    result = onednn.account(LOG.splitlines())
    rows = [(r["primitive"], r["calls"], r["milliseconds"]) for r in result["primitives"]]
    assert rows[0] == ("convolution backward weights", 2, 3.0)
    assert set(rows[1:]) == {("convolution forward", 1, 0.5), ("reorder", 1, 0.5)}
    assert result["milliseconds"] == 4.0
    slowest = result["problems"][0]
    assert slowest["gflop_per_second"] == pytest.approx(2 * 2 * 3 * 4 * 64 * 9 * 2 / 3 / 1e6)


@pytest.mark.parametrize(
    ("problem", "operations"),
    [
        (CONVOLUTION, 2 * 2 * 3 * 4 * 64 * 9),
        ("g2" + CONVOLUTION.replace("ic3", "ic6"), 2 * 2 * 3 * 4 * 64 * 9),
        ("5x3:3x7", 2 * 5 * 3 * 7),
        ("2x5x3:1x3x7", 2 * 2 * 5 * 3 * 7),
        ("4x3x3x3", None),
    ],
)
def test_operations_of_a_problem(problem: str, operations: int | None):
    assert onednn.operations_of(problem) == operations


# inference.py


def test_inference_measures_every_way(run_folder: Path, tmp_path: Path):
    words = [str(run_folder), "--images", "64", "--rounds", "1", "--single", "2"]
    with pytest.raises(SystemExit) as done:
        inference.main([*words, "--out", str(tmp_path / "inference.json")])
    assert done.value.code == 0
    rows = json.loads((tmp_path / "inference.json").read_text())["ways"]
    names = ["model.predict", "model(x)", "engine.forward", "load_predictor"]
    names += ["ONNX Runtime", "ONNX int8", "PyTorch"]
    assert [row["way"] for row in rows] == names
    assert all(row["agrees"] and row["images_per_second"] > 0 for row in rows[:6])
    assert rows[0]["bulk_ratio"] == rows[0]["single_ratio"] == 1
    assert rows[4]["difference"] < rows[5]["difference"]  # int8 is what it says
    assert "--torch" in rows[6]["missing"]


@pytest.mark.parametrize("wrong", [1e-2, float("nan")])
def test_a_way_with_other_answers_gets_no_ratio_and_fails(
    wrong: float, run_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    def answer(images: np.ndarray, size: int) -> np.ndarray:
        return np.zeros((len(images), 10), "float32")

    ways = {
        inference.REFERENCE: inference.Way(answer),
        "other": inference.Way(lambda images, size: answer(images, size) + wrong),
    }
    monkeypatch.setattr(inference, "make_ways", lambda *_: (ways, {}))
    with pytest.raises(SystemExit) as done:
        inference.main([str(run_folder), "--images", "4", "--rounds", "1", "--single", "1"])
    assert done.value.code == 1
    assert "ANSWERS DIFFER" in capsys.readouterr().out.splitlines()[-1]


def test_the_fastest_batch_size_is_chosen(monkeypatch: pytest.MonkeyPatch):
    costs = {10: 5.0, 20: 1.0, 40: 3.0}
    way = inference.Way(lambda _images, size: np.array(size), batch_sizes=(10, 20, 40))
    monkeypatch.setattr(inference, "timed", lambda call: (costs[int(call())], None))
    assert inference.best_batch_size(way, np.zeros((40, 1))) == 20


def test_inference_without_a_run_says_so(tmp_path: Path, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stopped:
        inference.main([str(tmp_path / "nothing")])
    assert stopped.value.code == 1
    assert "no run folder" in capsys.readouterr().err
