"""The parts of the reference that the code knows best, made when the site is built.

Where a page has a line such as ``<!-- made: commands -->``, the site has what the function of that
name here returns; words behind the name are its arguments.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import json
import re
import sys
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
# The classes of a recipe -> what stands before their fields' names.
GROUPS = {
    "Recipe": "",
    "Augmentation": "augmentation.",
    "Plateau": "plateau.",
    "EarlyStopping": "early_stopping.",
}
MADE = re.compile(r"^<!-- made: (?P<what>\w+)(?P<words>[\w ]*) -->$", re.MULTILINE)

sys.path.insert(0, str(REPOSITORY / "src"))  # this checkout, whatever else is installed


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with the made parts in place of the lines that ask for them."""
    return MADE.sub(lambda match: PARTS[match["what"]](*match["words"].split()), markdown)


def commands() -> str:
    """Every command with its arguments and options, as ``--help`` has them."""
    import typer
    from typer.main import get_command

    from cifarlab.cli import app

    group: Any = get_command(app)
    sections = []
    for name in group.list_commands(typer.Context(group)):
        command = group.commands[name]
        context = typer.Context(command, info_name=f"cifarlab {name}")
        usage = command.get_usage(context).removeprefix("Usage: ")
        rows = (parameter.get_help_record(context) for parameter in command.params)
        words = table(("argument or option", "what it is"), ((code(a), b) for a, b in rows))
        heading = f"## cifarlab {name} {{ #{name} }}"
        sections += [heading, command.help, f"```text\n{usage}\n```", words]
    return "\n\n".join(sections)


def names(*public: str) -> str:
    """Public names by their docstrings."""
    import cifarlab

    paths = {name: f"cifarlab.{cifarlab._HOME[name]}.{name}" for name in public}
    return "\n\n".join(
        documented(path, heading=f"cifarlab.{name}", toc_label=name) for name, path in paths.items()
    )


def models() -> str:
    """Every file of models: its paper and what differs, then the functions that it registers."""
    files = sorted((REPOSITORY / "src" / "cifarlab" / "models").glob("*.py"))
    return "\n\n".join(
        documented(
            f"cifarlab.models.{file.stem}", heading=file.stem, heading_level=2, members=found
        )
        for file in files
        if (found := registered(file))
    )


def registered(file: Path) -> list[str]:
    """Names of the functions of a source file that stand under ``@register``."""
    return [
        node.name
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
        and "register" in (ast.unparse(decorator) for decorator in node.decorator_list)
    ]


def documented(path: str, **options: Any) -> str:
    """The line by which mkdocstrings reads a docstring, without importing anything."""
    lines = [f"      {key}: {json.dumps(value)}" for key, value in options.items()]
    return "\n".join([f"::: {path}", "    options:", *lines])


def recipes() -> str:
    """What each recipe reached, then each recipe: what it is, what it sets, how to train it."""
    from cifarlab.recipes import get_recipe, recipe_names

    found = {name: get_recipe(name).to_json() for name in recipe_names()}
    rows = [
        (f"[`{name}`](#{name})", *measured(name), recipe["epochs"])
        for name, recipe in found.items()
    ]
    heading = ("recipe", "test accuracy", "n", "minutes", "parameters", "epochs")
    return "\n\n".join([table(heading, rows), *(section(recipe) for recipe in found.values())])


def measured(name: str) -> tuple[str, ...]:
    """Accuracy, n, minutes and parameters of a recipe's record; blank where it has none."""
    path = REPOSITORY / "records" / name / "record.json"
    if not path.exists():
        return ("not&nbsp;yet", "", "", "")
    record = json.loads(path.read_text(encoding="utf-8"))
    low, high = record["accuracy_ci95"] or (None, None)
    half = "" if low is None else f"&nbsp;±&nbsp;{50 * (high - low):.1f}"
    accuracy = f"[{100 * record['accuracy_mean']:.1f} %](../../records/{name}){half}"
    minutes, parameters = f"{record['seconds_mean'] / 60:.1f}", f"{record['parameters']:,}"
    return accuracy, str(record["n"]), minutes, parameters


def section(recipe: Mapping[str, Any]) -> str:
    """A recipe's fields that are not as a recipe has them by default."""
    from cifarlab.recipes import Recipe

    default = Recipe(name="default", summary="", model="").to_json()
    set_here = [
        (code(key), code(json.dumps(value)))
        for key, value in recipe.items()
        if key not in ("name", "summary") and value != default[key]
    ]
    train = f"```bash\ncifarlab train cifar10 --recipe {recipe['name']}\n```"
    parts = [f"## {recipe['name']}", f"{recipe['summary']}.", train]
    return "\n\n".join([*parts, table(("field", "value"), set_here)])


def fields() -> str:
    """Every field of a recipe by the name that ``--set`` takes: its default and its meaning."""
    from cifarlab.recipes import recipe

    meanings = comments(inspect.getsource(recipe))
    rows = [
        (code(prefix + field.name), default(field.default), meanings.get((group, field.name), ""))
        for group, prefix in GROUPS.items()
        for field in dataclasses.fields(getattr(recipe, group))
    ]
    return table(("field", "default", "meaning"), rows)


def default(value: object) -> str:
    """A field's default as ``--set`` takes it; blank for a group and for what must be given."""
    if value is dataclasses.MISSING or dataclasses.is_dataclass(value):
        return ""
    return code("none" if value is None else value if value == str(value) else json.dumps(value))


def comments(source: str) -> dict[tuple[str, str], str]:
    """Class and field to the comment that stands beside the field in `source`."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    beside = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    return {
        (each.name, ast.unparse(field.target)): beside[line]
        for each in ast.parse(source).body
        if isinstance(each, ast.ClassDef)
        for field in each.body
        if isinstance(field, ast.AnnAssign)
        for line in range(field.lineno, (field.end_lineno or field.lineno) + 1)
        if line in beside
    }


def notebooks() -> str:
    """The notebooks in reading order, by the headings that they begin with."""
    items = []
    for path in sorted((REPOSITORY / "notebooks").glob("*.ipynb")):
        first = json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"]
        title = "".join(first).lstrip("# ").partition("\n")[0]
        items.append(f"- [{title}](../notebooks/{path.name})")
    return "\n".join(items)


def code(text: str) -> str:
    """Text as code; in a table too, where the site takes a bar in code for what it is."""
    return f"`{text}`"


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


PARTS = {part.__name__: part for part in (commands, fields, models, names, notebooks, recipes)}
