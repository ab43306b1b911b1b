"""Pictures as parts of the page itself, so that the file needs nothing else."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cifarlab import plots

LARGEST_PIXEL_ART = 64  # pixels a side: up to here an image is kept exactly, beyond it is shrunk
SHRUNK = 160
LARGEST_SHEET = 4000  # pixels a side

# A figure's colours become the page's, so that one figure suits a light and a dark page.
THEME = {plots.INK: "var(--ink)", plots.FAINT: "var(--rule)", plots.RATE: "var(--quiet)"} | {
    colour: f"var(--series-{i})" for i, colour in enumerate(plots.SERIES)
}


def image_uri(image: NDArray[np.uint8]) -> str:
    """An image, uint8 (H, W, 3), as a ``data:`` address: exact if small, else a shrunk JPEG."""
    buffer = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(image))
    if max(picture.size) <= LARGEST_PIXEL_ART:
        picture.save(buffer, "PNG", optimize=True)
        return _data_uri("image/png", buffer.getvalue())
    picture.thumbnail((SHRUNK, SHRUNK))
    picture.save(buffer, "JPEG", quality=85)
    return _data_uri("image/jpeg", buffer.getvalue())


def sheet_uri(path: Path) -> tuple[str, int, int]:
    """A contact sheet, a PNG file, as a smaller JPEG ``data:`` address, with width and height.

    Raises:
        OSError, ValueError: it is not the PNG file of a contact sheet.
    """
    with Image.open(path, formats=["PNG"]) as sheet:
        if max(sheet.size) > LARGEST_SHEET:
            raise ValueError(f"{sheet.size} pixels are no contact sheet")
        buffer = io.BytesIO()
        sheet.convert("RGB").save(buffer, "JPEG", quality=80, optimize=True)
        width, height = sheet.size
    return _data_uri("image/jpeg", buffer.getvalue()), width, height


def figure_uri(figure: Figure, dpi: int = 110) -> str:
    """A figure as a PNG ``data:`` address, for the ones too rich for SVG."""
    buffer = io.BytesIO()
    plots.save_figure(figure, buffer, format="png", dpi=dpi)
    return _data_uri("image/png", buffer.getvalue())


def figure_svg(figure: Figure, name: str, description: str) -> Markup:
    """A figure as SVG inside the page, in the page's own colours and type.

    Args:
        figure: drawn by `cifarlab.plots`.
        name: unique in the page; the figure's inner names start with it.
        description: what a reader who does not see it is told.
    """
    buffer = io.BytesIO()
    plots.save_figure(figure, buffer, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in root.iter():  # licence and creator, as RDF; the page says it better
        for child in [c for c in parent if _local(c.tag) == "metadata"]:
            parent.remove(child)
    for element in root.iter():
        element.tag = _local(element.tag)
        element.attrib = {_local(k): _own(v, k, name) for k, v in element.attrib.items()}
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"role": "img", "aria-label": description, "class": "plot"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # ElementTree has escaped it


def _own(value: str, key: str, name: str) -> str:
    """An attribute with this figure's names and the page's colours."""
    if key == "id":
        return f"{name}-{value}"
    if key == "style":
        value = re.sub(r"font: ([\d.]+px)[^;]*", r"font-size: \1", value)
        for colour, variable in THEME.items():
            value = value.replace(colour, variable)
    if key.endswith("href"):
        return value.replace("#", f"#{name}-", 1)
    return value.replace("url(#", f"url(#{name}-")


def _local(tag: str) -> str:
    """A tag or attribute without its namespace, which HTML does not want."""
    return tag.rpartition("}")[2]


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
