"""The bundled models: whole, described, small, and known to the commands."""

from __future__ import annotations

import json
import shutil

import pytest

from cifarlab import bundled
from cifarlab.cli import main
from cifarlab.errors import ModelFileError, UnknownNameError
from cifarlab.runtimes import open_model

MOST_BYTES = 10 * 10**6


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A package whose bundled files may be spoilt."""
    folder = shutil.copytree(bundled.FOLDER, tmp_path / "bundled")
    monkeypatch.setattr(bundled, "FOLDER", folder)
    return folder


def command(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    assert not end.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("name", bundled.bundled_names())
def test_a_bundled_model_is_what_its_card_says(name: str) -> None:
    path, card = bundled.bundled_path(name), bundled.bundled_card(name)
    assert path.stat().st_size <= MOST_BYTES
    assert list(open_model(path).info.class_names) == card["data"]["class_names"]
    assert card["figures"]
    for figure in card["figures"]:
        assert figure["ci95"] is None or figure["ci95"][0] <= figure["value"] <= figure["ci95"][1]
    assert card["limits"]
    assert card["licence"]


def test_a_damaged_file_is_one_clear_line(copy) -> None:
    path = copy / "cifar10.onnx"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match=r"cifar10\.onnx is damaged: its SHA-256 .* install"):
        bundled.bundled_path("cifar10")
    path.unlink()
    with pytest.raises(ModelFileError, match="is damaged: No such file"):
        bundled.bundled_path("cifar10")


@pytest.mark.parametrize(("card", "reason"), [("{", "is damaged"), ("{}", "it has no summary")])
def test_a_damaged_card_is_one_clear_line(copy, card: str, reason: str) -> None:
    (copy / "cifar10.json").write_text(card)
    with pytest.raises(ModelFileError, match=reason):
        bundled.bundled_path("cifar10")


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cifar10'"):
        bundled.bundled_path("cifar-10")


def test_the_card_is_shown_and_the_models_are_listed(capsys) -> None:
    card = bundled.bundled_card("cifar10")
    shown = command(capsys, "models", "cifar10")
    assert card["figures"][0]["name"] in shown
    assert f"{card['figures'][0]['value']:.4f}" in shown
    assert card["limits"][0] in shown
    assert card["sha256"] in shown
    assert json.loads(command(capsys, "models", "cifar10", "--json")) == card
    assert card["summary"] in command(capsys, "models")
    assert json.loads(command(capsys, "doctor", "--json"))["bundled_models"] == ["cifar10"]
