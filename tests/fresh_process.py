"""Python in a process of its own, where nothing has been imported yet."""

from __future__ import annotations

import subprocess
import sys

COMMAND = """
import sys
from cifarlab.cli import main
try: main(sys.argv[1:])
except SystemExit as end: assert not end.code, end.code
print(*sys.modules)
"""


def run_python(program: str, *arguments: str) -> str:
    """What `program` prints; it must end well, and in two minutes."""
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def modules_after(*words: str) -> list[str]:
    """The modules that ``cifarlab WORDS…`` has imported when it ends."""
    return run_python(COMMAND, *words).splitlines()[-1].split()
