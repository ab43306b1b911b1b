"""One self-contained HTML page of a run, or of several runs side by side.

    facts.py       reads a run folder            numbers.py     numbers as people read them
    context.py     fills the page of one run     comparison.py  fills the page of several
    sentences.py   the facts in plain words      classes.py     figures by class, confusions
    gallery.py     test images and their plots   records.py     recipe, data, environment, commands
    certainty.py   calibration, unknowns         robustness.py  images gone bad
    soundness.py   the audit of the data         glossary.py    what the figures' names mean
    embed.py       pictures inside the page      pairs.py       paired tests, cost beside quality
    ladder.py      the page of a ladder          pages.py       templates, filled
    why.py         the worst mistakes' evidence  separation.py  unknowns, measured
    flips.py       the images that flipped between two runs
    *.html, *.css  the pages (Jinja2)

A page runs no script and loads nothing: a policy in its head forbids both. What opens at a click,
by the keyboard or by a tap is HTML's own popover.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cifarlab.errors import UsageError
from cifarlab.files import write_text
from cifarlab.report.comparison import comparison_context
from cifarlab.report.context import run_context
from cifarlab.report.facts import read_facts
from cifarlab.report.gallery import save_plots
from cifarlab.report.pages import render
from cifarlab.run import Run

__all__ = ["write_report"]


def write_report(runs: Sequence[Run] | Run, out: str | Path | None = None) -> Path:
    """Write the report of a run, or one page that sets several side by side.

    It reads the run folders only, never a dataset or a model, and computes nothing that
    ``result.json`` already says. The plots of one run are saved as PNG in its ``plots`` folder too.

    Args:
        runs: one run or more; a run not evaluated yet gets a report that says so.
        out: the file to write, or a folder to put it in. By default ``report.html`` in the run's
            folder; for several runs ``comparison.html`` in the first one's, whose own report stays.

    Returns:
        The file that was written.

    Raises:
        UsageError: no run was given, or one twice.
        RunError: a run folder is damaged.
        CifarlabError: the file cannot be written.

    Example:
        >>> data = {"name": "pets", "class_names": ["cat", "dog"]}
        >>> run = Run.create(
        ...     tmp_path / "run", recipe={"name": "mine"}, data=data, environment={}, seed=0
        ... )
        >>> write_report(run).name
        'report.html'
    """
    runs = [runs] if isinstance(runs, Run) else list(runs)
    if not runs:
        raise UsageError("a report needs a run: cifarlab report RUN...")
    paths = [run.path.resolve() for run in runs]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice:
        raise UsageError(f"the run {twice} is named twice; name each run once")
    every = [read_facts(run) for run in runs]
    if len(every) == 1:
        name, page = "report", render("run.html", run_context(every[0]))
        save_plots(every[0])
    else:
        name, page = "comparison", render("comparison.html", comparison_context(every))
    path = _destination(every[0].path, out, name)
    write_text(path, page)
    return path


def _destination(folder: Path, out: str | Path | None, name: str) -> Path:
    if out is None:
        return folder / f"{name}.html"
    path = Path(out)
    return path if path.suffix.lower() in (".html", ".htm") else path / f"{name}.html"
