"""The documents say what the program does: every name is there, every snippet works."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.main import get_command

import cifarlab
from cifarlab.cli import app
from cifarlab.recipes import get_recipe, recipe_names

REPOSITORY = Path(__file__).resolve().parent.parent
README = REPOSITORY / "README.md"
DOCUMENTS = [README, REPOSITORY / "CONTRIBUTING.md", *sorted(REPOSITORY.glob("docs/**/*.md"))]
GUIDES = [path for path in DOCUMENTS if path.name != "CONTRIBUTING.md"]
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


def text(*paths: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def blocks(path: Path, language: str) -> list[str]:
    """The fenced blocks of a document in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(path), re.MULTILINE | re.DOTALL)


def shell_lines() -> Iterator[tuple[str, str]]:
    """``(document, line)`` of each command in the documents' shell blocks."""
    for path in DOCUMENTS:
        for block in blocks(path, "(?:bash|sh|console)"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.strip() and not line.lstrip().startswith("#"):
                    yield path.name, line.strip().removeprefix("$ ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str) -> None:
    assert f"cifarlab {name}" in text(*GUIDES)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_documented(name: str) -> None:
    assert f"`{name}`" in text(*GUIDES)


def test_the_changelog_begins_with_this_version() -> None:
    versions = re.findall(r"^## \[?v?(\d[\w.]*)", text(REPOSITORY / "CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == cifarlab.__version__
    assert len(versions) == len(set(versions))


@pytest.mark.parametrize(("document", "line"), list(shell_lines()))
def test_commands_in_the_documents_are_understood(document: str, line: str) -> None:
    """Each ``cifarlab …`` parses, and each ``make …`` names a target; nothing is run."""
    for part in re.split(r"\s(?:&&|\|\|?|;)\s", line):
        words = shlex.split(part, comments=True)
        while words and re.fullmatch(r"\w+=.*", words[0]):  # VARIABLE=value before a command
            words.pop(0)
        if words and words[0].rpartition("/")[2] == "cifarlab":
            parse(words[1:])
        elif words and words[0] == "make":
            targets = [word for word in words[1:] if "=" not in word]
            for target in targets:
                assert re.search(rf"^{target}:", text(REPOSITORY / "Makefile"), re.MULTILINE)


def parse(words: list[str]) -> None:
    """Parse a command line as the program would; a wrong word raises."""
    if words and words[0] in COMMANDS:
        with contextlib.suppress(typer.Exit):  # --help
            COMMANDS[words[0]].make_context(words[0], words[1:])
    else:
        assert words[:1] in (["--help"], ["--version"]), words


def test_the_snippets_of_the_readme_run(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, in one namespace, on a small dataset and with the quickest recipe."""
    from PIL import Image

    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (40, 30), "skyblue").save("photo.jpg")
    snippets, size = blocks(README, "python"), get_recipe("debug").image_size
    assert snippets
    names: dict[str, object] = {}
    for snippet in snippets:
        small = snippet.replace('"cifar10"', f"{str(tiny_folder)!r}, image_size={size}")
        small = re.sub(r'recipe="\w+"', 'recipe="debug"', small)
        exec(compile(small, str(README), "exec"), names)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(path))
    local = [link for link in links if "://" not in link and not link.startswith("mailto:")]
    assert not [link for link in local if not (path.parent / link).exists()]


def test_every_measured_figure_has_its_record() -> None:
    """A recipe's row in the README gives the mean that its folder in ``records/`` holds."""
    rows = re.findall(r"^(\| *\[?`(\w+)`.*)$", text(README), re.MULTILINE)
    measured = {name: row for row, name in rows if name in recipe_names() and "%" in row}
    assert measured
    for name, row in measured.items():
        record = REPOSITORY / "records" / name / "record.json"
        mean = json.loads(record.read_text(encoding="utf-8"))["accuracy_mean"]
        assert f"{100 * mean:.1f}" in row, f"{name}: {mean} against {row}"
