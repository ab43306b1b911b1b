"""``.keras`` in Keras, on the backend of this process, in safe mode: loading runs no code."""

from __future__ import annotations

import zipfile
from pathlib import Path

from cifarlab import backend
from cifarlab.data.decode import Pixels
from cifarlab.runtimes.exported import Call, Outputs, filled_to_power_of_two, foreign
from cifarlab.runtimes.info import METADATA_FILE, METADATA_LIMIT


def open_keras(path: Path) -> tuple[str | None, Call]:
    """The text of the member `METADATA_FILE` and the model.

    Raises:
        ModelFileError: it has no such member; nothing of it is loaded then.
    """
    with zipfile.ZipFile(path) as archive:
        if METADATA_FILE not in archive.namelist():
            raise foreign(path)
        with archive.open(METADATA_FILE) as member:
            text = member.read(METADATA_LIMIT).decode("utf-8")
    backend.load()
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)

    def call(images: Pixels) -> Outputs:
        outputs = model.predict_on_batch(filled_to_power_of_two(images))
        return {name: values[: len(images)] for name, values in outputs.items()}

    return text, call
