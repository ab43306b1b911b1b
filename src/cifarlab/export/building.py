"""A run's network written in a format: in this process, or in one with TensorFlow.

The writers of all formats are TensorFlow's. Where Keras runs on another backend the work is done by
a process of its own, which builds the network again from the run's JSON and safetensors:

    python -m cifarlab.export.building RUN FORMAT OUT [CALIBRATION.npy]
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from cifarlab import backend
from cifarlab.errors import CifarlabError, ExportError
from cifarlab.export.describe import model_info
from cifarlab.export.formats import get_format
from cifarlab.run import Run

WRITERS = "tensorflow"  # the backend whose networks they take


def build(run: Run, format: str, out: Path, calibration: np.ndarray | None = None) -> None:
    """Write the network of `run` to `out`, with what it says of itself.

    Args:
        format: one of `formats.FORMATS`.
        calibration: uint8 (K, S, S, 3) of the training split, for int8; None for float32. With it
            the float32 form is written as well, to `float_path(out)`.

    Raises:
        ExportError: the network has no form in stock layers, or a writer failed.
    """
    if backend.load() != WRITERS:
        _build_apart(run, format, out, calibration)
        return
    from cifarlab.export.quantize import quantize_litert, quantize_onnx
    from cifarlab.export.stock import deployable

    info, kind = model_info(run), get_format(format)
    network = deployable(run.load_model(), info.image_size, info.temperature)
    if calibration is None:
        kind.write(network, out)
    else:
        kind.write(network, float_path(out))
        if format == "onnx":
            quantize_onnx(float_path(out), out, calibration)
        else:
            quantize_litert(network, out, calibration)
    kind.stamp(out, info)


def float_path(out: Path) -> Path:
    """Where the float32 form of the int8 file `out` is written."""
    return out.with_name(f"float-{out.name}")


def _build_apart(run: Run, format: str, out: Path, calibration: np.ndarray | None) -> None:
    """The same in a process of its own."""
    words = [str(run.path), format, str(out)]
    if calibration is not None:
        words.append(str(out.with_name("calibration.npy")))
        np.save(words[-1], calibration)
    run_python(["-m", __name__, *words], "the network could not be written")


def run_python(words: list[str], trouble: str) -> str:
    """The standard output of a Python process on TensorFlow.

    Raises:
        ExportError: it failed; `trouble` and the last line that it wrote say why.
    """
    environment = {**os.environ, "KERAS_BACKEND": WRITERS, "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, *words], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise ExportError(f"{trouble}: {lines[-1]}")
    return done.stdout


def main(words: list[str]) -> int:
    """What the module says; the exit status."""
    folder, format, out, *calibration = words
    try:
        build(Run(folder), format, Path(out), *map(np.load, calibration))
    except CifarlabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
