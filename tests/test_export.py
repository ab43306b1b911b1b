"""Exports: stock layers, all inside, the same answers in each format's own runtime, or no file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

import cifarlab
from cifarlab.cli import main
from cifarlab.data import load_dataset
from cifarlab.errors import ExportError, MissingExtraError, UnknownNameError, UsageError
from cifarlab.export import cases, certificate, probe
from cifarlab.export.certificate import Case, Reference, certify, compare, failures, sha256
from cifarlab.export.describe import model_info
from cifarlab.export.formats import FORMATS, get_format
from cifarlab.export.stock import deployable
from cifarlab.metrics import softmax
from cifarlab.models import create_model, list_models
from cifarlab.run import Run
from cifarlab.runtimes import ModelInfo

SIZE = 16
OPTIONS = {"blocks": [[4], [6]], "dense": [5], "block_dropout": [0.1, 0.0], "batch_norm": True}
TEMPERATURE = 1.7


def fill(model: keras.Model) -> keras.Model:
    """Weights as of a training: no statistic and no scale is what it began as."""
    random = np.random.default_rng(0)
    for weight in model.weights:
        values = random.standard_normal(weight.shape)
        if weight.name == "moving_variance":
            values = 0.5 + values**2
        elif weight.name == "kernel":
            values *= np.prod(weight.shape[:-1]) ** -0.5
        weight.assign(values)
    return model


@pytest.fixture(scope="module")
def made(untrained_run, tmp_path_factory) -> Path:
    """A run of random weights, calibrated; tests work on copies of it."""
    run = untrained_run(tmp_path_factory.mktemp("made") / "quarters-1", fill, **OPTIONS)
    kept = {"temperature": TEMPERATURE, "thresholds": {}}
    run.update_result(
        calibration={"tta": "none", "by_tta": {"none": kept}},
        known_threshold=0.4,
        split="test",
        n=32,
        accuracy=0.5,
        tta="none",
        accuracy_ci95=[0.3, 0.7],
    )
    return run.path


@pytest.fixture
def run(made, tmp_path) -> Run:
    return Run(shutil.copytree(made, tmp_path / made.name))


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory) -> tuple[Run, cifarlab.Export]:
    """A run, and what its export as ONNX gave; tests change neither."""
    run = Run(shutil.copytree(made, tmp_path_factory.mktemp("exported") / made.name))
    return run, cifarlab.export(run, "onnx")


@pytest.fixture
def inside(monkeypatch) -> None:
    """Runtimes opened in this process, which has TensorFlow already."""

    def ask(format, file, asked, slower):
        call, runtime = probe.OPEN[format](str(file))
        found = {c.name: dict(zip(probe.OUTPUTS, probe.ask(call, c.images, c.batch), strict=True))
                 for c in asked}  # fmt: skip
        return found, {"runtime": runtime, "speed": {"slower": bool(slower)}}

    monkeypatch.setattr(certificate, "ask", ask)


def noise(count: int, size: int = SIZE) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


# --- the network ---


# Where a batch normalisation follows an activation, an addition or a depthwise convolution, or a
# pooling whose maxima a negative scale would turn into minima.
KEEPING_NORMS = ("airbench_cnn", "convmixer", "mobilenet", "wide_resnet")
VARIANTS = [("plain_cnn", OPTIONS), ("airbench_cnn", {"depth": 3})]


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in list_models()), *VARIANTS])
def test_every_model_has_the_same_answers_in_stock_layers(name, options) -> None:
    size = 16 if name.startswith("resnet") else 32
    model = fill(create_model(name, num_classes=4, image_size=size, mean=(99.0,) * 3, **options))
    network, images = deployable(model, size, TEMPERATURE), noise(3, size)
    expected = np.asarray(model(images.astype("float32"), training=False))
    found = {key: np.asarray(values) for key, values in network(images).items()}
    assert np.ptp(expected) > 0.001
    np.testing.assert_allclose(found["logits"], expected, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_allclose(
        found["probabilities"], softmax(found["logits"] / TEMPERATURE), atol=1e-6
    )
    assert (network.inputs[0].name, network.inputs[0].dtype) == ("images", "uint8")
    assert all(type(layer).__module__.startswith("keras.") for layer in network.layers)
    assert {*network.operations} == {*network.layers}  # no operation without a layer
    left = {layers.BatchNormalization, layers.Dropout} & {type(each) for each in network.layers}
    assert not left or name in KEEPING_NORMS


def norm_after(between, **conv) -> tuple[keras.Model, list[str]]:
    """A convolution, `between`, a batch normalisation; and the batch normalisations that stay."""
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", **conv)(layers.Rescaling(0.01)(inputs))
    x = layers.BatchNormalization(name="norm")(between(x))
    model = fill(keras.Model(inputs, layers.GlobalAveragePooling2D()(x)))
    network = deployable(model, 8)
    images = noise(2, 8)
    expected = model(images.astype("float32"))
    np.testing.assert_allclose(network(images)["logits"], expected, rtol=1e-3)
    return network, [each.name for each in network.layers if each.name == "norm"]


@pytest.mark.parametrize("use_bias", [True, False])
def test_batch_normalisation_goes_into_the_convolution(use_bias) -> None:
    assert norm_after(lambda x: x, use_bias=use_bias)[1] == []


@pytest.mark.parametrize(
    "between",
    [layers.MaxPooling2D(2), layers.ReLU(), lambda x: layers.Add()([x, layers.ReLU()(x)])],
    ids=["pooling with negative scales", "activation", "the output is read twice"],
)
def test_batch_normalisation_stays_where_it_cannot_go(between) -> None:
    assert norm_after(between)[1] == ["norm"]


def test_batch_normalisation_stays_after_an_activated_convolution() -> None:
    assert norm_after(lambda x: x, activation="relu")[1] == ["norm"]


def test_a_layer_without_a_stock_form_is_refused() -> None:
    class Own(layers.Layer):
        def call(self, x):
            return 2 * x

    inputs = keras.Input((8, 8, 3))
    for output, said in [(Own(name="mine")(inputs), "mine"), (keras.ops.exp(inputs), "exp")]:
        model = keras.Model(inputs, layers.GlobalMaxPooling2D()(output))
        with pytest.raises(ExportError, match=rf"{said}.* has no stock"):
            deployable(model, 8)


# --- the file ---


def words(run: Run, *more: str) -> list[str]:
    return ["export", str(run.path), "--format", *more]


def test_an_export_is_certified_without_a_look_at_test(exported, made) -> None:
    run, export = exported
    path = run.path / "export" / "quarters-1.onnx"
    assert (export.path, export.certificate_path.name) == (path, f"{path.name}.certificate.json")
    assert {*path.parent.iterdir()} == {path, export.certificate_path}
    kept = json.loads(export.certificate_path.read_text())
    assert kept == export.certificate
    assert kept["sha256"] == sha256(path)
    assert kept["passed"]
    assert kept["runtime"]["name"] == "onnxruntime"
    assert kept["cases"][0]["name"] == "test"
    assert kept["cases"][0]["n"] == 32
    assert kept["top1_agreement"] == kept["n"] == 32 + 1 + 1 + 60 + 101
    assert 0 <= kept["largest_difference"] < 1e-5
    assert run.result == Run(made).result  # no look at the test split
    assert "accuracy" not in json.dumps(kept)


def test_the_command_line_says_what_the_certificate_says(exported, monkeypatch, capsys) -> None:
    run, export = exported
    asked = []
    module = sys.modules["cifarlab.export"]
    monkeypatch.setattr(module, "export", lambda *a, **k: asked.append((*a, k["int8"])) or export)
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit) as done:
            main(words(run, "onnx", *more))
        output = capsys.readouterr()
        assert done.value.code == 0, output.err
    said = json.loads(output.out)
    assert (said["file"], said["certificate"]) == (str(export.path), str(export.certificate_path))
    assert said["cases"] == export.certificate["cases"]
    assert f"cifarlab predict photo.jpg --model {export.path}" in output.err
    assert asked == 2 * [(run.path, "onnx", None, False)]


def test_onnx_is_what_the_metadata_say(exported) -> None:
    import onnx
    import onnxruntime

    run, path = exported[0], exported[1].path
    session = onnxruntime.InferenceSession(path)
    (taken,) = session.get_inputs()
    assert (taken.name, taken.type, taken.shape[1:]) == ("images", "tensor(uint8)", [SIZE, SIZE, 3])
    assert {out.name: out.shape[1] for out in session.get_outputs()} == {
        "logits": 4,
        "probabilities": 4,
    }
    info = ModelInfo.from_json(session.get_modelmeta().custom_metadata_map["cifarlab"])
    assert info == model_info(run)
    names = ("north_east", "north_west", "south_east", "south_west")
    assert (info.class_names, info.image_size, info.fit) == (names, SIZE, "crop")
    assert (info.temperature, info.known_score) == (TEMPERATURE, "max_softmax")
    assert (info.known_threshold, info.source["accuracy"]) == (0.4, 0.5)
    assert info.source["weights_sha256"] == sha256(run.path / "model.safetensors")
    nodes = [node.op_type for node in onnx.load(path).graph.node]
    assert "BatchNormalization" not in nodes
    assert nodes.index("Relu") < nodes.index("MaxPool")  # so that it is the convolution's end


def test_keras_opens_where_cifarlab_is_not(run, tmp_path) -> None:
    made = cifarlab.export(run, "keras", tmp_path / "a.keras")  # in a process without it
    assert made.certificate["passed"]
    assert made.certificate["runtime"]["name"].startswith("keras")
    with zipfile.ZipFile(made.path) as archive:
        assert ModelInfo.from_json(archive.read("cifarlab.json").decode()) == model_info(run)
        assert b"cifarlab" not in archive.read("config.json")


def test_nothing_of_this_package_can_be_imported_beside_the_runtime(tmp_path) -> None:
    program = "import probe, sys\ntry: probe.main([])\nexcept ValueError: import cifarlab"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(probe.__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ModuleNotFoundError: import of cifarlab halted" in done.stderr


@pytest.mark.usefixtures("inside")
def test_saved_model_replaces_one_and_nothing_else(run, tmp_path) -> None:
    out = tmp_path / "served"
    for _ in range(2):
        made = cifarlab.export(run, "saved-model", out)
        assert made.certificate["passed"]
        assert made.certificate["sha256"] == sha256(out)
    text = (out / "assets.extra" / "cifarlab.json").read_text()
    assert ModelInfo.from_json(text) == model_info(run)
    assert {each.name for each in tmp_path.iterdir()} == {
        *(run.name, "served", "served.certificate.json"),
    }
    (out / "saved_model.pb").unlink()
    with pytest.raises(UsageError, match="is there and is no such model"):
        cifarlab.export(run, "saved-model", out)


def test_from_a_run_of_jax(run, tmp_path) -> None:
    pytest.importorskip("jax")
    environment = {**run.environment, "backend": "jax"}
    (run.path / "environment.json").write_text(json.dumps(environment))
    program = "import cifarlab.cli, sys; cifarlab.cli.main(sys.argv[1:])"
    done = subprocess.run(
        [sys.executable, "-c", program, *words(run, "onnx", "--json")],
        env={name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["reference"]["backend"] == "jax"
    assert found["top1_agreement"] == found["n"]
    assert found["largest_difference"] < 1e-4


# --- int8 ---


def test_int8_is_judged_on_validation(run, monkeypatch) -> None:
    import onnx

    monkeypatch.setattr(certificate, "POINTS", 100.0)
    made = cifarlab.export(run, "onnx", int8=True)
    assert made.path.name == "quarters-1.int8.onnx"
    found = made.certificate
    dataset = load_dataset(run.data["source"], image_size=SIZE)
    _, held = dataset.carve(0.2, 0)
    logits = np.asarray(run.load_model()(held.images.astype("float32")))
    assert found["validation"]["n"] == len(held)
    assert found["validation"]["accuracy_float32"] == (logits.argmax(1) == held.labels).mean()
    points = found["validation"]["accuracy_float32"] - found["validation"]["accuracy_int8"]
    assert found["validation"]["points_given_up"] == pytest.approx(100 * points)
    assert found["speed"]["single_ratio"] > 0
    assert 1e-4 < found["largest_difference"] < 0.3  # it is int8, and near
    kernels = [each for each in onnx.load(made.path).graph.initializer if len(each.dims) == 4]
    kinds = [onnx.TensorProto.FLOAT, onnx.TensorProto.INT8]  # the first one sees the pixels
    assert [each.data_type for each in sorted(kernels, key=lambda each: each.dims[1])] == kinds
    monkeypatch.setattr(certificate, "POINTS", -100.0)
    with pytest.raises(ExportError, match=r"int8 gives up .* points of accuracy on 26 validation"):
        cifarlab.export(run, "onnx", int8=True)


@pytest.mark.usefixtures("inside")
def test_litert_in_float32_and_int8(run, tmp_path, monkeypatch) -> None:
    import tensorflow as tf
    from tensorflow.lite.python import schema_py_generated as schema

    monkeypatch.setattr(certificate, "POINTS", 100.0)
    float32 = cifarlab.export(run, "litert", tmp_path / "deep" / "er" / "a.tflite")
    int8 = cifarlab.export(run, "litert", tmp_path / "b.tflite", int8=True)
    assert float32.certificate["passed"]
    assert int8.certificate["speed"]["slower"]
    assert 1e-4 < int8.certificate["largest_difference"] < 0.3
    for made, whole in ((float32, False), (int8, True)):
        model = schema.ModelT.InitFromPackedBuf(made.path.read_bytes())
        (entry,) = [each for each in model.metadata if each.name == b"cifarlab"]
        text = bytes(model.buffers[entry.buffer].data).decode()
        assert ModelInfo.from_json(text) == model_info(run)
        tensors = tf.lite.Interpreter(str(made.path)).get_tensor_details()
        assert (np.int8 in {each["dtype"] for each in tensors}) == whole


def test_calibration_sees_every_class_of_a_sorted_folder() -> None:
    from cifarlab.export.quantize import IMAGES, calibration_images

    images = np.arange(10 * IMAGES)
    chosen = calibration_images(images)
    assert len(chosen) == len(set(chosen)) == IMAGES
    assert {0, len(images) - 1} <= {*chosen}
    assert len(calibration_images(images[:7])) == 7


# --- what is refused ---


def test_a_file_that_differs_is_not_kept(run, monkeypatch, capsys) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(FORMATS, "onnx", replace(FORMATS["onnx"], stamp=spoil))
        with pytest.raises(SystemExit) as done:
            main(words(run, "onnx"))
    assert done.value.code == 1
    error = capsys.readouterr().err
    assert "quarters-1.onnx is not kept: " in error
    assert "a probability differs by" in error
    (kept,) = (run.path / "export").iterdir()
    assert kept.name == "quarters-1.onnx.failed.json"
    assert not json.loads(kept.read_text())["passed"]
    with pytest.raises(SystemExit):
        main(words(run, "onnx"))
    assert not kept.exists()  # it was of another file


def spoil(path: Path, _info: ModelInfo | None = None) -> None:
    """Change one bias."""
    import onnx

    model = onnx.load(path)
    (bias, *_) = (each for each in model.graph.initializer if each.dims == [4])
    values = onnx.numpy_helper.to_array(bias) + np.array([0, 0.5, 0, 0], "float32")
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    onnx.save(model, path)


def test_a_tampered_file_fails_its_certificate(exported, tmp_path) -> None:
    run, export = exported
    path = Path(shutil.copy(export.path, tmp_path))
    case = Case("noise", noise(20), 7)
    logits = np.asarray(run.load_model()(case.images.astype("float32")))
    reference = Reference({"noise": logits}, TEMPERATURE)
    assert certify("onnx", path, [case], reference)["passed"]
    spoil(path)
    assert not certify("onnx", path, [case], reference)["passed"]
    assert sha256(path) != export.certificate["sha256"]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ExportError, match=r"^quarters-1\.onnx does not run: \S"):
        certify("onnx", path, [case], reference)


def answer(probabilities: list[list[float]], temperature: float = 1.0) -> dict[str, np.ndarray]:
    values = np.array(probabilities)
    return {"probabilities": values, "logits": temperature * np.log(values)}


def test_agreement_by_hand() -> None:
    case = Case("three", np.zeros((3, 1, 1, 3), np.uint8), 1)
    expected = answer([[0.5, 0.5], [0.9, 0.1], [0.4, 0.6]])
    reference = Reference({"three": expected["logits"]}, 1.0)
    row = compare(case, reference, answer([[0.499998, 0.500002], [0.9, 0.1], [0.7, 0.3]]))
    assert (row["n"], row["top1_agreement"], row["ties"]) == (3, 1, 1)
    assert row["largest_difference"] == pytest.approx(0.3)
    assert failures(row) == [
        "1 of 3 images get another class",
        "a probability differs by 3.0e-01, more than 0.0001",
    ]
    # The logits count too: here they are those of another temperature.
    wrong = {**expected, "logits": 2 * expected["logits"]}
    assert compare(case, reference, wrong)["largest_difference"] > 0.05
    broken = answer([[0.5, 0.5], [float("nan"), 0.1], [0.4, 0.6]])
    row = compare(case, reference, broken)
    assert row["largest_difference"] is None
    assert "it gives what is no number" in failures(row)


@pytest.mark.usefixtures("inside")
def test_where_the_dataset_is_not_the_images_are_made_up(run, tiny_folder) -> None:
    data = {**run.data, "source": str(tiny_folder / "gone")}
    (run.path / "data.json").write_text(json.dumps(data))
    found = cifarlab.export(run, "saved-model").certificate
    assert found["dataset"] is None
    assert "does not exist" in found["dataset_missing"]
    assert (found["cases"][0]["name"], found["cases"][0]["n"]) == ("generated", cases.GENERATED)
    assert found["top1_agreement"] == found["n"]


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (["onxx"], 2, "did you mean 'onnx'"),
        (["keras", "--int8"], 2, "keras files are float32; int8 is for onnx and litert"),
        (["saved-model", "--int8"], 2, "saved-model files are float32"),
        (["litert", "--out", "a.onnx"], 2, "must end in .tflite"),
        (["onnx", "--data", "nowhere/at/all"], 1, "does not exist"),
    ],
)
def test_what_is_wrong_is_one_line(run, more, status, said, capsys) -> None:
    with pytest.raises(SystemExit) as done:
        main(words(run, *more))
    assert done.value.code == status
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error


def test_int8_needs_validation_images(run) -> None:
    data = {**run.data, "validation_fraction": 0.0}
    (run.path / "data.json").write_text(json.dumps(data))
    with pytest.raises(ExportError, match="held none out"):
        cifarlab.export(run, "onnx", int8=True)


def test_a_missing_extra_is_named(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"cifarlab\[export\]"):
        get_format("onnx")
    with pytest.raises(UnknownNameError):
        get_format("tensorrt")
