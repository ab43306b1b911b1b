"""Every error that a user can cause, as one tree.

    CifarlabError                exit 1
    ├── UsageError               exit 2: a value that the command line or a call may not have
    │   └── UnknownNameError     exit 2: a name that nothing has; carries the nearest ones
    ├── DataError                a dataset that is absent, damaged or unfit
    │   └── DataNotFoundError    a named dataset that is neither on this machine nor reachable
    ├── ImageError               one image that cannot be read
    ├── RecipeError              a recipe that cannot be trained
    ├── RunError                 a run folder that is absent, damaged or does not match
    ├── ModelFileError           an exported model that cannot be opened
    ├── ExportError              a run that cannot be exported, or whose export differs from it
    ├── BackendError             a backend or precision that this machine does not have
    ├── MissingExtraError        an optional package that is not installed
    ├── TrainingError            a training that went wrong (a loss that is not finite)
    └── Interrupted              exit 130 or 143: stopped by a signal, the run can be resumed

A message is one line: what is wrong, where, what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CifarlabError(Exception):
    """Base of every error that the user can mend; ``exit_code`` is the command line's status.

    Example:
        >>> try:
        ...     raise UnknownNameError("recipe", "fats94", ["fast94"])
        ... except CifarlabError as error:
        ...     error.exit_code
        2
    """

    exit_code = 1


class UsageError(CifarlabError):
    """A value that is not allowed where it stands."""

    exit_code = 2


class UnknownNameError(UsageError):
    """A name that nothing has.

    Args:
        kind: what was looked for, in words: ``"recipe"``.
        name: the name that was given.
        choices: the names there are.

    Example:
        >>> str(UnknownNameError("recipe", "quik", ["quick", "debug"]))
        "unknown recipe 'quik'; did you mean 'quick'? There are: debug, quick"
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str]):
        self.kind, self.name, self.choices = kind, name, sorted(choices)
        near = difflib.get_close_matches(name, self.choices, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? There" if near else "there"
        super().__init__(f"unknown {kind} {name!r}; {hint} are: {', '.join(self.choices)}")


class DataError(CifarlabError):
    """A dataset that is absent, damaged or unfit for training."""


class DataNotFoundError(DataError):
    """A named dataset that is neither on this machine nor reachable."""


class ImageError(CifarlabError):
    """One image that cannot be read."""


class RecipeError(UsageError):
    """A recipe that cannot be trained: fields that contradict each other."""


class RunError(CifarlabError):
    """A run folder that is absent, damaged, or does not match what it is asked for."""


class ModelFileError(CifarlabError):
    """An exported model that cannot be opened, or whose metadata are absent or damaged."""


class ExportError(CifarlabError):
    """A run that cannot be exported, or an export that does not predict what the run does."""


class BackendError(CifarlabError):
    """A backend, device or precision that this machine does not have."""


class MissingExtraError(CifarlabError):
    """An optional package is not installed; the message is the line that installs it.

    Example:
        >>> str(MissingExtraError("TensorBoard", "track"))
        'TensorBoard is not installed; install it with: pip install "cifarlab[track]"'
    """

    def __init__(self, what: str, extra: str):
        super().__init__(
            f'{what} is not installed; install it with: pip install "cifarlab[{extra}]"'
        )


class TrainingError(CifarlabError):
    """A training that cannot go on, such as one whose loss is no longer finite."""


class Interrupted(CifarlabError):  # noqa: N818  (an interruption is no error of the user's)
    """Stopped by a signal (``signum``); the run is left so that it can be resumed."""

    def __init__(self, message: str, signum: int):
        super().__init__(message)
        self.signum = signum
        self.exit_code = 128 + signum
