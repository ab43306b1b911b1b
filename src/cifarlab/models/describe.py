"""Keras's own words about a model, as plain text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras


def summary_text(model: keras.Model) -> str:
    """Keras's table of a model's layers, 80 characters wide."""
    lines: list[str] = []
    model.summary(print_fn=lambda line, **_: lines.append(line), line_length=80)
    return "\n".join(lines)


def telling_line(message: str) -> str:
    """The line of Keras's error message that says why, without heading and terminal colours.

    Example:
        >>> telling_line("Exception encountered when calling Conv2D.call().\\n\\nToo small.")
        'Too small.'
    """
    lines = re.sub(r"\x1b\[[0-9;]*m", "", message).strip().splitlines()
    telling = [line for line in lines if line and not line.startswith("Exception encountered")]
    return (telling or lines)[0]
