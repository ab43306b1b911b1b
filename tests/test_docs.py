"""The documents say what the program does: every name is there, every snippet works."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from PIL import Image
from typer.main import get_command

import cifarlab
from cifarlab import cli
from cifarlab.models import create_model, list_models, multiply_adds, registry
from cifarlab.recipes import get_recipe, recipe_names
from cifarlab.run import Run

REPOSITORY = Path(__file__).resolve().parent.parent
README, DOCS = REPOSITORY / "README.md", REPOSITORY / "docs"
DOCUMENTS = [README, REPOSITORY / "CONTRIBUTING.md", *sorted(DOCS.glob("**/*.md"))]
GUIDES = [path for path in DOCUMENTS if path.name != "CONTRIBUTING.md"]
LINKING = [*DOCUMENTS, REPOSITORY / "CHANGELOG.md", *sorted(REPOSITORY.glob("records/**/*.md"))]
COMMANDS = get_command(cli.app).commands  # type: ignore[attr-defined]

# What the README's commands become, so that they take seconds.
SHORT = {
    "cifar10": "digits",
    "quick": "debug",
    "runs/quick-1": "runs/debug-1",
}


def relative(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


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


@pytest.mark.parametrize("name", list_models())
def test_every_model_is_documented_with_its_size(name: str) -> None:
    model = create_model(name, num_classes=10)
    row = f"| `{name}` | {model.count_params():,} | {multiply_adds(model):,} |"
    assert row in text(DOCS / "reference" / "models.md")


def test_every_public_name_is_documented_once() -> None:
    """By the lines of which the site makes the reference; the version needs no part of its own."""
    page = text(DOCS / "reference" / "python.md")
    placed = " ".join(re.findall(r"^<!-- made: names (.*) -->$", page, re.MULTILINE)).split()
    assert sorted(placed) == sorted({*cifarlab.__all__} - {"__version__"})
    assert "`cifarlab.__version__`" in page


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


@pytest.fixture(scope="module")
def followed(
    tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path
) -> tuple[Path, dict[tuple[str, ...], object]]:
    """The README's commands in their order, on small data and with the quickest recipe.

    Gives the folder where they ran, and each with its exit status. The server, which does not end
    by itself, is put together and not begun; `export` is at work for long and has its own tests.
    """
    folder, ended = tmp_path_factory.mktemp("readme"), {}
    paths = {"./flowers": tiny_folder, "./new-photos": tiny_folder / "test" / "north_west"}
    short = SHORT | {word: str(path) for word, path in paths.items()}
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr("cifarlab.serve.serve", lambda _, host, port, begun: begun(f"{host}:{port}"))
        draw_photo()
        for document, line in shell_lines():
            words = [short.get(word, word) for word in shlex.split(line, comments=True)]
            if document != README.name or words[0] != "cifarlab" or words[1] == "export":
                continue
            if "runs/tutorial_cnn-1" in words:  # another run than that of `quick`
                shutil.copytree("runs/debug-1", "runs/tutorial_cnn-1")
            with pytest.raises(SystemExit) as end:
                cli.main(words[1:])
            ended[tuple(words)] = end.value.code
    return folder, ended


def test_the_commands_of_the_readme_run(followed: tuple[Path, dict]) -> None:
    _, ended = followed
    assert not {words: status for words, status in ended.items() if status}
    commands = {words[1] for words in ended}
    assert {"explore", "train", "evaluate", "report", "predict", "serve"} <= commands


def test_the_run_folder_is_described(followed: tuple[Path, dict]) -> None:
    """Every file that a run holds, and every key and array in those."""
    page, run = text(DOCS / "reference" / "run-folder.md"), followed[0] / "runs" / "debug-1"
    names = {f"{path.name}/" if path.is_dir() else path.name for path in run.iterdir()}
    for name in ("data", "environment", "result"):
        names |= json.loads((run / f"{name}.json").read_text(encoding="utf-8")).keys()
    names |= Run(run).predictions("test").keys()
    assert not [name for name in sorted(names) if f"`{name}`" not in page]


def test_the_snippets_of_the_readme_run(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In their order, in one namespace, on a small dataset and with the quickest recipe."""
    monkeypatch.chdir(tmp_path)
    draw_photo()
    snippets, size = blocks(README, "python"), get_recipe("debug").image_size
    assert snippets
    names: dict[str, object] = {}
    for snippet in snippets:
        small = snippet.replace('"cifar10"', f"{str(tiny_folder)!r}, image_size={size}")
        small = re.sub(r'recipe="\w+"', 'recipe="debug"', small)
        exec(compile(small, str(README), "exec"), names)


def draw_photo() -> None:
    """Make the ``photo.jpg`` that the documents speak of."""
    Image.new("RGB", (40, 30), "skyblue").save("photo.jpg")


@pytest.mark.parametrize("name", ["how-to/add-a-recipe.md", "how-to/add-a-model.md"])
def test_the_snippets_of_a_guide_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))  # what it adds, goes again
    names: dict[str, object] = {}
    for snippet in blocks(DOCS / name, "python"):
        exec(compile(snippet, name, "exec"), names)


@pytest.mark.parametrize("name", ["quick-start.md", "reference/python.md"])
def test_the_first_snippet_is_the_readmes(name: str) -> None:
    """Which is run above, once for all."""
    assert blocks(DOCS / name, "python")[:1] == blocks(README, "python")


@pytest.mark.parametrize("path", LINKING, ids=relative)
def test_links_lead_somewhere(path: Path) -> None:
    """To a file or folder of the repository and, where they name one, to a heading in it."""
    dead = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(#[^)\s]+)?\)", text(path)):
        if "://" in target or target.startswith("mailto:"):
            continue
        place = path.parent / target if target else path
        if not place.exists() or (anchor and anchor.removeprefix("#") not in anchors(place)):
            dead.append(target + anchor)
    assert not dead


def anchors(path: Path) -> set[str]:
    """What a link may name in a document: its headings, as GitHub and the site both make them."""
    prose = re.sub(r"^```.*?^```", "", text(path), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_measured_figure_has_its_record() -> None:
    """A recipe's row in the README gives the mean that its folder in ``records/`` holds."""
    rows = re.findall(r"^(\| *\[?`(\w+)`.*)$", text(README), re.MULTILINE)
    measured = {name: row for row, name in rows if name in recipe_names() and "%" in row}
    assert measured
    for name, row in measured.items():
        record = REPOSITORY / "records" / name / "record.json"
        mean = json.loads(record.read_text(encoding="utf-8"))["accuracy_mean"]
        assert f"{100 * mean:.1f}" in row, f"{name}: {mean} against {row}"


@pytest.mark.parametrize("path", LINKING, ids=relative)
def test_a_figure_that_links_to_a_record_is_the_records(path: Path) -> None:
    """``[89.0 %](records/quick)`` is the mean of that record."""
    for figure, folder in re.findall(r"\[([\d.]+) %\]\(([^)]*records/\w+)\)", text(path)):
        record = json.loads((path.parent / folder / "record.json").read_text(encoding="utf-8"))
        assert figure == f"{100 * record['accuracy_mean']:.1f}", folder
