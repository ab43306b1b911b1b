"""A SavedModel folder in TensorFlow.

The format is a program, which TensorFlow's makers ask to be treated as one: open only folders from
people whose programs you would run.
"""

from __future__ import annotations

from pathlib import Path

from cifarlab import backend
from cifarlab.data.decode import Pixels
from cifarlab.runtimes.exported import Call, Outputs, foreign
from cifarlab.runtimes.info import INPUT, METADATA_FILE, METADATA_LIMIT

MARK = "saved_model.pb"  # the file that makes a folder a SavedModel


def open_saved_model(path: Path) -> tuple[str | None, Call]:
    """The text of ``assets.extra/cifarlab.json`` and the model.

    Raises:
        ModelFileError: there is no such file; nothing of the model is loaded then.
    """
    described = path / "assets.extra" / METADATA_FILE
    if not described.is_file():
        raise foreign(path)
    with open(described, "rb") as file:
        text = file.read(METADATA_LIMIT).decode("utf-8")
    tf = backend.import_quietly("tensorflow")
    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]

    def call(images: Pixels, keep: object = loaded) -> Outputs:
        outputs = serve(**{INPUT: tf.constant(images)})  # the function alone does not keep `loaded`
        return {name: tensor.numpy() for name, tensor in outputs.items()}

    return text, call
