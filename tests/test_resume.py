"""Trainings killed or interrupted, resumed, and compared bit for bit with one that was not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from cifarlab.run import HISTORY, Run

BACKENDS = ("tensorflow", "jax")
# Small batches and an impatient plateau: many steps, and callbacks with something to remember.
WORDS = ("--recipe", "debug", "--epochs", "5")
WORDS += ("--set", "batch_size=16", "--set", "plateau.patience=0")


def start(backend: str, *words: str | Path) -> subprocess.Popen:
    """``cifarlab train …`` as a process of its own."""
    command = [sys.executable, "-m", "cifarlab", "train", *map(str, words), "--backend", backend]
    return subprocess.Popen(
        command, env={**os.environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    _, err = process.communicate(timeout=240)
    return process.returncode, err


def state(run: Path) -> tuple[dict[str, bytes], list[tuple], list[dict]]:
    """Weights and optimizer, history without its times, and what callbacks remember."""
    from safetensors import safe_open

    path = run / "checkpoint.safetensors"
    arrays = {name: value.tobytes() for name, value in load_file(path).items()}
    arrays |= {f"final/{k}": v.tobytes() for k, v in load_file(run / "model.safetensors").items()}
    history = [
        tuple(row[column] for column in HISTORY if column != "seconds") for row in Run(run).history
    ]
    with safe_open(str(path), framework="numpy") as file:
        callbacks = json.loads(file.metadata()["callbacks"])
    return arrays, history, callbacks


def wait_for_epochs(run: Path, count: int, process: subprocess.Popen) -> None:
    """Wait until the run has finished `count` epochs."""
    history = run / "history.csv"
    deadline = time.monotonic() + 200
    while not history.exists() or len(history.read_text().splitlines()) <= count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> dict[str, Path]:
    """A finished run of each backend; the two are trained side by side."""
    runs = {backend: tmp_path_factory.mktemp(backend) / "whole" for backend in BACKENDS}
    training = [start(backend, tiny_folder, *WORDS, "--out", run) for backend, run in runs.items()]
    try:
        for process in training:
            code, err = finish(process)
            assert code == 0, err
    finally:
        for process in training:
            process.kill()
    for run in runs.values():  # the plateau's memory is part of the comparison
        assert state(run)[2][0]["best"] is not None
    return runs


# One way each, so that the suite stays short: benchmarks/kill_resume.py kills many more times.
# The signal to stop is caught in the loop, which both backends share.
@pytest.mark.parametrize(
    ("backend", "signum"),
    [("tensorflow", signal.SIGKILL), ("tensorflow", signal.SIGTERM), ("jax", signal.SIGKILL)],
)
def test_a_stopped_run_resumes_to_the_same_bits(
    uninterrupted: dict[str, Path],
    tiny_folder: Path,
    tmp_path: Path,
    backend: str,
    signum: signal.Signals,
) -> None:
    run, whole = tmp_path / "stopped", uninterrupted[backend]
    process = start(backend, tiny_folder, *WORDS, "--out", run)
    wait_for_epochs(run, 2, process)
    process.send_signal(signum)
    code, err = finish(process)
    assert not Run(run).result["completed"]
    if signum == signal.SIGKILL:
        assert code == -signum
    else:
        assert code == 128 + signum
        assert err.count("\n") == 1
        assert f"cifarlab train --resume {run}" in err
    code, err = finish(start(backend, "--resume", run))
    assert code == 0, err
    assert state(run) == state(whole)
    logits = [Run(path).predictions("test")["logits"] for path in (run, whole)]
    assert logits[0].tobytes() == logits[1].tobytes()
