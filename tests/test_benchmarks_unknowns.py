"""The comparison of scores for unknown images refuses what it cannot read."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "benchmarks" / "unknowns.py"


@pytest.fixture(scope="module")
def benchmark():
    specification = importlib.util.spec_from_file_location("benchmark_of_unknowns", SCRIPT)
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module
    specification.loader.exec_module(module)
    return module


def test_a_set_without_a_folder_is_refused(benchmark, capsys) -> None:
    with pytest.raises(SystemExit) as end:
        benchmark.main(["run", "--set", "nothing"])
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: --set needs NAME=FOLDER. Received: nothing\n"
