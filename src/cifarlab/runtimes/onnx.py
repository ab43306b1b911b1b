"""``.onnx`` in ONNX Runtime: opens in a fraction of a second, without any framework."""

from __future__ import annotations

from pathlib import Path

from cifarlab import backend
from cifarlab.data.decode import Pixels
from cifarlab.runtimes.exported import Call, Outputs
from cifarlab.runtimes.info import INPUT, KEY, LOGITS, PROBABILITIES

FATAL_ONLY = 4  # the runtime's level of log messages: what is wrong is raised, not printed


def open_onnx(path: Path, threads: int | None = None) -> tuple[str | None, Call]:
    """The text of the metadata's entry `KEY` (None where there is none) and the model.

    Args:
        threads: over which one operation is spread; by default the cores this process may use.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or backend.threads()
    options.log_severity_level = FATAL_ONLY
    # Threads that wait for work in a loop would take the processor from whatever else runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [LOGITS, PROBABILITIES]

    def call(images: Pixels) -> Outputs:
        return dict(zip(names, session.run(names, {INPUT: images}), strict=True))

    return session.get_modelmeta().custom_metadata_map.get(KEY), call
