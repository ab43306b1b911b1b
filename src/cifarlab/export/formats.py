"""Networks written to files, and what a file says of itself put into it."""

from __future__ import annotations

import importlib.util
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifarlab.errors import MissingExtraError, UnknownNameError
from cifarlab.files import write_bytes
from cifarlab.runtimes import ModelInfo
from cifarlab.runtimes.info import KEY

if TYPE_CHECKING:  # `cifarlab export --help` needs no Keras
    import keras

OPSET = 17  # of ONNX; runtimes since 2022 read it


@dataclass(frozen=True)
class Format:
    """A form that a network can be written in.

    Attributes:
        suffix: of its files.
        write: (network, path) writes it; the network is `stock.deployable`'s, on TensorFlow.
        stamp: (path, info) puts the information into what was written.
        int8: whether it has an int8 form.
        folder: whether it is a folder.
    """

    suffix: str
    write: Callable[[keras.Model, Path], None]
    stamp: Callable[[Path, ModelInfo], None]
    int8: bool = False
    folder: bool = False


def get_format(name: str) -> Format:
    """The format of that name.

    Raises:
        UnknownNameError: there is none.
        MissingExtraError: what writes it is not installed.

    Example:
        >>> get_format("litert").suffix
        '.tflite'
    """
    if name not in FORMATS:
        raise UnknownNameError("format", name, FORMATS)
    if name == "onnx" and not all(importlib.util.find_spec(each) for each in ("onnx", "tf2onnx")):
        raise MissingExtraError("ONNX export", "export")
    return FORMATS[name]


def write_onnx(network: keras.Model, path: Path) -> None:
    """By tf2onnx, with any number of images."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's, of names that tf2onnx still looks for
        network.export(
            path,
            format="onnx",
            verbose=False,
            input_signature=_signature(network),
            opset_version=OPSET,
        )
    _activate_before_pooling(path)


def _signature(network: keras.Model) -> list[Any]:
    """The network's input, for an export of a network that has never been called."""
    network(network.inputs[0])
    (images,) = network.inputs
    return [images]


def _activate_before_pooling(path: Path) -> None:
    """Max pooling and then ReLU becomes ReLU and then max pooling, which is the same.

    ReLU costs nothing as the end of a convolution, and an int8 convolution that ends in it spends
    no numbers on what is negative.
    """
    import onnx

    model = onnx.load(path)
    nodes = list(model.graph.node)
    readers: dict[str, list[Any]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for pool in nodes:
        after = readers.get(pool.output[0], [])
        if pool.op_type == "MaxPool" and [node.op_type for node in after] == ["Relu"]:
            pool.op_type, after[0].op_type = "Relu", "MaxPool"
            after[0].attribute.extend(pool.attribute)
            del pool.attribute[:]
    del model.graph.value_info[:]  # the shapes in between, which have changed
    onnx.checker.check_model(model)
    write_bytes(path, model.SerializeToString())


def stamp_onnx(path: Path, info: ModelInfo) -> None:
    """As an entry of metadata_props."""
    import onnx

    model = onnx.load(path)
    onnx.helper.set_model_props(model, {KEY: info.to_json()})
    model.producer_name, model.producer_version = "cifarlab", str(info.source.get("cifarlab", ""))
    write_bytes(path, model.SerializeToString())


def write_litert(network: keras.Model, path: Path, **converter: Any) -> None:
    """By TensorFlow's converter, of which `converter` are further settings."""
    network.export(path, format="litert", verbose=False, **converter)


def stamp_litert(path: Path, info: ModelInfo) -> None:
    """As an entry of the metadata, with a buffer of its own."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes())
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(info.to_json().encode())
    entry.name, entry.buffer = KEY.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    write_bytes(path, bytes(builder.Output()))


def write_saved_model(network: keras.Model, path: Path) -> None:
    """A folder with the signature ``serving_default``."""
    network.export(path, format="tf_saved_model", verbose=False)


def stamp_saved_model(path: Path, info: ModelInfo) -> None:
    """As a file of the folder that the format keeps for such."""
    extra = path / "assets.extra"
    extra.mkdir(exist_ok=True)
    write_bytes(extra / f"{KEY}.json", info.to_json().encode())


def write_keras(network: keras.Model, path: Path) -> None:
    """Keras's own archive."""
    network.save(path)


def stamp_keras(path: Path, info: ModelInfo) -> None:
    """As a member of the archive."""
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"{KEY}.json", info.to_json())


FORMATS: Mapping[str, Format] = {
    "onnx": Format(".onnx", write_onnx, stamp_onnx, int8=True),
    "litert": Format(".tflite", write_litert, stamp_litert, int8=True),
    "saved-model": Format(".saved-model", write_saved_model, stamp_saved_model, folder=True),
    "keras": Format(".keras", write_keras, stamp_keras),
}
