"""``.tflite`` in LiteRT: the small package ``ai-edge-litert`` where it is installed, else the
interpreter inside TensorFlow."""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from pathlib import Path
from typing import Any

from cifarlab import backend
from cifarlab.data.decode import Pixels
from cifarlab.runtimes.exported import Call, Outputs
from cifarlab.runtimes.info import INPUT, KEY


def open_litert(path: Path, threads: int | None = None) -> tuple[str | None, Call]:
    """The text of the metadata's entry `KEY` (None where there is none) and the model.

    Args:
        threads: over which one operation is spread; by default the cores this process may use.
    """
    interpreter_class, schema = _packages()
    content = path.read_bytes()
    with warnings.catch_warnings(), backend.stderr_aside():  # news of delegates and deprecations
        warnings.simplefilter("ignore", UserWarning)
        interpreter = interpreter_class(
            model_content=content, num_threads=threads or backend.threads()
        )
        # By names, and for any N: the signature's runner makes room for the images it is given.
        runner = interpreter.get_signature_runner()

    def call(images: Pixels) -> Outputs:
        return runner(**{INPUT: images})

    return _metadata(schema.Model.GetRootAs(content)), call


def _packages() -> tuple[Any, Any]:
    """The class of interpreters and the module that reads the file's format (a flatbuffer)."""
    if importlib.util.find_spec("ai_edge_litert") is not None:
        home, schema = "ai_edge_litert.interpreter", "ai_edge_litert.schema_py_generated"
        return importlib.import_module(home).Interpreter, importlib.import_module(schema)
    tensorflow = backend.import_quietly("tensorflow")
    schema = "tensorflow.lite.python.schema_py_generated"
    return tensorflow.lite.Interpreter, importlib.import_module(schema)


def _metadata(model: Any) -> str | None:
    """The buffer that the entry `KEY` of the metadata points to, as text."""
    for number in range(model.MetadataLength()):
        entry = model.Metadata(number)
        if entry.Name() == KEY.encode():
            return model.Buffers(entry.Buffer()).DataAsNumpy().tobytes().decode("utf-8")
    return None
