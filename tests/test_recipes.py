"""Recipes: complete, typed, and refused where they contradict themselves."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from pathlib import Path

import pytest

from cifarlab.errors import RecipeError, UnknownNameError, UsageError
from cifarlab.recipes import (
    Augmentation,
    EarlyStopping,
    Plateau,
    Recipe,
    get_recipe,
    recipe_names,
    replace_fields,
    with_epochs,
)
from fresh_process import run_python

BASE = Recipe(name="mine", summary="", model="tutorial_cnn")
CLASSIC = ("tutorial_cnn", "onehot_cnn", "augmented_cnn", "regularized_cnn", "plateau_cnn")


# --- JSON ---


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_survives_json(name: str) -> None:
    recipe = get_recipe(name)
    text = json.dumps(recipe.to_json(), allow_nan=False)
    assert Recipe.from_json(json.loads(text)) == recipe
    assert set(recipe.to_json()) == {field.name for field in dataclasses.fields(Recipe)}


def test_groups_and_options_survive_json() -> None:
    recipe = dataclasses.replace(
        BASE,
        model_options={"blocks": ((1, 2), (3,)), "dropout": 0.5, "batch_norm": True, "x": None},
        augmentation=Augmentation(flip=True, cutout=8),
        plateau=Plateau(monitor="val_accuracy"),
        early_stopping=EarlyStopping(restore_best=False),
    )
    value = recipe.to_json()
    assert value["model_options"]["blocks"] == [[1, 2], [3]]
    assert value["augmentation"] == {
        "flip": True,
        "alternate": False,
        "shift": 0.0,
        "rotation": 0.0,
        "zoom": 0.0,
        "cutout": 8,
        "brightness": 0.0,
        "contrast": 0.0,
        "blur": 0.0,
        "noise": 0.0,
        "crop": 0,
    }
    assert Recipe.from_json(json.loads(json.dumps(value))) == recipe


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        BASE.epochs = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        BASE.model_options["dropout"] = 0.5  # type: ignore[index]
    options = {"dropout": 0.5}
    recipe = dataclasses.replace(BASE, model_options=options)
    options["dropout"] = 0.9
    assert recipe.model_options["dropout"] == 0.5
    assert len({recipe, BASE, dataclasses.replace(BASE)}) == 2


def test_a_recipe_can_be_copied_and_sent_to_another_process() -> None:
    recipe = dataclasses.replace(BASE, model_options={"blocks": ((1, 2), (3,)), "x": [4]})
    for twin in (copy.deepcopy(recipe), pickle.loads(pickle.dumps(recipe))):
        assert twin == recipe
        with pytest.raises(TypeError):
            twin.model_options["x"] = 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "it must be an object"),
        ({"name": "x", "summary": ""}, "the field model is missing"),
        ({**BASE.to_json(), "plateau": 3}, "plateau must be an object"),
        ({**BASE.to_json(), "epochs": "3"}, "epochs must be a whole number"),
        ({**BASE.to_json(), "epochs": None}, "epochs must be a whole number"),
        ({**BASE.to_json(), "learning_rate": True}, "learning_rate must be a number"),
        ({**BASE.to_json(), "learning_rate": float("nan")}, "learning_rate must be a number"),
        ({**BASE.to_json(), "model_options": [1]}, "model_options must be an object"),
        ({**BASE.to_json(), "model_options": {"l2": float("nan")}}, "model_options"),
        ({**BASE.to_json(), "augmentation": {"flip": 1}}, "augmentation.flip must be true or"),
    ],
)
def test_json_that_is_no_recipe_names_the_field(value: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.from_json(value)  # type: ignore[arg-type]


# --- --set ---


def test_lengths_in_pixels_follow_the_size_of_the_images() -> None:
    recipe = get_recipe("quick")
    assert (recipe.sizes, recipe.augmentation.crop) == ((16, 20, 20, 28), 28)
    larger = replace_fields(recipe, {"image_size": "64"})
    assert (larger.sizes, larger.augmentation.crop) == ((32, 40, 40, 56), 56)
    assert larger.augmentation.shift == recipe.augmentation.shift  # a share already
    asked = replace_fields(recipe, {"augmentation.crop": "48", "image_size": "64"})
    assert (asked.sizes, asked.augmentation.crop) == ((32, 40, 40, 56), 48)
    assert replace_fields(get_recipe("fast96"), {"image_size": "48"}).augmentation.cutout == 18


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("epochs", "3", 3),
        ("learning_rate", "5e-4", 5e-4),
        ("learning_rate", "1", 1.0),
        ("name", "12", "12"),
        ("summary", "none", "none"),
        ("schedule", "cosine", "cosine"),
        ("augmentation.flip", "True", True),
        ("augmentation.rotation", "10", 10.0),
        ("augmentation.cutout", "8", 8),
        ("plateau.patience", "7", 7),
        ("early_stopping.restore_best", "false", False),
        ("early_stopping.monitor", "val_accuracy", "val_accuracy"),
        ("model_options.dropout", "0.25", 0.25),
        ("model_options.blocks", "[[8], [16, 16]]", ((8,), (16, 16))),
        ("model_options.kind", "wide", "wide"),
        ("model_options.batch_norm", "False", False),  # the text would be taken for true
    ],
)
def test_a_text_becomes_the_field(key: str, text: str, expected: object) -> None:
    recipe = replace_fields(BASE, {key: text})
    value: object = recipe
    for part in key.split("."):
        value = value[part] if part in getattr(value, "keys", list)() else getattr(value, part)
    assert value == expected
    assert type(value) is type(expected)
    changed = {
        field.name
        for field in dataclasses.fields(Recipe)
        if getattr(recipe, field.name) != getattr(BASE, field.name)
    }
    assert changed == {key.split(".")[0]}


def test_one_field_switches_a_group_on_and_none_off() -> None:
    on = replace_fields(BASE, {"plateau.patience": "7", "plateau.factor": "0.1"})
    assert on.plateau == Plateau(patience=7, factor=0.1)
    assert replace_fields(on, {"plateau": "none"}).plateau is None
    assert replace_fields(on, {"plateau": "NULL"}).plateau is None
    quick = get_recipe("quick")  # a field of a group that is on leaves the others
    flipless = replace_fields(quick, {"augmentation.flip": "false"}).augmentation
    assert flipless == dataclasses.replace(quick.augmentation, flip=False)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("epoch", "3", "unknown recipe field 'epoch'; did you mean 'epochs'"),
        ("augmentation.flp", "true", "did you mean 'augmentation.flip'"),
        ("plateau.patiense", "1", "did you mean 'plateau.patience'"),
        ("optimizer", "adm", "unknown value of optimizer 'adm'; did you mean 'adam'"),
        ("plateau.monitor", "val_los", "did you mean 'val_loss'"),
        ("", "3", "unknown recipe field"),
        ("epochs", "three", "epochs must be a whole number, got 'three'"),
        ("epochs", "2.5", "epochs must be a whole number, got 2.5"),
        ("epochs", "true", "epochs must be a whole number, got True"),
        ("epochs", "none", "epochs must be a whole number, got None"),
        ("epochs", "", "epochs must be a whole number, got ''"),
        ("image_size", "large", "image_size must be a whole number, got 'large'"),
        ("image_size", "1e999", "image_size must be a whole number, got inf"),
        ("image_size", "0", "image_size must be above 0"),
        ("learning_rate", "[0.1]", r"learning_rate must be a number, got \[0.1\]"),
        ("learning_rate", "false", "learning_rate must be a number, got False"),
        ("learning_rate", "NaN", "learning_rate must be a number"),
        ("learning_rate", "nan", "learning_rate must be a number"),
        ("learning_rate", "Infinity", "learning_rate must be a number"),
        ("learning_rate", "-Infinity", "learning_rate must be a number"),
        ("learning_rate", "1e999", "learning_rate must be a number"),
        ("learning_rate", "1" + "0" * 400, "learning_rate must be a number"),
        ("augmentation.flip", "yes", "augmentation.flip must be true or false, got 'yes'"),
        ("augmentation.flip", "1", "augmentation.flip must be true or false, got 1"),
        ("augmentation", "3", "is a group: set one of augmentation.flip"),
        ("augmentation", "none", "augmentation"),
        ("plateau", "5", "is a group: set one of plateau.factor.* or plateau=none"),
        ("plateau", "true", "plateau must be an object"),
        ("epochs.more", "1", "epochs has no parts"),
        ("sizes.first", "1", "sizes has no parts"),
        ("tta.views", "1", "tta has no parts"),
        ("model_options", "3", "model_options must be an object"),
        ("model_options.l2", "1e999", "model_options"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(key: str, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        replace_fields(BASE, {key: text})
    assert "\n" not in str(error.value)


def test_no_group_has_no_lengths_to_follow_the_size_of_the_images() -> None:
    with pytest.raises(UsageError, match="augmentation must be an object, got None"):
        replace_fields(BASE, {"augmentation": "none", "image_size": "64"})


# --- what cannot be trained ---


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": ""}, "name begins the run folder's name"),
        ({"name": "../elsewhere"}, "name begins the run folder's name"),
        ({"name": r"C:\elsewhere"}, "name begins the run folder's name"),
        ({"epochs": 0}, "epochs must be above 0"),
        ({"batch_size": -1}, "batch_size must be above 0"),
        ({"image_size": 0}, "image_size must be above 0"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"validation": 1.0}, r"validation must be in \[0, 1\)"),
        ({"validation": float("nan")}, r"validation must be in \[0, 1\)"),
        ({"warmup": -0.1}, r"warmup must be in \[0, 1\)"),
        ({"label_smoothing": 1.0, "labels": "one-hot"}, "label_smoothing must be in"),
        ({"label_smoothing": 0.1}, 'label_smoothing needs labels="one-hot"'),
        ({"weight_decay": 0.1}, 'weight_decay needs optimizer="adamw", "sgd" or "muon"'),
        ({"sizes": (16, 0)}, "sizes must be 1 or more"),
        (
            {"augmentation": Augmentation(crop=40), "sizes": (8,)},
            "must not be more than image_size",
        ),
        ({"augmentation": Augmentation(crop=28)}, "crop needs sizes"),
        ({"augmentation": Augmentation(crop=8, zoom=0.1), "sizes": (8,)}, "exclude each other"),
        ({"plateau": Plateau(), "schedule": "cosine"}, 'plateau needs schedule="constant"'),
        ({"ema": 0.1, "early_stopping": EarlyStopping()}, "ema and early_stopping exclude"),
        ({"ema": 1.0}, r"ema must be in \[0, 1\)"),
        ({"final_rate": 0.0, "schedule": "exponential"}, "final_rate must be above 0"),
        ({"final_rate": 0.0, "schedule": "steps"}, "final_rate must be above 0"),
        ({"plateau": Plateau(), "validation": 0.0}, "validation must be above 0"),
        ({"early_stopping": EarlyStopping(), "validation": 0.0}, "validation must be above 0"),
    ],
)
def test_contradictions_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        dataclasses.replace(BASE, **fields)


@pytest.mark.parametrize(
    "setting",
    [
        "momentum=1.5",
        "momentum=-0.1",
        "weight_decay=-1",
        "final_rate=-0.5",
        "augmentation.shift=1",  # a reflection is one pixel smaller than the image
        "augmentation.shift=-0.1",
        "augmentation.zoom=1",  # nothing is left of the image
        "augmentation.zoom=-0.1",
        "augmentation.cutout=-1",
        "plateau.factor=1",  # Keras refuses it: the rate would not fall
        "plateau.factor=0",
        "plateau.patience=-1",
        "early_stopping.patience=-1",
    ],
)
def test_values_that_cannot_work_are_refused_before_training(setting: str) -> None:
    key, _, text = setting.partition("=")
    recipe = dataclasses.replace(BASE, optimizer="sgd")
    with pytest.raises(UsageError, match=key):
        replace_fields(recipe, {key: text})


@pytest.mark.parametrize("key", ["momentum", "bias_rate", "head_rate", "final_rate"])
def test_a_field_without_effect_is_not_ignored_when_it_is_set(key: str) -> None:
    adam = dataclasses.replace(BASE, optimizer="adam", schedule="constant")
    with pytest.raises(RecipeError, match=rf'{key} needs (optimizer|schedule)=".* Received: '):
        replace_fields(adam, {key: "0.3"})
    muon = {"optimizer": "muon", "schedule": "triangle"}  # set in the same command, in any order
    assert getattr(replace_fields(adam, {key: "0.3", **muon}), key) == 0.3
    own = str(getattr(adam, key))  # what it is already: nobody expects an effect
    assert replace_fields(adam, {key: own}) == adam


def test_epochs_that_are_asked_for_are_not_added_to() -> None:
    quick = get_recipe("quick")
    assert quick.least_steps > 0
    assert replace_fields(quick, {"epochs": "3"}).least_steps == 0
    assert replace_fields(quick, {"epochs": "3", "least_steps": "7"}).least_steps == 7
    assert replace_fields(quick, {"tta": "none"}).least_steps == quick.least_steps


def test_more_epochs_than_the_recipe_has_visit_all_images() -> None:
    quick = get_recipe("quick")
    for epochs, hard in ((quick.epochs, quick.hard), (quick.epochs + 1, ())):
        assert replace_fields(quick, {"epochs": str(epochs)}).hard == hard
        assert with_epochs(quick, epochs).hard == hard
    own = replace_fields(quick, {"epochs": "9", "hard": "[1, 0.5]"})
    assert own.hard == (1.0, 0.5)


def test_few_epochs_still_reach_the_last_size() -> None:
    quick = get_recipe("quick")
    assert quick.sizes == (16, 20, 20, 28)
    for epochs, sizes in ((1, (28,)), (2, (20, 28)), (3, (20, 20, 28)), (9, quick.sizes)):
        assert with_epochs(quick, epochs).sizes == sizes
    larger = replace_fields(quick, {"epochs": "2", "image_size": "64"})
    assert larger.sizes == (40, 56)
    assert replace_fields(quick, {"epochs": "1", "sizes": "[16, 28]"}).sizes == (16, 28)


def test_a_recipe_of_few_epochs_names_the_shares_that_they_visit() -> None:
    quick = get_recipe("quick")
    assert quick.hard == (1.0, 0.7, 0.5, 0.5)
    for epochs, hard in ((1, (1.0,)), (2, (1.0, 0.5)), (3, (1.0, 0.7, 0.5)), (4, quick.hard)):
        assert with_epochs(quick, epochs).hard == hard


def test_a_batch_that_is_asked_for_is_not_shrunk() -> None:
    quick = get_recipe("quick")
    assert 0 < quick.least_batch < quick.batch_size
    assert replace_fields(quick, {"batch_size": "400"}).least_batch == 0
    assert replace_fields(quick, {"batch_size": "400", "least_batch": "64"}).least_batch == 64
    assert replace_fields(quick, {"tta": "none"}).least_batch == quick.least_batch
    with pytest.raises(RecipeError, match=r"least_batch needs least_steps above 0. Received: 0"):
        replace_fields(quick, {"epochs": "3", "least_batch": "64"})


@pytest.mark.parametrize("schedule", ["constant", "exponential"])
def test_a_warm_up_that_no_schedule_follows_is_not_ignored(schedule: str) -> None:
    with pytest.raises(RecipeError, match="warmup"):
        dataclasses.replace(BASE, warmup=0.1, schedule=schedule)


# --- by name or from a file ---


def test_the_default_is_first_and_names_are_their_own() -> None:
    assert recipe_names()[0] == "quick"
    assert {"debug", *CLASSIC} <= set(recipe_names())
    for name in recipe_names():
        assert get_recipe(name).name == name
        assert get_recipe(get_recipe(name)) is get_recipe(name)


def test_an_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown recipe 'plateu_cnn'.*'plateau_cnn'"):
        get_recipe("plateu_cnn")


def test_a_file_or_a_run_folder_is_a_recipe(tmp_path: Path) -> None:
    recipe = dataclasses.replace(get_recipe("debug"), name="mine", epochs=99)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.to_json()))
    assert get_recipe(path) == get_recipe(str(path)) == get_recipe(tmp_path) == recipe


def test_a_folder_of_a_recipes_name_does_not_hide_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "debug").mkdir()
    assert get_recipe("debug").name == "debug"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read the recipe"),
        (b"", "is not a recipe: line 1 is not JSON"),
        (b'{\n"name": "x",\n', "is not a recipe: line 3 is not JSON"),
        (b"\xff\xfe\x00", "is not a recipe: it is not text"),
        (b"[]", "must be an object"),
        (b'{"name": "x", "summary": "", "model": "m", "epohcs": 3}', "did you mean 'epochs'"),
    ],
)
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "mine.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=message) as error:
        get_recipe(path)
    assert "\n" not in str(error.value)


def test_recipes_load_no_framework() -> None:
    program = "import sys, cifarlab.recipes; print(*sys.modules)"
    loaded = {name.partition(".")[0] for name in run_python(program).split()}
    assert not loaded & {"keras", "tensorflow", "jax", "matplotlib", "sklearn", "numpy"}


# --- the five classic recipes are what their descriptions say ---


def test_tutorial_cnn_is_the_first_lesson() -> None:
    recipe = get_recipe("tutorial_cnn")
    assert (recipe.model, recipe.model_options) == ("tutorial_cnn", {})
    assert (recipe.pixels, recipe.labels, recipe.optimizer) == ("unit", "integer", "adam")
    assert (recipe.epochs, recipe.learning_rate, recipe.schedule) == (10, 1e-3, "constant")
    assert recipe.augmentation == Augmentation()
    assert recipe.plateau is recipe.early_stopping is None


def convolutions(recipe: Recipe) -> int:
    return sum(map(len, recipe.model_options["blocks"]))


def test_onehot_cnn_and_its_two_variants() -> None:
    base, deeper, dropout = map(
        get_recipe, ("onehot_cnn", "onehot_cnn_deeper", "onehot_cnn_dropout")
    )
    for recipe in (base, deeper, dropout):
        assert (recipe.model, recipe.labels, recipe.pixels) == ("plain_cnn", "one-hot", "unit")
        assert recipe.optimizer == "adam"
        assert recipe.augmentation == Augmentation()
        assert recipe.model_options["dense"]
        assert recipe.model_options.get("dropout", 0.5) > 0  # after the dense layer
    assert convolutions(deeper) > convolutions(base)
    assert not any(deeper.model_options["block_dropout"])
    assert all(dropout.model_options["block_dropout"])
    # Each variant differs from the one before in what it is about, so that the effect shows; the
    # one with dropout may also be trained for longer.
    assert base.epochs == deeper.epochs <= dropout.epochs
    same = {"name": "x", "summary": "", "model_options": {}, "epochs": 1}
    assert len({dataclasses.replace(r, **same) for r in (base, deeper, dropout)}) == 1
    without = {k: v for k, v in dropout.model_options.items() if k != "block_dropout"}
    assert without == {k: v for k, v in deeper.model_options.items() if k != "block_dropout"}


def test_augmented_cnn_turns_shifts_flips_schedules_and_stops() -> None:
    recipe = get_recipe("augmented_cnn")
    augmentation = recipe.augmentation
    assert augmentation.flip
    assert augmentation.rotation > 0
    assert augmentation.shift > 0
    assert (recipe.pixels, recipe.labels, recipe.optimizer) == ("unit", "integer", "adam")
    assert recipe.model_options["dropout"] > 0
    assert recipe.model_options["dense"]
    assert recipe.schedule != "constant"
    assert recipe.early_stopping
    assert recipe.early_stopping.monitor == "val_loss"


def test_regularized_cnn_regularises_in_every_way() -> None:
    recipe = get_recipe("regularized_cnn")
    assert (recipe.pixels, recipe.labels) == ("standard", "one-hot")
    assert recipe.augmentation != Augmentation()
    assert all(recipe.model_options["block_dropout"])
    assert recipe.model_options["l2"] > 0
    assert recipe.plateau
    assert recipe.early_stopping
    assert recipe.early_stopping.restore_best
    # Early stopping must not stop before the rate has been lowered at all.
    assert recipe.early_stopping.patience > recipe.plateau.patience


def test_plateau_cnn_lowers_adams_rate_on_validation_loss() -> None:
    recipe = get_recipe("plateau_cnn")
    assert (recipe.optimizer, recipe.learning_rate, recipe.labels) == ("adam", 1e-3, "one-hot")
    assert recipe.plateau
    assert recipe.plateau.monitor == "val_loss"
    assert all(recipe.model_options["block_dropout"])
    assert convolutions(recipe) > len(recipe.model_options["blocks"])  # stacked


def test_sizes_are_read_from_json_and_from_text() -> None:
    recipe = replace_fields(BASE, {"sizes": "[16, 24]"})
    assert recipe.sizes == (16, 24)
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    with pytest.raises(UsageError, match=r"sizes must be a list, got 16"):
        replace_fields(BASE, {"sizes": "16"})
    with pytest.raises(UsageError, match=r"sizes\[1\] must be a whole number, got 'big'"):
        replace_fields(BASE, {"sizes": '[16, "big"]'})
