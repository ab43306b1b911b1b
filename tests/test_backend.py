"""The backend is chosen before Keras loads; most of this runs without loading any."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from cifarlab import backend
from cifarlab.errors import BackendError, UnknownNameError
from fresh_process import run_python


@pytest.fixture(autouse=True)
def fresh(monkeypatch) -> None:
    """A process in which Keras is not loaded and no backend is chosen."""
    monkeypatch.delitem(sys.modules, "keras", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)


@pytest.fixture
def loaded(monkeypatch):
    """Say that Keras is loaded with this backend."""

    def load(name: str) -> None:
        keras = SimpleNamespace(backend=SimpleNamespace(backend=lambda: name))
        monkeypatch.setitem(sys.modules, "keras", keras)

    return load


# --- configure ---


def test_tensorflow_by_default_then_the_environment_then_the_argument(monkeypatch) -> None:
    assert backend.configure() == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert backend.configure() == "jax"
    assert backend.configure("tensorflow") == "tensorflow"
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    assert "keras" not in sys.modules


def test_what_is_loaded_stays(loaded) -> None:
    loaded("jax")
    assert backend.configure() == "jax"
    assert os.environ["KERAS_BACKEND"] == "jax"
    with pytest.raises(BackendError, match=r"runs on jax .* KERAS_BACKEND=tensorflow"):
        backend.configure("tensorflow")
    assert os.environ["KERAS_BACKEND"] == "jax"


@pytest.mark.parametrize(
    ("name", "nearest"), [("tensorflw", "'tensorflow'"), ("jacks", "'jax'"), ("torch", "jax")]
)
def test_an_unknown_backend_names_the_nearest(monkeypatch, name: str, nearest: str) -> None:
    with pytest.raises(UnknownNameError, match=f"unknown backend '{name}';.*{nearest}"):
        backend.configure(name)
    monkeypatch.setenv("KERAS_BACKEND", name)
    with pytest.raises(UnknownNameError, match=nearest):
        backend.configure()


def test_a_backend_that_is_not_installed(monkeypatch) -> None:
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        BackendError, match=r'jax is not installed; .*pip install "cifarlab\[jax\]"'
    ):
        backend.configure("jax")
    assert os.environ["KERAS_BACKEND"] == ""


def test_a_keras_that_is_set_to_something_else_is_refused(monkeypatch) -> None:
    import keras

    monkeypatch.setattr(keras.config, "image_data_format", lambda: "channels_first")
    with pytest.raises(BackendError, match=r"'channels_first', .* needs 'channels_last'"):
        backend.load()


def test_importing_it_loads_no_framework() -> None:
    program = "import sys, cifarlab.backend as b; b.configure(); print(*sys.modules)"
    names = {name.partition(".")[0] for name in run_python(program).split()}
    assert not names & {"keras", "tensorflow", "jax", "numpy"}


# --- load ---


def test_the_package_itself_loads_what_it_needs_in_silence() -> None:
    program = (
        "import os, sys; os.dup2(1, 2)\n"  # what is said in error is printed
        "import cifarlab; cifarlab.train, cifarlab.load_dataset; print('keras' in sys.modules)"
    )
    assert run_python(program) == "True\n"


NOISY = """
import os
os.write(2, b"notice of C++\\n")
class backend:
    backend = staticmethod(lambda: "tensorflow")
class config:
    image_data_format = staticmethod(lambda: "channels_last")
    floatx = staticmethod(lambda: "float32")
"""


def load_in_a_process(folder: Path, keras: str) -> subprocess.CompletedProcess[str]:
    (folder / "keras.py").write_text(keras)
    program = (
        "import os, sys, cifarlab.backend as b\n"
        "print(b.load('tensorflow'))\n"
        "import sklearn\n"  # hidden from what is loaded, and there again
        "print('later', file=sys.stderr)\n"
    )
    paths = [str(folder), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60
    )


def test_loading_is_silent_and_what_follows_is_not(tmp_path) -> None:
    done = load_in_a_process(tmp_path, NOISY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "tensorflow\n", "later\n")


def test_what_keras_would_import_needlessly_is_not_there_for_it(tmp_path) -> None:
    """Packages that it tries and does without; the program above imports one afterwards."""
    tries = """
for name in ("sklearn", "matplotlib", "jax", "json"):
    try:
        __import__(name)
    except ImportError:
        print("without", name)
"""
    done = load_in_a_process(tmp_path, NOISY + tries)
    assert done.stdout.splitlines() == [
        *("without sklearn", "without matplotlib", "without jax", "tensorflow"),
    ]
    assert (done.returncode, done.stderr) == (0, "later\n")


def test_several_compilations_are_no_news() -> None:
    said = "5 out of the last 9 calls to <function f> triggered tf.function retracing."
    assert not backend._worth_reading(logging.makeLogRecord({"msg": said}))
    assert backend._worth_reading(logging.makeLogRecord({"msg": "%s", "args": ("no memory",)}))


@pytest.mark.skipif(os.name == "nt", reason="another way to have no standard error")
def test_without_a_standard_error_it_loads_all_the_same(tmp_path) -> None:
    (tmp_path / "quiet.py").write_text("import sys; print(sys.stderr)")
    program = "import cifarlab.backend as b; b.import_quietly('quiet')"
    closed = f'exec 2>&-; exec "{sys.executable}" -c "{program}"'
    done = subprocess.run(["sh", "-c", closed], stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "None\n")


def test_a_load_that_fails_shows_what_was_said(tmp_path) -> None:
    done = load_in_a_process(tmp_path, NOISY + "raise ImportError('no such symbol')\n")
    assert done.returncode == 1
    assert done.stderr.startswith("notice of C++\n")
    assert "ImportError: no such symbol" in done.stderr


# --- precision ---


@pytest.mark.parametrize(
    ("flags", "one_dnn", "expected"),
    [
        ({"avx512_bf16", "fma"}, None, "bfloat16"),
        ({"amx_bf16"}, "1", "bfloat16"),
        ({"amx_bf16"}, "0", "float32"),  # without oneDNN bfloat16 is emulated
        ({"avx2", "avx512f", "fma"}, None, "float32"),
        (set(), None, "float32"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_has_it(
    monkeypatch, flags: set, one_dnn: str | None, expected: str
) -> None:
    monkeypatch.setattr(backend, "cpu_flags", lambda: flags)
    if one_dnn is not None:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", one_dnn)
    assert backend.resolve_precision("auto") == expected
    assert backend.resolve_precision("float32") == "float32"
    assert backend.resolve_precision("bfloat16") == "bfloat16"


@pytest.mark.parametrize(
    ("device", "expected"), [("cpu", "float32"), ("gpu", "bfloat16"), ("tpu", "bfloat16")]
)
def test_auto_on_jax_is_bfloat16_on_accelerators(monkeypatch, device: str, expected: str) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(backend, "device", lambda: device)
    monkeypatch.setattr(backend, "cpu_flags", lambda: {"avx512_bf16"})
    assert backend.resolve_precision() == expected


def test_an_unknown_precision_names_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match="unknown precision 'flaot32'; did you mean 'float32'"
    ):
        backend.resolve_precision("flaot32")


# --- what was there ---

PROC = {
    "cpuinfo": ["processor\t: 0", "model name\t: Some CPU @ 3 GHz", "flags\t\t: fma avx2", "x: y"],
    "meminfo": ["MemTotal:       2048 kB", "MemFree: 5 kB"],
}


def test_the_processor_and_memory_as_linux_tells_them(monkeypatch) -> None:
    monkeypatch.setattr(backend, "_proc", PROC.__getitem__)
    assert backend.cpu_flags() == {"fma", "avx2"}
    assert backend.cpu_name() == "Some CPU @ 3 GHz"
    assert backend.memory_bytes() == 2048 * 1024


def test_a_system_that_does_not_tell(monkeypatch) -> None:
    monkeypatch.setattr(backend, "_proc", lambda name: [])
    assert backend.cpu_flags() == set()
    assert backend.cpu_name()
    assert backend.memory_bytes() is None


def test_the_record_is_complete_and_json(monkeypatch) -> None:
    monkeypatch.setattr(backend, "device", lambda: "cpu")
    monkeypatch.setattr(backend, "cpu_flags", set)
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/cifarlab", "train", "digits"])
    record = backend.environment()
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert set(record) == {
        *("backend", "device", "precision", "platform", "machine", "cpu", "cores", "threads"),
        *("memory_bytes", "versions", "command", "date"),
    }
    assert (record["backend"], record["device"]) == ("tensorflow", "cpu")
    assert record["precision"] == "float32"
    assert backend.environment("bfloat16")["precision"] == "bfloat16"
    assert record["command"] == "cifarlab train digits"  # no path of this machine
    assert {"python", "keras", "numpy", "pillow", "scikit-learn"} <= set(record["versions"])
    assert record["date"].endswith("+00:00")
    assert 1 <= record["threads"] <= (record["cores"] or 1)
