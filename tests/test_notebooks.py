"""The notebooks: as committed they hold the outputs of a real run, and every one of them runs.

The suite runs them in a short mode: the values of the first code cell, tagged ``parameters``, are
replaced by those of `SHORT`, and nothing else is.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

REPOSITORY = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))

# Small enough that all seven together take a minute on two cores, on digits or on CIFAR-10.
SHORT = {
    "DATA": "digits",
    "EPOCHS": 1,
    "FEW": 200,
    "FEW_EPOCHS": 2,
    "HEIGHT": 2,
    "IMAGES": 600,
    "RATES": (1e-3,),
    "RECIPE": "debug",
    "SIZES": (100,),
    "STEPS": 20,
}
WITHOUT_TRAINING = NOTEBOOKS[:2]  # what they do with CIFAR-10 takes seconds
LONGEST_CELL = 25  # lines
LARGEST_FILE = 1_000_000  # bytes
MACHINE_PATH = re.compile(r"/(?:home|root|tmp|work|opt|usr|var|Users|private)/|[A-Z]:\\\\")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def pictures(notebook: NotebookNode) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs(notebook))


def settings(notebook: NotebookNode) -> NotebookNode:
    """The first code cell, which holds nothing but ``NAME = value  # what it is``."""
    first = code_cells(notebook)[0]
    assert first.metadata.get("tags") == ["parameters"]
    assert all(re.match(r"[A-Z_]+ = .+", line) for line in first.source.splitlines())
    return first


def shortened(notebook: NotebookNode, **kept: object) -> NotebookNode:
    """The notebook with the values of `SHORT`, or `kept`, in its first code cell."""
    cell = settings(notebook)
    for name, value in (SHORT | kept).items():
        cell.source = re.sub(rf"^{name} = .*$", f"{name} = {value!r}", cell.source, flags=re.M)
    return notebook


def execute(notebook: NotebookNode, folder: Path) -> None:
    """Run every cell in a new kernel that stands in `folder`; an error in a cell raises."""
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place)
    client.execute()


def check_outputs(notebook: NotebookNode) -> None:
    """What is true of the outputs of any run that went well."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    kinds = {output.output_type for output in outputs(notebook)}
    assert kinds <= {"stream", "display_data", "execute_result"}
    assert not [output.text for output in outputs(notebook) if output.get("name") == "stderr"]
    assert pictures(notebook)


@pytest.fixture(scope="module", autouse=True)
def _fonts() -> None:
    """Matplotlib lists the machine's fonts once a home folder, and says so on the stderr."""
    import matplotlib.font_manager  # noqa: F401


def test_there_are_seven_in_reading_order() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{n}-" for n in range(1, 8)]
    listed = (REPOSITORY / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d-[\w-]+\.ipynb)\)", listed) == [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_notebook_holds_a_real_run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert re.search(r'^DATA = "cifar10"', settings(notebook).source, re.M)
    check_outputs(notebook)
    text = path.read_text(encoding="utf-8")
    assert not MACHINE_PATH.search(text)
    assert len(text) < LARGEST_FILE


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_notebook_is_tidy(path: Path) -> None:
    """Nothing in it changes when it is run again but its outputs; no cell is a wall of code."""
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert ids == [f"n{path.name[0]}-{i:02}" for i in range(len(ids))]
    assert not [cell.id for cell in notebook.cells if set(cell.metadata) - {"tags"}]
    lines = {cell.id: len(cell.source.splitlines()) for cell in code_cells(notebook)}
    assert not {name: count for name, count in lines.items() if count > LONGEST_CELL}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_on_digits(path: Path, tmp_path: Path) -> None:
    notebook = shortened(nbformat.read(path, as_version=4))
    execute(notebook, tmp_path)
    check_outputs(notebook)


@pytest.mark.usefixtures("real_data")
@pytest.mark.parametrize("path", WITHOUT_TRAINING, ids=lambda path: path.stem)
def test_the_notebook_runs_on_cifar10(path: Path, tmp_path: Path) -> None:
    notebook = shortened(nbformat.read(path, as_version=4), DATA="cifar10")
    execute(notebook, tmp_path)
    check_outputs(notebook)
