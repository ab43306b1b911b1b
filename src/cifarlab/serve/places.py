"""Places that are taken before work begins: who finds none is refused at once, and never waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Overloaded(Exception):  # noqa: N818  (a state of the server, not a mistake)
    """There is no room now; `reason` is its name in the metrics.

    Example:
        >>> Overloaded("queue").reason
        'queue'
    """

    def __init__(self, reason: str):
        super().__init__("the server has as much to do as it takes; try again after a second")
        self.reason = reason


class Places:
    """So many of something, held for as long as a block lasts. For one thread.

    Args:
        total: how many there are.
        reason: what a refusal is called in the metrics.

    Example:
        >>> places = Places(3, "queue")
        >>> with places.hold(2) as more:
        ...     more(1)
        ...     places.taken
        3
        >>> places.taken
        0
    """

    def __init__(self, total: int, reason: str):
        self.total, self.reason, self.taken = total, reason, 0

    def check(self) -> None:
        """Raise `Overloaded` when every place is taken."""
        if self.taken >= self.total:
            raise Overloaded(self.reason)

    @contextmanager
    def hold(self, count: int = 0) -> Iterator[Callable[[int], None]]:
        """Take `count` places until the block ends; what it gives takes more of them.

        Raises:
            Overloaded: there are not as many left; from the call for more, too.
        """
        held = 0

        def more(number: int) -> None:
            nonlocal held
            if self.taken + number > self.total:
                raise Overloaded(self.reason)
            self.taken += number
            held += number

        more(count)
        try:
            yield more
        finally:
            self.taken -= held
