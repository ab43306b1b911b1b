"""The site of the documents: it builds without a warning, is whole, and asks nothing of others."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import pytest
from typer.main import get_command

import cifarlab
from cifarlab.cli import app
from cifarlab.models import list_models
from cifarlab.recipes import Recipe, recipe_names

REPOSITORY = Path(__file__).resolve().parent.parent
COMMANDS = get_command(app).commands  # type: ignore[attr-defined]


class Page(HTMLParser):
    """What a page links to, what it loads, and which names its parts have."""

    def __init__(self, path: Path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.ids: set[str] = set()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if "href" in found:
            (self.links if tag == "a" else self.loaded).add(found["href"])
        if "src" in found:
            self.loaded.add(found["src"])


class Build(NamedTuple):
    """How building the site ended, what was said, and where the site is."""

    status: int
    said: str
    site: Path


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: pip install '.[dev]'")
    out = tmp_path_factory.mktemp("docs") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=250,
    )
    return Build(done.returncode, done.stdout + done.stderr, out)


@pytest.fixture(scope="module")
def site(build: Build) -> Path:
    assert build.status == 0, build.said
    return build.site


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_the_site_builds_without_a_warning(build: Build) -> None:
    assert build.status == 0, build.said
    assert not re.search("warning|error", build.said, re.IGNORECASE), build.said


def test_every_command_is_in_the_reference_with_its_options(
    site: Path, pages: dict[Path, Page]
) -> None:
    page = pages[site / "reference" / "commands.html"]
    assert set(COMMANDS) <= page.ids
    for name, command in COMMANDS.items():
        part = page.text.partition(f'id="{name}"')[2].partition("<h2")[0]
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert set(parameter.opts) <= set(re.findall(r"--[\w-]+", part)), name


def test_every_field_of_a_recipe_is_in_the_reference_with_its_unit(
    site: Path, pages: dict[Path, Page]
) -> None:
    text = re.sub(r"<[^>]+>", "", pages[site / "reference" / "recipes.html"].text)
    table = " ".join(text.partition("the names as they stand here")[2].split())
    for name in (field.name for field in dataclasses.fields(Recipe)):
        assert f" {name} " in table
    assert " ema 0.0 average weights: those of this fraction of all steps ago count 1/e" in table
    assert " augmentation.rotation 0.0 up to this many degrees" in table
    assert " early_stopping.patience 10 epochs" in table


def test_every_recipe_is_in_the_reference_with_its_figure(
    site: Path, pages: dict[Path, Page]
) -> None:
    page = pages[site / "reference" / "recipes.html"]
    assert set(recipe_names()) <= page.ids
    for name in recipe_names():
        record = REPOSITORY / "records" / name / "record.json"
        if record.exists():
            mean = json.loads(record.read_text(encoding="utf-8"))["accuracy_mean"]
            link = f'<a href="../records/{name}/index.html">{100 * mean:.1f} %</a>'
            assert link in page.text


def test_every_model_and_public_name_is_in_the_reference(
    site: Path, pages: dict[Path, Page]
) -> None:
    functions = {name.rpartition(".")[2] for name in pages[site / "reference" / "models.html"].ids}
    assert set(list_models()) <= functions
    public = {f"cifarlab.{home}.{name}" for name, home in cifarlab._HOME.items()}
    assert public <= pages[site / "reference" / "python.html"].ids


def test_examples_in_docstrings_are_code(site: Path, pages: dict[Path, Page]) -> None:
    text = pages[site / "reference" / "python.html"].text
    assert "&gt;&gt;&gt;" in text
    assert "<blockquote>" not in text


def test_every_notebook_is_there_and_linked(site: Path, pages: dict[Path, Page]) -> None:
    names = {path.name for path in REPOSITORY.glob("notebooks/*.ipynb")}
    assert names == {path.name for path in site.glob("notebooks/*.ipynb")}
    assert {f"notebooks/{name}" for name in names} <= pages[site / "notebooks.html"].links


def test_nothing_is_made_that_a_reader_should_not_see(pages: dict[Path, Page]) -> None:
    """No line that asks for a made part, and no directive of mkdocstrings, is left as it is."""
    assert not [path for path, page in pages.items() if re.search("<!-- made|>::: ", page.text)]


def test_links_lead_somewhere(site: Path, pages: dict[Path, Page]) -> None:
    dead = []
    for path, page in pages.items():
        if path.name == "404.html":  # shown under any address, so its links begin at the root
            continue
        for link in page.links | page.loaded:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].ids if target in pages else None
            if not target.exists() or (
                parts.fragment and anchors and parts.fragment not in anchors
            ):
                dead.append((path.relative_to(site).as_posix(), link))
    assert not dead


def test_nothing_is_loaded_from_elsewhere(site: Path, pages: dict[Path, Page]) -> None:
    assert not [link for page in pages.values() for link in page.loaded if urlsplit(link).netloc]
    for path in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(https?:)?//", path.read_text(encoding="utf-8"))


def test_the_reader_finds_things_on_a_phone_without_a_server(site: Path, browser: Any) -> None:
    """Search works from the disk, nothing is asked of others, nothing is wider than a phone."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True},
    )
    try:
        for log in ("browser", "performance"):
            browser.get_log(log)  # what earlier tests left there
        browser.get((site / "reference" / "commands.html").as_uri())
        wide, width = browser.execute_script(
            "return [document.documentElement.scrollWidth, innerWidth]"
        )
        assert wide <= width == 390
        assert search(browser, "temperature scaling") > 0
        assert not browser.get_log("browser")
        asked = requests(browser)
        assert asked
        assert not [url for url in asked if not url.startswith(("file:", "data:", "about:"))]
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def search(browser: Any, words: str) -> int:
    """How many pages the search finds."""
    browser.find_element("css selector", "label[for='__search']").click()
    field = browser.find_element("css selector", ".md-search__input")
    field.send_keys(words)
    for _ in range(100):
        found = re.match(
            r"\d+",
            browser.execute_script(
                "return document.querySelector('.md-search-result__meta').textContent.trim()"
            ),
        )
        if found:
            return int(found[0])
        time.sleep(0.1)
    return 0


def requests(browser: Any) -> list[str]:
    """Addresses that the page has asked for since the last call."""
    events = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
