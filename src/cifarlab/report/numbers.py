"""Numbers as people read them: rounded to what is known, with a space that does not break."""

from __future__ import annotations

from collections.abc import Sequence
from unicodedata import bidirectional

SPACE = "\N{NO-BREAK SPACE}"
ISOLATE, POP = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
UNKNOWN = "not recorded"


def percent(share: float | None, n: int | None = None) -> str:
    """A share in percent; ``n``, how many it is a share of, decides how many digits it deserves.

    Example:
        >>> percent(0.93941), percent(0.93941, n=10_000), percent(0.5, n=20)
        ('93.9\\xa0%', '93.94\\xa0%', '50\\xa0%')
    """
    if share is None:
        return UNKNOWN
    return f"{100 * share:.{_decimals(n)}f}{SPACE}%"


def probability(p: float) -> str:
    """A probability in percent, which is never rounded to certainty.

    Example:
        >>> probability(0.9313), probability(0.99999), probability(1e-7)
        ('93.1\\xa0%', 'over\\xa099.9\\xa0%', 'under\\xa00.1\\xa0%')
    """
    if p > 0.9995:
        return f"over{SPACE}{percent(0.999)}"
    return f"under{SPACE}{percent(0.001)}" if p < 0.0005 else percent(p)


def interval(bounds: Sequence[float | None] | None, n: int | None = None) -> str:
    """An interval of a share in percent.

    Example:
        >>> interval([0.9345, 0.9439])
        '93.5 to 94.4\\xa0%'
    """
    if bounds is None or bounds[0] is None or bounds[1] is None:
        return UNKNOWN
    return f"{100 * bounds[0]:.{_decimals(n)}f} to {percent(bounds[1], n)}"


def points(share: float) -> str:
    """A difference of shares, in percentage points without its sign.

    Example:
        >>> points(-0.0421)
        '4.2\\xa0points'
    """
    return f"{abs(100 * share):.1f}{SPACE}points"


def count(value: float | None, noun: str = "") -> str:
    """A whole number with thousands apart, and its noun.

    Example:
        >>> count(10_000), count(1, "epoch"), count(3, "epoch")
        ('10,000', '1\\xa0epoch', '3\\xa0epochs')
    """
    if value is None:
        return UNKNOWN
    plural = "s" if noun and value != 1 else ""
    return f"{value:,.0f}" + (f"{SPACE}{noun}{plural}" if noun else "")


def number(value: float | None, digits: int = 4) -> str:
    """A number with so many significant digits.

    Example:
        >>> number(0.213456), number(1e-5), number(None)
        ('0.2135', '1e-05', 'not recorded')
    """
    return UNKNOWN if value is None else f"{value:.{digits}g}"


def duration(seconds: float | None) -> str:
    """A time span in its two largest units.

    Example:
        >>> duration(4.21), duration(272.4), duration(7530)
        ('4.2\\xa0s', '4\\xa0min\\xa032\\xa0s', '2\\xa0h\\xa005\\xa0min')
    """
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f}{SPACE}s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest}{SPACE}s"
    if minutes < 60:
        return f"{minutes}{SPACE}min{SPACE}{rest}{SPACE}s"
    return f"{minutes // 60}{SPACE}h{SPACE}{minutes % 60:02d}{SPACE}min"


def quoted(name: str) -> str:
    """A class name as it stands in a sentence: in quotes, unless it is a word.

    One that is written from right to left is isolated, so that it does not draw the numbers after
    it to its other side.

    Example:
        >>> quoted("cat"), quoted("8")
        ('cat', '“8”')
    """
    said = name if name.replace("_", "").replace(" ", "").isalpha() else f"“{name}”"
    leftward = any(bidirectional(character) in ("R", "AL") for character in name)
    return f"{ISOLATE}{said}{POP}" if leftward else said


def listed(items: Sequence[str]) -> str:
    """Items as a sentence lists them.

    Example:
        >>> listed(["cat", "dog", "bird"]), listed(["cat"])
        ('cat, dog and bird', 'cat')
    """
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def _decimals(n: int | None) -> int:
    """Digits after the point of a percentage: an image more or less shows in the last one."""
    if n is None:
        return 1
    return 0 if n < 50 else 1 if n < 5000 else 2
