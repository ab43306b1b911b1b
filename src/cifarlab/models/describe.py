"""Keras's own words about a model, as plain text."""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras


def summary_text(model: keras.Model) -> str:
    """Keras's table of a model's layers, 80 characters wide."""
    lines: list[str] = []
    with _unshown():
        model.summary(print_fn=lambda line, **_: lines.append(line), line_length=80)
    return "\n".join(lines)


def _unshown() -> AbstractContextManager[Any]:
    """Within it a notebook shows nothing: Keras's table leaves an empty output even where its text
    is caught."""
    if "IPython" not in sys.modules:
        return nullcontext()
    from IPython.utils.capture import capture_output

    return capture_output(stdout=False, stderr=False)


def telling_line(message: str) -> str:
    """The line of Keras's error message that says why, without heading and terminal colours.

    Example:
        >>> telling_line("Exception encountered when calling Conv2D.call().\\n\\nToo small.")
        'Too small.'
    """
    lines = re.sub(r"\x1b\[[0-9;]*m", "", message).strip().splitlines()
    telling = [line for line in lines if line and not line.startswith("Exception encountered")]
    return (telling or lines)[0]
