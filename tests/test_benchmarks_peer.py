"""Public scripts are run with our number of runs, our seeds, and on a CPU."""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
FINAL = "printed no final row"

# Built like the scripts that `peer.py` is for, with nothing in it that needs torch.
SCRIPT = """
from math import ceil

class TinyCifarLoader:
    def __init__(self, path, train=True, batch_size=500):
        self.batch_size = batch_size
    def __len__(self):
        return 2
    def __iter__(self):
        return iter([([0] * self.batch_size, [0] * self.batch_size)] * len(self))

def print_training_details(variables, is_final_entry):
    print(variables["epoch"])

def main(run, model):
    train_loader = TinyCifarLoader("cifar10", batch_size=50)
    total_train_steps = ceil(8 * len(train_loader))
    time_seconds, step = 0.0, 0
    for epoch in range(ceil(total_train_steps / len(train_loader))):
        for inputs, labels in train_loader:
            step += 1
        time_seconds += 2.0
        val_acc = 0.1 * (epoch + 1)
        print_training_details(locals(), is_final_entry=False)
    tta_val_acc, epoch, time_seconds = 0.95, "eval", time_seconds + 4.0
    print_training_details(locals(), is_final_entry=True)
    return tta_val_acc

if __name__ == "__main__":
    main("warmup", None)
    accs = [main(run, None) for run in range(200)]
"""


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The scripts as modules; they import each other as they do when run by path."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import peer
    import peer_adapt

    return SimpleNamespace(peer=peer, peer_adapt=peer_adapt)


def run_script(peer: Any, path: Path, **words: Any) -> tuple[list[dict[str, Any]], list[int]]:
    """The lines of a script run with a stand-in for torch, and the seeds that torch was given."""
    seeds: list[int] = []
    torch = SimpleNamespace(
        manual_seed=seeds.append,
        get_num_threads=lambda: 1,
        __version__="0",
        cuda=SimpleNamespace(get_device_name=lambda: "a GPU", max_memory_allocated=lambda: 1),
    )
    arguments = {"script": path, "seed": 0, "runs": 1, "device": "cpu", "dtype": "bfloat16"}
    arguments |= {"epochs": None, "limit_images": None, **words}
    out = io.StringIO()
    recorder = peer.Recorder(torch, argparse.Namespace(**arguments), out)
    peer.execute(peer.read_script(path, arguments["epochs"]), path, recorder)
    return [json.loads(line) for line in out.getvalue().splitlines()], seeds


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.py"
    path.write_text(SCRIPT)
    return path


def test_a_script_is_run_with_our_number_of_runs_and_seeds(benchmarks, script):
    lines, seeds = run_script(benchmarks.peer, script, runs=3, seed=5)
    assert [line["seed"] for line in lines] == seeds == [5, 6, 7]
    assert [row["epoch"] for row in lines[0]["epochs"]] == list(range(1, 9))
    assert [row["seconds"] for row in lines[0]["epochs"]][:2] == [2.0, 4.0]
    assert (lines[0]["accuracy"], lines[0]["time_seconds"]) == (0.95, 20.0)
    assert lines[0]["images"] == 8 * 2 * 50
    assert lines[0]["images_per_second"] == pytest.approx(800 / 16)
    assert lines[0]["warm_up_seconds"] is None


def test_on_cuda_the_warm_up_runs_and_is_apart(benchmarks, script):
    lines, seeds = run_script(benchmarks.peer, script, runs=2, device="cuda")
    assert len(lines) == 2
    assert seeds == [0, 0, 1]
    assert lines[0]["warm_up_seconds"] > 0


def test_on_cuda_a_script_without_a_warm_up_has_its_first_run_apart(benchmarks, script):
    script.write_text(SCRIPT.replace('main("warmup", None)', "pass"))
    lines, seeds = run_script(benchmarks.peer, script, runs=2, device="cuda")
    assert len(lines) == 2
    assert len(seeds) == 3


def test_a_trial_is_shorter_and_smaller_and_says_so(benchmarks, script):
    lines, _ = run_script(benchmarks.peer, script, epochs=2, limit_images=10)
    assert len(lines[0]["epochs"]) == 2
    assert lines[0]["images"] == 2 * 2 * 10
    assert lines[0]["trial"] == {"epochs": 2, "limit_images": 10}


@pytest.mark.parametrize(
    ("text", "epochs", "message"),
    [
        (SCRIPT.replace("ceil(8 *", "ceil(hours *"), 2, "number of epochs is not where it was"),
        (SCRIPT.replace("__main__", "other"), None, "not built like the scripts"),
        (SCRIPT.replace("range(200)", "range(100)"), None, "it made 100 runs, not the 1 asked"),
        (SCRIPT.replace("print_training_details(locals(), is_final_entry=True)", ""), None, FINAL),
    ],
)
def test_a_script_that_has_changed_is_refused_in_one_line(
    benchmarks, script, text, epochs, message
):
    script.write_text(text)
    with pytest.raises(SystemExit, match=message):
        run_script(benchmarks.peer, script, epochs=epochs)


def test_compiling_is_left_out_in_each_form(benchmarks):
    do_not_compile = benchmarks.peer_adapt.do_not_compile
    assert do_not_compile(len) is len
    assert do_not_compile(fullgraph=True)(len) is len
    model = type("Model", (), {"modules": lambda self: []})()
    assert do_not_compile(model, mode="max-autotune")._orig_mod is model


def test_torch_is_adapted_to_the_cpu(tmp_path: Path):
    pytest.importorskip("torch", reason="torch is no dependency: only a peer's interpreter has it")
    code = """
import torch
from peer_adapt import adapt_to_cpu
adapt_to_cpu(torch, torch.bfloat16)
assert torch.zeros(2, device="cuda").half().cuda().dtype == torch.bfloat16
net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).half()
assert net[0].weight.dtype == net[1].weight.dtype == torch.float32
images = torch.ones(2, 3, 5, 5).half()
before = net[0](images)
before.float().sum().backward()
assert before.dtype == torch.bfloat16 and net[0].weight.grad.dtype == torch.float32
with torch.no_grad():
    net[0].weight += 1  # a step that the next product must see
assert not torch.equal(net[0](images), before)
assert torch.compile(net, mode="max-autotune")._orig_mod is net
assert len(list(net.modules())) == 3
torch.save({"a": torch.ones(3).half()}, "file.pt")
assert torch.load("file.pt", map_location=torch.device("cuda"))["a"].dtype == torch.bfloat16
start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
start.record(); end.record(); torch.cuda.synchronize()
assert 0 <= start.elapsed_time(end) < 1000
"""
    environment = {**os.environ, "PYTHONPATH": str(BENCHMARKS)}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
