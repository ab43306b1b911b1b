"""The notebooks: as committed they hold the outputs of a real run, and every one of them runs.

The suite runs them in a short mode: the values of the first code cell, tagged ``parameters``, are
replaced by those of `SHORT`, and nothing else is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
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
    "EACH": 20,
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
# Notebook and dataset. The first two train nothing: what they do with CIFAR-10 takes seconds.
RUNS = [(path.stem, "digits") for path in NOTEBOOKS]
RUNS += [(path.stem, "cifar10") for path in NOTEBOOKS[:2]]
LONGEST_CELL = 25  # lines
LARGEST_FILE = 1_000_000  # bytes
MACHINE_PATH = re.compile(r"/(?:home|root|tmp|work|opt|usr|var|Users|private)/|[A-Z]:\\\\")


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


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


def execute(path: Path, folder: Path, **kept: object) -> NotebookNode:
    """The notebook after a run in the short mode, in a kernel that stands in `folder`.

    An error in a cell raises.
    """
    notebook = shortened(nbformat.read(path, as_version=4), **kept)
    place = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources=place)
    return client.execute()


def check_outputs(notebook: NotebookNode) -> None:
    """What is true of the outputs of any run that went well."""
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    for output in outputs(notebook):
        if output.output_type == "stream":
            assert output.name == "stdout", output.text
        elif output.output_type == "display_data":  # nothing but pictures
            assert "image/png" in output.data, output.data
        else:
            assert output.output_type == "execute_result", output
    assert any("image/png" in output.get("data", {}) for output in outputs(notebook))


@pytest.fixture(scope="module")
def executed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], Future[NotebookNode]]]:
    """Each of `RUNS` whose test was asked for, two kernels at a time."""
    import matplotlib.font_manager  # noqa: F401  it lists the fonts, slowly, once a home folder

    here = [item for item in request.session.items if item.path == request.path]
    asked = [item.callspec.params["run"] for item in here if item.originalname == "test_it_runs"]
    pool = ThreadPoolExecutor(max_workers=2)
    futures = {}
    for name, data in asked:
        if data == "cifar10" and not os.environ.get("CIFARLAB_DATA"):
            continue
        path, folder = REPOSITORY / "notebooks" / f"{name}.ipynb", tmp_path_factory.mktemp(name)
        futures[name, data] = pool.submit(execute, path, folder, DATA=data)
    yield futures
    pool.shutdown(cancel_futures=True)


def test_there_are_seven_in_reading_order() -> None:
    assert [path.name[:2] for path in NOTEBOOKS] == [f"{n}-" for n in range(1, 8)]
    listed = (REPOSITORY / "notebooks" / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"\]\((\d-[\w-]+\.ipynb)\)", listed) == [path.name for path in NOTEBOOKS]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_notebook_holds_a_real_run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert 'DATA = "digits"' not in settings(notebook).source
    check_outputs(notebook)
    assert path.stat().st_size < LARGEST_FILE
    for output in outputs(notebook):
        output.get("data", {}).pop("image/png", None)  # letters by chance
    assert not MACHINE_PATH.search(nbformat.writes(notebook))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_notebook_is_tidy(path: Path) -> None:
    """A new run changes nothing but outputs, no cell is a wall of code, no link is dead."""
    notebook = nbformat.read(path, as_version=4)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert notebook.metadata.kernelspec.name == "python3"
    ids = [cell.id for cell in notebook.cells]
    assert ids == [f"n{path.name[0]}-{i:02}" for i in range(len(ids))]
    assert not [cell.id for cell in notebook.cells if set(cell.metadata) - {"tags"}]
    links = [
        link
        for cell in notebook.cells
        if cell.cell_type == "markdown"
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", cell.source)
    ]
    assert not [link for link in links if not (path.parent / link).exists()]
    lines = {cell.id: len(cell.source.splitlines()) for cell in code_cells(notebook)}
    assert not {name: count for name, count in lines.items() if count > LONGEST_CELL}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", RUNS, ids="-on-".join)
def test_it_runs(run: tuple[str, str], request: pytest.FixtureRequest) -> None:
    """In the short mode, from top to bottom, in a kernel of its own."""
    if run[1] == "cifar10":
        request.getfixturevalue("real_data")  # skips, or fails, without it
    check_outputs(request.getfixturevalue("executed")[run].result())
