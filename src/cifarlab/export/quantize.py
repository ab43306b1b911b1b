"""Int8: convolutions in whole numbers from -128 to 127, scaled by what training images show.

Static quantization (Jacob et al. 2018, arXiv:1712.05877): a scale for each output channel of a
kernel, one for each activation, taken from the range that it has on `IMAGES` training images. What
is no convolution, and the softmax above all, stays float32.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cifarlab.export.formats import write_litert
from cifarlab.runtimes import INPUT

if TYPE_CHECKING:
    import keras

IMAGES = 512
BATCH = 64
# Each has an int8 kernel in ONNX Runtime; chains of them leave int8 nowhere in between.
QUANTIZED = ("Conv", "Relu", "MaxPool", "Add", "Concat", "GlobalAveragePool")


def quantize_onnx(path: Path, out: Path, images: np.ndarray) -> None:
    """Write the int8 form of the float ONNX model at `path` to `out`.

    Args:
        images: uint8 (N, S, S, 3) of the training split.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.batches = batches(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self.batches, None)
            return None if batch is None else {INPUT: batch}

    model = onnx.load(path)
    constants = {each.name for each in model.graph.initializer}
    # The normalisation: its int8 form is slower, and loses what the pixels say exactly.
    left = [n.name for n in model.graph.node if n.op_type == "Add" and constants & {*n.input}]
    logging.getLogger().addFilter(_no_advice)
    try:
        quantize_static(
            path,
            out,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=QUANTIZED,
            nodes_to_exclude=left,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.getLogger().removeFilter(_no_advice)


def quantize_litert(network: keras.Model, out: Path, images: np.ndarray) -> None:
    """Write the int8 form of `network` to `out`; arguments as `quantize_onnx` has them."""
    import tensorflow as tf

    def representative() -> Iterator[list[np.ndarray]]:
        for start in range(len(images)):
            yield [images[start : start + 1]]

    settings: dict[str, Any] = {"optimizations": [tf.lite.Optimize.DEFAULT]}
    write_litert(network, out, **settings, representative_dataset=representative)


def calibration_images(images: np.ndarray) -> np.ndarray:
    """At most `IMAGES` of them, evenly spaced: a folder's classes stand one after the other."""
    return images[np.linspace(0, len(images) - 1, min(IMAGES, len(images))).astype(int)]


def batches(images: np.ndarray) -> Iterator[np.ndarray]:
    """`images` in order, `BATCH` at a time."""
    return (images[start : start + BATCH] for start in range(0, len(images), BATCH))


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-process" not in record.getMessage()
