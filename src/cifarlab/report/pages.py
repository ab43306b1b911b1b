"""The templates of all pages, and how one is filled."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup

from cifarlab.report.glossary import GLOSSARY
from cifarlab.report.numbers import count
from cifarlab.report.records import without_home


def render(template: str, context: dict[str, Any]) -> str:
    """The page that `template` makes of the values of `context`."""
    return _templates().get_template(template).render(context)


@cache
def _templates() -> jinja2.Environment:
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("cifarlab", "report"),
        autoescape=True,  # class and file names are other people's text
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, _, _ = templates.loader.get_source(templates, "style.css")  # type: ignore[union-attr]
    templates.globals["style"] = Markup(style)
    templates.filters["count_of"] = count
    templates.filters["without_home"] = without_home
    templates.globals["glossary"] = GLOSSARY
    return templates
