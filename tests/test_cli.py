"""The command line's base: help, usage errors, exit codes, JSON, and the small commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from cifarlab import __version__, cli
from cifarlab.cli import console, info
from cifarlab.errors import DataError, Interrupted

REPOSITORY = Path(__file__).resolve().parent.parent


class Answer:
    """What one command printed, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], words: list[str]):
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        self.status = end.value.code
        self.out, self.err = capsys.readouterr()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    return lambda *words: Answer(capsys, [str(word) for word in words])


def run_process(*words: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cifarlab", *words]
    return subprocess.run(command, text=True, timeout=60, capture_output=True, **options)


# Help and usage


def test_help_lists_the_commands_in_the_order_of_a_first_visit(run) -> None:
    answer = run("--help")
    listed = answer.out.partition("Commands:")[2].split("\n")
    names = [line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "]
    assert answer.status == 0
    assert names[:4] == ["explore", "train", "evaluate", "report"]
    assert names[-4:] == ["recipes", "models", "data", "doctor"]
    assert "..." not in answer.out.partition("Commands:")[2], "a summary is too long for its line"


def test_without_a_command_the_help_goes_to_stderr_as_wrong_usage(run) -> None:
    answer = run()
    assert (answer.status, answer.out) == (2, "")
    assert "Commands:" in answer.err


def test_version(run) -> None:
    answer = run("--version")
    assert (answer.status, answer.out) == (0, f"cifarlab {__version__}\n")


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        ("recips", "'recipes'"),
        ("doctor --jsn", "--json"),
        ("recipes quik", "'quick'"),
        ("models tutorial_cn", "'tutorial_cnn'"),
        ("data digit", "'digits'"),
        ("explore cifar1", "'cifar10'"),
        ("recipes debug extra", "cifarlab recipes --help"),
    ],
)
def test_wrong_usage_is_one_line_with_the_nearest_name(run, words: str, nearest: str) -> None:
    answer = run(*words.split())
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("error: ")
    assert answer.err.count("\n") == 1
    assert nearest in answer.err


# Exit codes: a command that ends in each way


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch):
    """Make ``cifarlab data`` end with an error."""

    def fail_with(error: BaseException) -> None:
        def raise_it() -> None:
            raise error

        monkeypatch.setattr("cifarlab.data.describe_sources", raise_it)

    return fail_with


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (DataError("no images in here; add some"), 1, "error: no images in here; add some\n"),
        (Interrupted("stopped; resume it", 2), 130, "error: stopped; resume it\n"),
        (Interrupted("stopped; resume it", 15), 143, "error: stopped; resume it\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (PermissionError(13, "Permission denied", "x"), 1, "error: [Errno 13] Permission"),
        (DataError("a\nname\x1b[31m"), 1, "error: a\\nname\\x1b[31m\n"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
def test_an_error_is_one_line_on_stderr(run, failing, error, status, line, flags) -> None:
    failing(error)
    answer = run("data", *flags)
    assert (answer.status, answer.out) == (status, "")
    assert answer.err.startswith(line)
    assert answer.err.count("\n") == 1


def test_a_bug_keeps_its_traceback(failing) -> None:
    failing(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["data"])


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
@pytest.mark.skipif(os.name == "nt", reason="POSIX descriptors")
def test_a_standard_output_that_is_closed_is_written_to_in_vain() -> None:
    answer = run_process("recipes", "debug", "--json", preexec_fn=lambda: os.close(1))
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr.startswith("debug: ")


def test_a_reader_that_leaves_ends_the_command_without_noise() -> None:
    read, write = os.pipe()
    os.close(read)
    answer = subprocess.run(
        [sys.executable, "-m", "cifarlab", "recipes"],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    os.close(write)
    assert (answer.returncode, answer.stderr) == (1, b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("words", [["recipes"], ["recipes", "--json"], ["--help"]])
def test_a_full_disk_under_stdout_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "cifarlab", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert answer.returncode == 1
    assert answer.stderr.splitlines()[-1].startswith("error: [Errno 28]")
    assert "Traceback" not in answer.stderr


# The console


def test_json_mode_of_one_command_does_not_reach_the_next(run) -> None:
    assert run("data", "--json").out.count("\n") == 1
    again = run("data")
    assert "Next:" in again.out
    assert again.err == ""


def test_what_people_read_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    path = "runs/[bold]very-long-" + "x" * 200
    console.say(path)
    assert capsys.readouterr().out == path + "\n"


def test_a_table_loses_nothing_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    console.table(["path", "n"], [["p" * 120, 1_000], ["[red]q[/red]", None]])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["path", "n"], ["p" * 120, "1000"], ["[red]q[/red]", "-"]]


def test_next_steps_are_quoted_for_the_shell(capsys: pytest.CaptureFixture[str]) -> None:
    console.next_steps([["cifarlab", "report", "my run; rm"], "cifarlab doctor"])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  cifarlab report 'my run; rm'",
        "  cifarlab doctor",
    ]


def test_emit_takes_numpy_and_refuses_nan(capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    console.emit({"a": np.float32(0.5), "b": np.arange(2), "path": Path("x")})
    assert json.loads(capsys.readouterr().out) == {"a": 0.5, "b": [0, 1], "path": "x"}
    with pytest.raises(ValueError, match="JSON"):
        console.emit({"loss": float("nan")})


# The small commands


def test_recipes_lists_every_recipe_with_its_summary(run) -> None:
    from cifarlab.recipes import get_recipe, recipe_names

    listed = run("recipes").out
    for name in recipe_names():
        assert name in listed
        assert get_recipe(name).summary in listed
    shown = json.loads(run("recipes", "--json").out)
    assert [recipe["name"] for recipe in shown] == recipe_names()


def test_a_recipe_in_full_shows_each_setting_as_set_takes_it(run) -> None:
    from cifarlab.recipes import get_recipe, replace_fields

    recipe = get_recipe("debug")
    assert json.loads(run("recipes", "debug", "--json").out) == recipe.to_json()
    table = run("recipes", "debug").out.partition("field")[2].partition("\nNext:")[0]
    rows = [line.split(None, 1) for line in table.splitlines()[1:] if line.strip()]
    settings = {name: value.strip() for name, value in rows}
    assert settings["plateau.patience"] == "1"
    assert replace_fields(recipe, settings) == recipe


def test_a_recipe_file_is_shown_too(run, tmp_path: Path) -> None:
    from cifarlab.recipes import get_recipe

    path = tmp_path / "mine.json"
    path.write_text(json.dumps(get_recipe("tutorial_cnn").to_json()))
    assert json.loads(run("recipes", path, "--json").out)["name"] == "tutorial_cnn"


def test_models_lists_every_model_and_shows_its_options(run) -> None:
    from cifarlab.models import list_models, model_options

    shown = json.loads(run("models", "--json").out)
    assert [model["name"] for model in shown] == list_models()
    assert all(model["summary"] for model in shown)
    options = run("models", "plain_cnn").out
    assert all(name in options for name in model_options("plain_cnn"))


def test_data_says_where_each_dataset_is(run, real_data: Path) -> None:
    found = {each["name"]: each["found"] for each in json.loads(run("data", "--json").out)}
    assert found["cifar10"].startswith(str(real_data))
    assert found["digits"] == "scikit-learn"
    assert found["cifar10"] in run("data", "cifar10").out


def test_data_without_cifar10_says_that_it_is_fetched(run, monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("CIFARLAB_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    assert json.loads(run("data", "cifar10", "--json").out)["found"] is None
    assert "cifar10 is fetched when it is first needed" in run("data").out


def test_explore_counts_and_draws(run, tiny_folder: Path, tmp_path: Path) -> None:
    answer = run("explore", tiny_folder, "--out", tmp_path / "plots")
    rows = [line.split() for line in answer.out.splitlines()]
    assert ["north_west", "32", "8"] in [row[:3] for row in rows]
    assert ["all", "128", "32"] in [row[:3] for row in rows]
    assert {"classes.png", "samples.png", "brightness.png"} <= set(os.listdir(tmp_path / "plots"))
    assert answer.out.rstrip().endswith(f"cifarlab train {tiny_folder}")


def test_explore_json_is_what_the_api_found(run, tiny_folder: Path) -> None:
    from cifarlab.data import load_dataset
    from cifarlab.explore import explore

    found = json.loads(run("explore", tiny_folder, "--json").out)
    expected = explore(load_dataset(tiny_folder))
    assert found["counts"] == expected.counts
    assert found["fingerprint"] == expected.fingerprint


def test_doctor_tells_what_decides_speed(run) -> None:
    found = json.loads(run("doctor", "--json").out)
    assert {"tensorflow", "jax"} & set(found["backends"])
    assert found["precision"] in ("float32", "bfloat16")
    assert found["threads"] >= 1
    assert found["disk_free_bytes"] > 0
    assert set(found["datasets"]) == {"cifar10", "digits"}
    assert "disk free" in run("doctor").out


@pytest.mark.parametrize(
    ("variable", "value", "finding", "reason"),
    [
        ("KERAS_BACKEND", "nonsense", "backend", "unknown backend 'nonsense'"),
        ("CIFARLAB_DATA", "/nowhere", "datasets", "which does not exist"),
    ],
)
def test_doctor_shows_what_it_should_diagnose(variable, value, finding, reason) -> None:
    answer = run_process("doctor", "--json", env={**os.environ, variable: value})
    assert answer.returncode == 0
    assert reason in json.loads(answer.stdout)[finding]


def test_doctor_knows_every_extra() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*info._EXTRAS, "dev"} == set(project["optional-dependencies"])
