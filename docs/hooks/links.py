"""Links out of ``docs/``: written for the repository, they lead to the right places in the site.

Records, notebooks and the two documents of the root become part of the site, at their own paths.
What else lies outside ``docs/`` (source files, folders without a README) is not in the site: there
such a link is its text alone.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

REPOSITORY = Path(__file__).resolve().parents[2]
BESIDE = (
    *("records/*/README.md", "records/*/ladder.png", "records/*/ladder.html"),
    *("notebooks/*.ipynb", "CHANGELOG.md", "CONTRIBUTING.md"),
)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#:]+)(?P<anchor>#[^)\s]+)?\)")


def on_files(files: Files, *, config: Any) -> Files:
    """Add what the site shows from outside ``docs/``."""
    for pattern in BESIDE:
        for path in sorted(REPOSITORY.glob(pattern)):
            uri = path.relative_to(REPOSITORY).as_posix()
            files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown: str, *, page: Any, files: Files, **_: Any) -> str:
    """The page with its links as the site needs them."""
    here, folder = Path(page.file.abs_src_path).parent, posixpath.dirname(page.file.src_uri)

    def rewritten(link: re.Match[str]) -> str:
        path = (here / link["target"]).resolve()
        uri = site_uri(path / "README.md" if path.is_dir() else path)
        if uri in files.src_uris:
            return f"[{link['text']}]({posixpath.relpath(uri, folder)}{link['anchor'] or ''})"
        # A link to nothing stays as it is, so that the build says so.
        return link["text"] if path.exists() else link[0]

    return LINK.sub(rewritten, markdown)


def site_uri(path: Path) -> str:
    """Where a file of the repository is in the site: ``docs/`` is its root, the rest beside."""
    uri = path.relative_to(REPOSITORY) if path.is_relative_to(REPOSITORY) else path
    return uri.as_posix().removeprefix("docs/")
