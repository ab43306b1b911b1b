"""The rules of the house that a program can check: ranks, sizes, start-up, names."""

from __future__ import annotations

import ast
import doctest
import functools
import os
import re
import statistics
import time
import tomllib
from pathlib import Path

import pytest

import cifarlab
from fresh_process import modules_after, run_python

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "src" / "cifarlab"
MODULES = sorted(PACKAGE.rglob("*.py"))

# A part may import only parts that stand in a line above its own; a folder's modules each other.
RANKS = {
    name: rank
    for rank, names in enumerate(
        [
            ["errors"],
            ["files"],
            ["backend", "bundled", "data", "recipes", "metrics", "plots", "corrupt"],
            ["models", "augment", "optim", "occlusion", "panels", "shown", "unknowns"],
            ["engine", "run"],
            ["prepare", "answers", "runtimes", "evaluation", "known"],
            ["evaluate", "evaluate_file"],
            # A training ends with what evaluating its validation says.
            [
                "train",
                "predict",
                "explore",
                "audit",
                "explain",
                "robustness",
                "compare",
            ],
            ["resumable"],
            ["report", "export", "serve", "ladder", "reproduce"],
            ["cli", "__init__"],
            ["__main__"],
        ]
    )
    for name in names
}
HEAVY = {
    "fastapi",
    "jax",
    "keras",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "scipy",
    "sklearn",
    "tensorflow",
}
HELP_SECONDS = 0.5


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def part(path: Path) -> str:
    """The part that a file belongs to: a folder of the package, or a module beside them."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@functools.cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported_parts(path: Path) -> list[tuple[int, str]]:
    """``(line, part)`` of each import of this package in a file, those inside functions too."""
    found = []
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative(path)}:{node.lineno} relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("cifarlab.") and name != "cifarlab.__version__":
                found.append((node.lineno, name.split(".")[1]))
    return found


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_only_lower_ranks(path: Path) -> None:
    own = part(path)
    wrong = [
        f"{relative(path)}:{line} {own} (rank {RANKS[own]}) imports {other} (rank {RANKS[other]})"
        for line, other in imported_parts(path)
        if RANKS[other] >= RANKS[own] and not (other == own and (PACKAGE / own).is_dir())
    ]
    assert not wrong


def test_files_and_functions_keep_their_sizes() -> None:
    files = {relative(path): len(path.read_text().splitlines()) for path in MODULES}
    functions = {
        f"{relative(path)}:{node.lineno} {node.name}": node.end_lineno - node.lineno + 1
        for path in MODULES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }
    assert not {name: lines for name, lines in files.items() if lines > 300}
    assert not {name: lines for name, lines in functions.items() if lines > 60}
    assert statistics.median(files.values()) <= 150
    assert statistics.median(functions.values()) <= 15


def test_no_attic() -> None:
    attics = {"utils", "util", "helpers", "misc", "common"}
    assert not [relative(path) for path in MODULES if {*path.with_suffix("").parts} & attics]


def commands() -> list[str]:
    import typer

    from cifarlab.cli import app

    return list(typer.main.get_command(app).commands)


@pytest.mark.parametrize(
    "words", ["--help", "--version", *(f"{name} --help" for name in commands())]
)
def test_start_up_is_quick_and_loads_nothing_heavy(words: str) -> None:
    seconds = []
    for _ in range(5):  # the best of several: other programs on the machine only ever slow it
        before, start = os.times(), time.perf_counter()
        loaded = modules_after(*words.split())
        after = os.times()
        used = after.children_user + after.children_system
        used -= before.children_user + before.children_system
        # The processor's time, which waiting for its turn does not lengthen, where it is told.
        seconds.append(used or time.perf_counter() - start)
        if seconds[-1] <= HELP_SECONDS:
            break
    assert not HEAVY & {name.partition(".")[0] for name in loaded}
    assert min(seconds) <= HELP_SECONDS


def test_importing_the_package_imports_only_itself() -> None:
    loaded = run_python("import sys, cifarlab; print(*sys.modules)").split()
    assert not (HEAVY | {"numpy", "typer", "rich", "PIL"}) & set(loaded)
    assert [name for name in loaded if name.startswith("cifarlab")] == ["cifarlab"]


SHADOWED = sorted(name for name, home in cifarlab._HOME.items() if name == home)


# In one process, because Keras takes its seconds each time.
BOTH_WAYS = """
import sys, types
for modules_first in (False, True):
    for name in [*sys.modules]:
        if name.partition(".")[0] == "cifarlab":
            del sys.modules[name]
    import cifarlab
    for name in sys.argv[1:] if modules_first else ():
        __import__(f"cifarlab.{name}")
    for name in sys.argv[1:]:
        function = getattr(cifarlab, name)
        assert isinstance(function, types.FunctionType), function
        assert function.__module__ == f"cifarlab.{name}", function.__module__
        again = __import__(f"cifarlab.{name}", fromlist=[name])
        assert isinstance(again, types.ModuleType), again
        assert getattr(again, name) is function is getattr(cifarlab, name)
"""


def test_functions_are_not_hidden_by_modules_of_their_name() -> None:
    """Neither where the function is asked for first, nor where its module was imported before."""
    assert SHADOWED == ["audit", "compare", "evaluate", "explore", "export", "reproduce", "train"]
    run_python(BOTH_WAYS, *SHADOWED)


@pytest.mark.parametrize(
    "before",
    [
        "cifarlab.explore",
        "cifarlab.explore; import cifarlab.explore",
        "import cifarlab.explore; cifarlab.explore",
        "from cifarlab.explore import explore; assert explore is cifarlab.explore",
        "import importlib; importlib.import_module('cifarlab.explore')",
    ],
)
def test_every_way_to_import_gives_the_function(before: str) -> None:
    run_python(
        f"import types, cifarlab\n{before}\n"
        "assert isinstance(cifarlab.explore, types.FunctionType), cifarlab.explore\n"
        "from cifarlab import explore\n"
        "assert explore is cifarlab.explore"
    )


def test_public_names_are_written_three_times_alike() -> None:
    """In ``__all__``, in the table of homes, and in the imports that type checkers read."""
    checked = next(node for node in tree(PACKAGE / "__init__.py").body if isinstance(node, ast.If))
    imports = {
        alias.name: node.module.removeprefix("cifarlab.")
        for node in checked.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    }
    assert imports == cifarlab._HOME
    assert {"__version__", *imports} == set(cifarlab.__all__)
    assert len(cifarlab.__all__) == len(set(cifarlab.__all__))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = cifarlab.trian


def test_only_packages_say_what_they_export() -> None:
    for path in MODULES:
        assigned = [
            node.lineno
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Name)
            and node.id == "__all__"
            and isinstance(node.ctx, ast.Store)
        ]
        assert len(assigned) <= (path.name == "__init__.py"), relative(path)


@pytest.mark.parametrize("name", [name for name in cifarlab.__all__ if name != "__version__"])
def test_every_public_name_has_a_docstring_with_an_example(name: str) -> None:
    value = getattr(cifarlab, name)
    examples = doctest.DocTestParser().get_examples(value.__doc__ or "")
    run = [e for e in examples if not e.options.get(doctest.SKIP)]
    assert run, f"cifarlab.{name} needs an example that runs in its docstring"


def test_the_backend_is_asked_for_by_name_in_few_places() -> None:
    """Models and the rest run on any backend; only the engine knows each one, and the export and
    `runtimes`, whose formats are written and read by one backend's own programs."""
    names = {"tensorflow", "jax", "torch"}
    asking = {
        relative(path)
        for path in MODULES
        if part(path) not in ("engine", "backend", "export", "runtimes")
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Constant) and node.value in names)
        or (isinstance(node, ast.Attribute) and ast.unparse(node).endswith("backend.backend"))
        or (isinstance(node, ast.Import) and {a.name.split(".")[0] for a in node.names} & names)
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in names)
    }
    assert len(asking) <= 2, asking


# Machine paths and package registries; the pattern is put together so as not to match itself.
_PRIVATE = "|".join(
    ["/" + "work/", "/" + "root/", "python" + "hosted", "pypi" + r"\.", "npm" + "js"]
)


@pytest.mark.parametrize("pattern", ["src/**/*", "tests/**/*", "docs/**/*", "*", ".ci/*"])
def test_no_machine_path_and_no_registry_is_named(pattern: str) -> None:
    private = re.compile(_PRIVATE)
    text = (".py", ".toml", ".txt", ".md", ".html", ".css", ".js", ".json", "Makefile", "run")
    named = [
        f"{path.relative_to(REPOSITORY)}:{number}"
        for path in REPOSITORY.glob(pattern)
        if path.is_file() and path.name.endswith(text)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if private.search(line)
    ]
    assert not named


def test_the_package_knows_no_place_for_data_of_its_own() -> None:
    assert not [relative(path) for path in MODULES if "shared/" in path.read_text()]


def locked() -> dict[str, str]:
    """Name to the whole entry of each package of requirements.txt."""
    text = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return {entry.partition("==")[0]: entry for entry in entries if entry}


def test_the_lock_has_hashes_and_no_address() -> None:
    assert len(locked()) > 50
    assert not [name for name, entry in locked().items() if "--hash=sha256:" not in entry]
    assert not [name for name, entry in locked().items() if "://" in entry or "==" not in entry]
    assert not [name for name in locked() if name.startswith(("torch", "nvidia", "jax-cuda"))]


def test_the_lock_holds_every_dependency() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["jax"], *extras["track"], *extras["dev"]]
    names = {re.split(r"[^A-Za-z0-9-]", line)[0] for line in wanted} - {"cifarlab"}
    assert names <= set(locked())
