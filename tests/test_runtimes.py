"""Exported files opened: what they say is believed, what they are is checked."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from cifarlab.errors import ModelFileError
from cifarlab.runtimes import ModelInfo, open_model
from cifarlab.runtimes.info import KEY, METADATA_FILE

SIDE, TEMPERATURE = 4, 2.0
INFO = ModelInfo(("black", "green", "red"), SIDE, "crop", TEMPERATURE, "energy", 1.5)


def weights() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.01, (SIDE * SIDE * 3, 3)).astype(np.float32)


def write_onnx(path: Path, *, info: str | None = INFO.to_json(), **changes: str) -> Path:
    """One dense layer over all pixels; `changes` are of the names of inputs and outputs."""
    images, logits, probabilities = (
        changes.get(name, name) for name in ("images", "logits", "probabilities")
    )
    rows = changes.get("rows", "N")
    shape = [int(rows) if rows.isdigit() else rows, SIDE, SIDE, 3]
    nodes = [
        helper.make_node("Cast", [images], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["pixels"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], [logits]),
        helper.make_node("Div", [logits, "temperature"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], [probabilities], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info(images, TensorProto.UINT8, shape)],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [shape[0], 3])
            for name in (logits, probabilities)
        ],
        [
            numpy_helper.from_array(weights(), "weights"),
            numpy_helper.from_array(np.float32(TEMPERATURE), "temperature"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    if info is not None:
        helper.set_model_props(model, {KEY: info})
    onnx.save(model, path)
    return path


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3), np.uint8)


def test_an_onnx_file_gives_what_its_graph_computes(tmp_path, images) -> None:
    model = open_model(write_onnx(tmp_path / "dense.onnx"))
    assert model.info == INFO
    logits = images.reshape(5, -1).astype(np.float32) @ weights()
    np.testing.assert_allclose(model(images), logits, rtol=1e-4, atol=1e-5)
    exact = np.exp(logits / TEMPERATURE)
    exact /= exact.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.probabilities(images), exact, rtol=1e-4)
    np.testing.assert_array_equal(model(images[:1])[0], model(images)[0])


def test_a_predictor_of_a_file_is_what_the_file_says(tmp_path, images) -> None:
    from cifarlab.predict import load_predictor

    path = write_onnx(tmp_path / "dense.onnx")
    predictor, model = load_predictor(path), open_model(path)
    assert (predictor.known_score, predictor.known_threshold) == ("energy", 1.5)
    found = [list(p.probabilities.values()) for p in predictor(list(images))]
    np.testing.assert_allclose(found, model.probabilities(images), rtol=1e-5)
    assert predictor(images[0]).known is bool(np.logaddexp.reduce(model(images[:1])[0]) >= 1.5)


def refused(path: Path, reason: str) -> None:
    with pytest.raises(ModelFileError, match=reason) as caught:
        open_model(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"images": "input"}, r"does not take images uint8 \(N, 4, 4, 3\)"),
        ({"logits": "dense_1"}, "does not take|logits"),
        ({"rows": "1"}, "does not take images"),  # a batch of one, always
    ],
)
def test_another_signature_is_refused(tmp_path, changes, reason: str) -> None:
    refused(write_onnx(tmp_path / "other.onnx", **changes), reason)


def test_another_number_of_classes_is_refused(tmp_path) -> None:
    info = ModelInfo(("cat", "dog"), SIDE, "crop").to_json()
    path = write_onnx(tmp_path / "two.onnx", info=info)
    refused(path, r"logits of two images should be numbers \(2, 2\), not float32 \(2, 3\)")


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (None, "has no cifarlab metadata.*export a run"),
        ("{", "metadata are not usable"),
        (json.dumps({**json.loads(INFO.to_json()), "fit": "squash"}), "fit 'squash' is none of"),
        (INFO.to_json().replace('"known_threshold": 1.5', '"known_threshold": "1.5"'), "no number"),
        (json.dumps({**json.loads(INFO.to_json()), "source": "my desk"}), "is no object"),
    ],
)
def test_metadata_must_be_there_and_sound(tmp_path, info: str | None, reason: str) -> None:
    refused(write_onnx(tmp_path / "m.onnx", info=info), reason)


@pytest.mark.parametrize("length", [0, 10, 400, -20])
def test_a_file_that_is_cut_off_is_refused(tmp_path, length: int) -> None:
    path = write_onnx(tmp_path / "cut.onnx")
    content = path.read_bytes()
    path.write_bytes(content[:length])
    refused(path, "is damaged|has no cifarlab metadata")


def test_what_could_run_code_or_is_no_model_is_refused(tmp_path) -> None:
    for name in ("weights.h5", "model.pkl", "model.pt"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": 1}))
        refused(tmp_path / name, "can run code when it is loaded, so it is refused")
    (tmp_path / "notes.txt").write_text("no model")
    refused(tmp_path / "notes.txt", "is no model file by its name")
    refused(tmp_path, "is no model file by its name")
    refused(tmp_path / "absent.onnx", "there is no model file")


def test_a_keras_file_without_metadata_is_refused_before_it_is_loaded(
    tmp_path, monkeypatch
) -> None:
    import keras

    monkeypatch.setattr(keras.saving, "load_model", lambda *a, **k: pytest.fail("loaded"))
    path = tmp_path / "foreign.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    refused(path, "has no cifarlab metadata")
    path.write_bytes(path.read_bytes()[:30])
    refused(path, "is damaged")


def test_a_keras_file_is_opened_in_safe_mode(tmp_path) -> None:
    """A Lambda layer is code: with metadata or without, it is not run."""
    import keras

    inputs = keras.Input((SIDE, SIDE, 3), dtype="uint8", name="images")
    outputs = keras.layers.Lambda(lambda x: x, output_shape=(SIDE, SIDE, 3))(inputs)
    path = tmp_path / "code.keras"
    keras.Model(inputs, outputs).save(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(METADATA_FILE, INFO.to_json())
    refused(path, "(?i)lambda")


def test_a_damaged_lite_file_is_refused(tmp_path) -> None:
    (tmp_path / "cut.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(40))
    refused(tmp_path / "cut.tflite", "is damaged")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"junk")
    refused(tmp_path / "saved", "has no cifarlab metadata")
    (tmp_path / "saved" / "assets.extra").mkdir()
    (tmp_path / "saved" / "assets.extra" / METADATA_FILE).write_text(INFO.to_json())
    refused(tmp_path / "saved", "is damaged")
