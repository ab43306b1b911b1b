"""The error tree: exit codes, and messages that help."""

from __future__ import annotations

import inspect

import pytest

from cifarlab import errors
from cifarlab.errors import (
    CifarlabError,
    Interrupted,
    MissingExtraError,
    UnknownNameError,
    UsageError,
)

ALL = [
    value
    for _, value in inspect.getmembers(errors, inspect.isclass)
    if value.__module__ == errors.__name__
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_every_error_has_the_base_and_stands_in_the_tree(error: type[Exception]) -> None:
    assert issubclass(error, CifarlabError)
    assert f" {error.__name__} " in (errors.__doc__ or "").replace("\n", " ")


@pytest.mark.parametrize("error", ALL, ids=lambda error: error.__name__)
def test_wrong_usage_exits_2_and_all_else_1(error: type[CifarlabError]) -> None:
    assert error.exit_code == (2 if issubclass(error, UsageError) else 1)


@pytest.mark.parametrize(("signum", "status"), [(2, 130), (15, 143)])
def test_interrupted_exits_as_shells_expect(signum: int, status: int) -> None:
    assert Interrupted("stopped", signum).exit_code == status


def test_unknown_name_suggests_the_nearest_and_lists_all_sorted() -> None:
    error = UnknownNameError("recipe", "tutorail_cnn", ["tutorial_cnn", "debug"])
    assert "did you mean 'tutorial_cnn'?" in str(error)
    assert str(error).endswith("There are: debug, tutorial_cnn")


def test_unknown_name_suggests_nothing_where_nothing_is_near() -> None:
    error = UnknownNameError("recipe", "xyz", ["tutorial_cnn"])
    assert str(error) == "unknown recipe 'xyz'; there are: tutorial_cnn"


def test_missing_extra_is_the_line_that_installs_it() -> None:
    line = str(MissingExtraError("TensorBoard", "track"))
    assert line.endswith('pip install "cifarlab[track]"')


@pytest.mark.parametrize(
    "message",
    [str(UnknownNameError("model", "x", ["a", "b"])), str(MissingExtraError("JAX", "jax"))],
)
def test_messages_are_one_line(message: str) -> None:
    assert "\n" not in message
