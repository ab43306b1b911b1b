"""The backend, device and precision, chosen before Keras loads; and the record of what was there.

Keras reads ``KERAS_BACKEND`` once, when it is first imported. So `configure` comes first, and
every function here that can answer without Keras does so.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Set
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from cifarlab.errors import BackendError, UnknownNameError

BACKENDS = {"tensorflow": "tensorflow", "jax": "jax"}  # Keras's name -> the module that it needs
PRECISIONS = ("auto", "float32", "bfloat16")

# On a CPU without these instructions bfloat16 is emulated, and 2.6 to 18 times slower than float32.
BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


# Keras and TensorFlow import these where they are installed, for wrappers and converters that no
# command uses: a third of the time until they are loaded.
UNNEEDED = {"jax", "matplotlib", "sklearn"}


def configure(name: str | None = None) -> str:
    """Choose Keras's backend and load nothing; return its name.

    Args:
        name: ``"tensorflow"`` or ``"jax"``; None takes ``KERAS_BACKEND``, else ``"tensorflow"``.

    Raises:
        UnknownNameError: there is no such backend.
        BackendError: it is not installed, or Keras is already loaded with another one.

    Example:
        >>> configure("tensorflow")
        'tensorflow'
    """
    loaded = _loaded_backend()
    name = name or loaded or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in BACKENDS:
        raise UnknownNameError("backend", name, BACKENDS)
    if loaded and loaded != name:
        raise BackendError(
            f"Keras already runs on {loaded} in this process and cannot change to {name}; "
            f"start a new process with KERAS_BACKEND={name}"
        )
    if importlib.util.find_spec(BACKENDS[name]) is None:
        package = {"jax": "cifarlab[jax]"}.get(name, name)
        raise BackendError(f'{name} is not installed; install it with: pip install "{package}"')
    os.environ["KERAS_BACKEND"] = name
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up notices
    return name


def load(name: str | None = None) -> str:
    """Choose the backend as `configure` does, and load it without its notices; return its name.

    Raises:
        UnknownNameError, BackendError: as `configure` does; or Keras is set to another layout of
            images or another type of numbers than the networks here are made for.
    """
    name = configure(name)
    config = import_quietly("keras", UNNEEDED - {name}).config
    for setting, needed in (("image_data_format", "channels_last"), ("floatx", "float32")):
        if (found := getattr(config, setting)()) != needed:
            raise BackendError(
                f"Keras is set to {setting} {found!r}, in its file keras.json or by this process; "
                f"cifarlab needs {needed!r}"
            )
    logging.getLogger("tensorflow").addFilter(_worth_reading)
    return name


def import_quietly(module: str, without: Set[str] = frozenset(UNNEEDED)) -> ModuleType:
    """Import a module that may load TensorFlow, without its notices and the packages `without`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # its start-up notices
    with _absent(without), stderr_aside():
        return importlib.import_module(module)


@contextmanager
def stderr_aside() -> Iterator[None]:
    """Keep what is written to the standard error within the block, and show it only on an error.

    TensorFlow's C++ writes lines about its build there while it loads, past every setting of its
    log level. Where there is no standard error, or no place for a file, nothing is put aside.
    """
    with ExitStack() as stack:
        try:
            descriptor = os.dup(2)
            stack.callback(os.close, descriptor)
            aside = stack.enter_context(tempfile.TemporaryFile())
        except OSError:
            yield
            return
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            aside.seek(0)
            os.write(descriptor, aside.read())
            raise
        finally:
            os.dup2(descriptor, 2)


def _worth_reading(record: logging.LogRecord) -> bool:
    """Several models in one process are as many compilations, which TensorFlow takes for a
    mistake."""
    return "triggered tf.function retracing" not in record.getMessage()


@contextmanager
def _absent(packages: Set[str]) -> Iterator[None]:
    """Have the import of `packages` fail within the block, but for those that are loaded."""
    hidden = packages - sys.modules.keys()
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for package in hidden:
            sys.modules.pop(package, None)


def _loaded_backend() -> str | None:
    keras = sys.modules.get("keras")
    return keras.backend.backend() if keras is not None else None


def resolve_precision(precision: str = "auto") -> str:
    """The precision of the training step's matrix products: ``"float32"`` or ``"bfloat16"``.

    ``"auto"`` is bfloat16 where the hardware computes in it, else float32. Weights, normalisation
    statistics, losses and every evaluation are float32 in any case.

    Raises:
        UnknownNameError: `precision` is none of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise UnknownNameError("precision", precision, PRECISIONS)
    if precision != "auto":
        return precision
    return "bfloat16" if has_bfloat16() else "float32"


def has_bfloat16() -> bool:
    """Whether the device that Keras would train on multiplies bfloat16 in hardware."""
    if configure() == "jax":
        return device() != "cpu"  # XLA's CPU convolutions are float32 only in practice
    one_dnn = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0"
    return one_dnn and bool(BFLOAT16_FLAGS & cpu_flags())


def device() -> str:
    """What Keras computes on: ``"cpu"``, ``"gpu"`` or ``"tpu"``. Loads the backend."""
    if configure() == "jax":
        import jax

        return {"cuda": "gpu", "rocm": "gpu"}.get(jax.default_backend(), jax.default_backend())
    import tensorflow as tf

    return "gpu" if tf.config.list_physical_devices("GPU") else "cpu"


def threads() -> int:
    """Threads that one operation is spread over: the cores this process may use.

    Two thread counts sum in two orders and so give two results, which is why a run records it.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_flags() -> set[str]:
    """The processor's feature flags as Linux names them; empty where the system does not tell."""
    for line in _proc("cpuinfo"):
        if line.startswith("flags"):
            return set(line.split(":", 1)[1].split())
    return set()


def cpu_name() -> str:
    """The processor's model name."""
    for line in _proc("cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def memory_bytes() -> int | None:
    """The machine's memory in bytes; None where the system does not tell."""
    for line in _proc("meminfo"):
        if line.startswith("MemTotal"):
            return int(line.split()[1]) * 1024
    return None


def _proc(name: str) -> list[str]:
    path = Path("/proc") / name
    return path.read_text(errors="replace").splitlines() if path.exists() else []


def versions() -> dict[str, str]:
    """Version of every package that can change a figure; absent ones are left out."""
    names = ("cifarlab", "keras", "tensorflow-cpu", "tensorflow", "jax", "jaxlib", "numpy")
    found = {"python": platform.python_version()}
    for name in (*names, "pillow", "scikit-learn"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def environment(precision: str = "auto") -> dict[str, Any]:
    """All that is worth knowing of this machine and its software, as JSON-ready values. Loads the
    backend.

    Example:
        >>> sorted(environment())[:6]
        ['backend', 'command', 'cores', 'cpu', 'date', 'device']
    """
    return {
        "backend": configure(),
        "device": device(),
        "precision": resolve_precision(precision),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "threads": threads(),
        "memory_bytes": memory_bytes(),
        "versions": versions(),
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
