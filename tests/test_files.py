"""Files are replaced whole or not at all."""

from __future__ import annotations

import ast
import contextlib
import csv
import errno
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cifarlab import files
from cifarlab.errors import CifarlabError, RunError
from cifarlab.files import claimed


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    files.write_text(path, "one\n")
    files.write_text(path, "two\n")
    assert path.read_bytes() == b"two\n"
    assert os.listdir(path.parent) == ["a.txt"]


def test_an_error_in_the_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with contextlib.suppress(RuntimeError), files.replacing(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_one_line_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CifarlabError, match=r"a\.txt: the disk is full; free some space"):
        files.write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CifarlabError, match="cannot write"):
        files.write_text(tmp_path / "file" / "a.txt", "x")
    with pytest.raises(CifarlabError, match="cannot write"):
        files.write_text(tmp_path, "x")
    assert os.listdir(tmp_path) == ["file"]
    assert not list(tmp_path.parent.glob(".*.tmp"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_others_may_read_what_the_umask_allows(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        files.write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o644


def test_a_name_as_long_as_a_name_may_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 251 + ".txt")
    files.write_text(path, "as long as most systems allow")
    assert os.listdir(tmp_path) == [path.name]


def test_json_is_text_that_reads_back_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"name": "Käfer", "n": 3})
    assert json.loads(path.read_text(encoding="utf-8")) == {"name": "Käfer", "n": 3}
    assert path.read_text(encoding="utf-8").endswith("}\n")
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8"))["n"] == 3


@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_a_file_name_that_is_not_utf8_can_be_written(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    files.write_json(tmp_path / "a.json", {"file": name})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"file": name}
    files.write_text(tmp_path / "a.html", f"<td>{name}</td>")
    assert (tmp_path / "a.html").read_bytes() == b"<td>caf\\udce9.png</td>"


def test_a_kill_at_any_moment_leaves_one_whole_version(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    program = (
        "import itertools, sys; from cifarlab.files import write_text\n"
        "for i in itertools.count(): write_text(sys.argv[1], str(i % 10) * 200_000)"
    )
    for attempt in range(5):
        path.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", program, str(path)])
        deadline = time.monotonic() + 20
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.003 * attempt)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = path.read_text()
        assert len(content) == 200_000
        assert len(set(content)) == 1


# --- claimed ---


@pytest.mark.skipif(os.name == "nt", reason="no lock on folders")
def test_a_folder_is_claimed_once_and_until_the_process_ends(tmp_path: Path) -> None:
    holds = "import sys, time; from pathlib import Path; from cifarlab.files import claimed\n"
    holds += "with claimed(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    command = [sys.executable, "-c", holds, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another process is at work"), claimed(tmp_path):
            pass
        other.kill()
        other.wait()
        with claimed(tmp_path):  # nothing is left behind
            assert list(tmp_path.iterdir()) == []
    with claimed(tmp_path):
        pass


@pytest.mark.skipif(os.name == "nt", reason="no lock on folders")
def test_a_drive_without_locks_is_no_reason_not_to_train(tmp_path: Path, monkeypatch) -> None:
    import fcntl

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with claimed(tmp_path):
        pass


# --- locked ---


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_a_lock_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("stays")
    with files.locked(path):
        began = time.monotonic()
        with files.locked(path, patience=0.05):  # another descriptor, as in another process
            assert time.monotonic() - began >= 0.05
    began = time.monotonic()
    with files.locked(path):
        assert time.monotonic() - began < 5
    assert path.read_text() == "stays"


@pytest.mark.skipif(os.name == "nt", reason="no locks")
def test_where_nothing_can_be_locked_nobody_waits(tmp_path: Path, monkeypatch) -> None:
    import fcntl

    def unsupported(*_) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    path = tmp_path / "a.txt"
    with files.locked(path):  # not there
        path.write_text("")
    monkeypatch.setattr(fcntl, "flock", unsupported)
    began = time.monotonic()
    with files.locked(path), files.locked(path):
        assert time.monotonic() - began < 5


# --- write_csv ---


@pytest.mark.parametrize(
    "name", ["=HYPERLINK(1)", "+1+1", "-1+1|x", "@SUM(1)", "\t=1", "\r=1", "＝1"]
)
def test_a_table_holds_no_formula_and_its_paths_still_lead_there(tmp_path: Path, name: str) -> None:
    files.write_csv(
        tmp_path / "a.csv", ["file", name], [[name, name], [f"a/{name}", None]], files=["file"]
    )
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        heading, first, second = csv.reader(file)
    assert heading == ["file", "'" + name]
    assert first == ["./" + name, "'" + name]
    assert Path(first[0]) == Path(name)
    assert second == [f"a/{name}", ""]


def test_a_table_leaves_alone_what_is_no_formula(tmp_path: Path) -> None:
    cells = ["cat", "-1", "+0.5", "-", "a=b", "", "'=", "-inf"]
    files.write_csv(tmp_path / "a.csv", cells, [cells, [-1.5, *cells[1:]]])
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [cells, cells, ["-1.5", *cells[1:]]]


def test_every_table_with_names_is_written_by_write_csv() -> None:
    package = Path(files.__file__).parent
    writing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("csv.writer", "csv.DictWriter")
    }
    assert writing == {"files.py", "run.py"}  # history.csv holds numbers alone
