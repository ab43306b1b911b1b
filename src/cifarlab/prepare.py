"""What a training starts from: the data and the model described, then made, as a recipe says;
and the data of a finished run found again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cifarlab import backend
from cifarlab.augment import Augment
from cifarlab.data import Dataset, Split, channel_statistics, load_dataset, one_hot
from cifarlab.engine import Memory, Program, layers_compute_in
from cifarlab.errors import DataError, RunError, UsageError
from cifarlab.models import adapt, create_model
from cifarlab.models.describe import telling_line
from cifarlab.optim import make_loss
from cifarlab.recipes import Recipe, with_epochs
from cifarlab.run import Run

# The validation split does not change with the seed, so that runs with several seeds can be
# compared on it.
SPLIT_SEED = 0

# Batches shrink to a multiple of this, because kernels' gradients on small maps are convolutions
# whose channels are the batch's images (`FastConv2D`), and oneDNN computes channels in blocks.
BATCH_MULTIPLE = 32


def with_least_steps(recipe: Recipe, count: int) -> Recipe:
    """`recipe` with the batches and epochs by which `count` images make its ``least_steps``.

    Batches shrink first, down to ``least_batch``: as many steps on fewer images are less work.
    Where that is not enough, epochs are added (`with_epochs`). What is multiplied by ``batch_size``
    (Muon's weight decay and its rates of vectors and of the head) shrinks with it.

    Args:
        count: of the training images, 1 or more.

    Example:
        >>> from cifarlab.recipes import get_recipe
        >>> made = [with_least_steps(get_recipe("quick"), n) for n in (49_000, 20_000, 1_200, 16)]
        >>> [(recipe.batch_size, recipe.epochs) for recipe in made]
        [(500, 4), (192, 4), (128, 39), (128, 390)]
    """
    batch = recipe.batch_size
    if recipe.least_steps and recipe.least_batch:
        enough = count * recipe.epochs // recipe.least_steps  # images a step, without more epochs
        if enough < batch:
            smaller = enough // BATCH_MULTIPLE * BATCH_MULTIPLE
            batch = min(batch, max(recipe.least_batch, smaller))
    steps = -(-count // batch)
    epochs = max(recipe.epochs, -(-recipe.least_steps // steps))
    if epochs > recipe.epochs:
        recipe = with_epochs(recipe, epochs)
    return replace(recipe, batch_size=batch)


def make_program(recipe: Recipe, model: keras.Model, training: Split, num_classes: int) -> Program:
    """What the engine compiles: `recipe` on the images of `training`."""
    labels = training.labels
    return Program(
        model=model,
        augment=Augment(recipe.augmentation),
        loss=make_loss(recipe),
        images=training.images,
        labels=one_hot(labels, num_classes) if recipe.labels == "one-hot" else labels,
        batch_size=min(recipe.batch_size, len(training)),
        precision=backend.resolve_precision(recipe.precision),
        sizes=recipe.sizes,
        crop=recipe.augmentation.crop,
        hard=recipe.hard,
        memory=Memory(len(training)) if recipe.hard else None,
    )


def describe_work(recipe: Recipe, data: Dataset, program: Program) -> str:
    """In words: what is trained on how many images, whether in smaller batches than `recipe`'s, and
    whether easy ones are left out at times, so that their training figures are no surprise."""
    images = f"{len(program.images):,} images"
    if program.batch_size < recipe.batch_size:
        smaller = f"{program.batch_size} rather than {recipe.batch_size}"
        images += f" in batches of {smaller}, since they are few"
    if min(program.hard, default=1.0) < 1.0:
        images += " (the hard ones more often: loss and accuracy are of those visited)"
    return f"{recipe.name} on {data.name}, {images}"


def require_effect(data: Dataset, fraction: float | None) -> None:
    """Refuse a `fraction` of train for validation, which somebody has set, where none is carved.

    Raises:
        UsageError: `data` has a validation split of its own, which every fraction but 0 gives.
    """
    if fraction and data.validation is not None:
        raise UsageError(
            f"{data.name} has a validation split of its own, {len(data.validation):,} images, so a "
            f"fraction of {fraction} has no effect: leave it out, or set 0 to train without"
        )


def describe_data(data: Dataset, recipe: Recipe) -> dict[str, Any]:
    """What data.json holds: the dataset, its split, what was measured on its training images."""
    training, validation = data.carve(recipe.validation, SPLIT_SEED)
    if len(training) == 0:
        raise DataError(f"{data.name}: no training image is left beside validation")
    _require_image_size(data, recipe.image_size, "the recipe")
    mean: tuple[float, ...] = (0.0,) * 3
    std: tuple[float, ...] = (255.0,) * 3
    if recipe.pixels == "standard":
        mean, std = channel_statistics(training.images)
        std = tuple(deviation or 1.0 for deviation in std)  # a constant channel has none
    return {
        "name": data.name,
        "source": data.source,
        "fingerprint": data.fingerprint,
        "class_names": list(data.class_names),
        "image_size": data.image_size,
        "fit": data.fit,
        "validation_fraction": recipe.validation,
        "split_seed": SPLIT_SEED,
        "counts": {
            "train": len(training),
            "validation": len(validation),
            "test": data.test_size,
        },
        "preprocessing": {"pixels": recipe.pixels, "mean": mean, "std": std},
    }


def _require_image_size(data: Dataset, size: int, wanted_by: object) -> None:
    if data.image_size != size:
        raise DataError(
            f"{data.name} was loaded at {data.image_size} pixels and {wanted_by} wants {size}: "
            f"load_dataset(…, image_size={size})"
        )


def describe_model(recipe: Recipe, data: Dataset, preprocessing: dict[str, Any]) -> dict[str, Any]:
    """The arguments with which `create_model` builds a recipe's model."""
    return {
        "name": recipe.model,
        "num_classes": data.num_classes,
        "image_size": recipe.image_size,
        "mean": tuple(preprocessing["mean"]),
        "std": tuple(preprocessing["std"]),
        **recipe.model_options,
    }


def make_model(
    recipe: Recipe,
    description: dict[str, Any],
    images: np.ndarray | None = None,
    precision: str = "float32",
) -> keras.Model:
    """The model that a recipe trains, from `describe_model`'s words.

    Args:
        images: uint8 (N, S, S, 3), of which layers with fixed weights compute those.
        precision: of its matrix products in training.

    Raises:
        UsageError: it cannot be built, or not for several sizes of images where the recipe asks
            for those, or the smallest of these leaves nothing for its later layers.
    """
    if recipe.sizes:
        description = {**description, "image_size": None}
    with layers_compute_in(precision):
        model = create_model(**description)
    if recipe.sizes:
        _require_fit(model, min(*recipe.sizes, recipe.image_size))
    if images is not None:
        adapt(model, images)
    return model


def _require_fit(model: keras.Model, size: int) -> None:
    """Refuse images that a model for any size, which is built without one, cannot take."""
    try:
        model.compute_output_shape((1, size, size, 3))
    except ValueError as error:
        raise UsageError(
            f"the model {model.name} cannot take {size}-pixel images, the smallest of sizes and "
            f"image_size: {telling_line(str(error))}"
        ) from error


def load_again(run: Run, source: str | Path | None = None, *, download: bool = True) -> Dataset:
    """What is at `source`, or where the run's own data was, in the shape of the run's images."""
    known = run.data
    place = known["source"] if source is None else source
    size, fit = known["image_size"], known["fit"]
    return load_dataset(place, image_size=size, fit=fit, download=download)


def find_data(
    run: Run, data: Dataset | str | Path | None = None, *, download: bool = True
) -> Dataset:
    """The dataset to measure a run on: its own, or another with the same classes.

    Args:
        data: a dataset or where one is; None for the one that the run was trained on.
        download: whether it may be fetched where it is not on this machine.

    Raises:
        RunError: the run's own data is no longer what it was.
        DataError: other classes, or a dataset with images of another size.
    """
    known = run.data
    dataset = data if isinstance(data, Dataset) else load_again(run, data, download=download)
    if data is None and dataset.fingerprint != known["fingerprint"]:
        raise RunError(
            f"the data at {known['source']} is not what {run.path} was trained on "
            f"({dataset.fingerprint[:19]}… against {known['fingerprint'][:19]}…); "
            "name the right one with --data"
        )
    if list(dataset.class_names) != known["class_names"]:
        raise DataError(
            f"{dataset.name} has the classes {', '.join(dataset.class_names)}; "
            f"{run.path} knows {', '.join(known['class_names'])}"
        )
    _require_image_size(dataset, known["image_size"], run.path)
    return dataset
