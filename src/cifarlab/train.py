"""Training: a dataset and a recipe in, a run folder out."""

from __future__ import annotations

import importlib.util
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

from cifarlab import backend
from cifarlab.augment import resize
from cifarlab.data import Dataset, Split, load_dataset
from cifarlab.engine import Display, Loop, forward, in_layers, predict_logits
from cifarlab.errors import Interrupted, MissingExtraError, RunError, UsageError
from cifarlab.evaluate import predict_views
from cifarlab.files import claimed
from cifarlab.metrics import accuracy, calibrate, log_loss
from cifarlab.models import create_model
from cifarlab.models.describe import summary_text
from cifarlab.optim import make_callbacks, make_optimizer
from cifarlab.prepare import (
    describe_data,
    describe_model,
    describe_work,
    load_again,
    make_model,
    make_program,
    require_effect,
    with_least_steps,
)
from cifarlab.recipes import Recipe, get_recipe, with_epochs
from cifarlab.run import Run
from cifarlab.unknowns import energy, threshold

# `predict` takes an image for one of the classes where this score reaches the threshold, which this
# share of validation images does; docs/unknowns.md says why this one.
KNOWN_SCORE = "energy"
KNOWN_SHARE = 0.95

# What of an environment, beside the versions of its packages, decides the bits of a training.
DECIDING = ("backend", "device", "precision", "cpu", "threads")


def train(
    data: Dataset | str | Path = "cifar10",
    recipe: Recipe | str | Path = "quick",
    *,
    seed: int = 0,
    epochs: int | None = None,
    validation: float | None = None,
    out: str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    display: Display | None = None,
    tensorboard: bool = False,
) -> Run:
    """Train a classifier.

    Args:
        data: a `Dataset` or what `load_dataset` takes.
        recipe: a `Recipe`, its name, or a recipe.json.
        seed: of everything random; 0 or more.
        epochs, validation: in place of the recipe's own (and of its ``least_steps``).
        out: the run folder to make; ``runs/<recipe>-<number>`` by default.
        callbacks: further Keras callbacks.
        display: is told how it goes.
        tensorboard: write logs for TensorBoard into the run's folder ``tensorboard``.

    Returns:
        the run; its test split is untouched until `evaluate`.

    Raises:
        DataError, UsageError: the data cannot be read, or the recipe does not exist or fit, or
            `validation` is set for data with a validation split of its own.
        RunError: `out` exists.
        TrainingError: the loss was not finite.
        Interrupted: by SIGINT or SIGTERM; `resume` goes on.

    Example:
        >>> run = train("digits", "debug", epochs=1, out=tmp_path / "run")
        >>> len(run.history)
        1
    """
    if not 0 <= seed < 2**32:
        raise UsageError(f"seed must be in [0, 2**32). Received: {seed}")
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError("TensorBoard", "track")
    recipe = _changed(get_recipe(recipe), epochs, validation)
    if not isinstance(data, Dataset):
        data = load_dataset(data, image_size=recipe.image_size)
    require_effect(data, validation)
    described = describe_data(data, recipe)
    start = _make(recipe, data, described, seed)  # what cannot be made leaves no folder
    run = Run.create(
        out,
        recipe=recipe.to_json(),
        data=described,
        environment=backend.environment(recipe.precision),
        seed=seed,
        tensorboard=tensorboard,
    )
    with claimed(run.path):
        return _fit(run, data, start, callbacks, display)


def _changed(recipe: Recipe, epochs: int | None, validation: float | None) -> Recipe:
    """`recipe` with what is not None in place of its own."""
    if epochs is not None:
        recipe = with_epochs(recipe, epochs)
    return recipe if validation is None else replace(recipe, validation=validation)


def resume(
    run: Run | str | Path,
    *,
    data: Dataset | str | Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    display: Display | None = None,
) -> Run:
    """Go on with a training that was interrupted, to the same bits as if it had not been.

    Args:
        run: its folder.
        data: where its dataset is now, if it moved.
        callbacks: the same further callbacks that `train` was given.
        display: is told how it goes.

    Raises:
        RunError: data, software or hardware differ from the run's in a way that changes its bits,
            and names it; or another process is training it.
    """
    run = run if isinstance(run, Run) else Run(run)
    recipe = own_recipe(run)
    if not isinstance(data, Dataset):
        data = load_again(run, data)
    then, now = run.environment, backend.environment(recipe.precision)
    _require_same(run, "fingerprint", run.data["fingerprint"], data.fingerprint)
    for key in DECIDING:
        _require_same(run, key, then[key], now[key])
    for package in sorted({*then["versions"], *now["versions"]}):
        versions = [side["versions"].get(package, "none") for side in (then, now)]
        _require_same(run, f"version of {package}", *versions)
    with claimed(run.path):
        if run.result["completed"]:
            return run
        start = _make(recipe, data, run.data, run.result["seed"])
        return _fit(run, data, start, callbacks, display)


@dataclass(frozen=True, eq=False)
class _Start:
    """The images and the untrained model that a training starts from, and the seconds it took."""

    training: Split
    validation: Split
    model: keras.Model
    description: dict[str, Any]
    seconds: float


def _make(recipe: Recipe, data: Dataset, described: dict[str, Any], seed: int) -> _Start:
    """Split `data` and build the model, as data.json says (`described`)."""
    began = time.perf_counter()
    training, validation = data.carve(recipe.validation, described["split_seed"])
    # Keras draws its initializers' seeds from here. `keras.utils.set_random_seed` would also load
    # TensorFlow, which a training on JAX does not need.
    random.seed(seed)
    description = describe_model(recipe, data, described["preprocessing"])
    precision = backend.resolve_precision(recipe.precision)
    model = make_model(recipe, description, training.images, precision)
    return _Start(training, validation, model, description, time.perf_counter() - began)


def _fit(
    run: Run,
    data: Dataset,
    start: _Start,
    callbacks: Sequence[keras.callbacks.Callback],
    display: Display | None,
) -> Run:
    """Data and model, optimizer, compile, fit, save."""
    began = time.perf_counter()
    asked, seed = own_recipe(run), run.result["seed"]
    training, validation, model = start.training, start.validation, start.model
    recipe = with_least_steps(asked, len(training))
    program = make_program(recipe, model, training, data.num_classes)
    optimizer = make_optimizer(recipe, program.steps * recipe.epochs)
    # XLA makes TensorFlow slower on a CPU; this is for those who call `fit` on the model.
    model.compile(optimizer, program.loss, metrics=["accuracy"], jit_compile=False)

    twin = in_layers(program.precision)
    call = forward(model, make_model(recipe, start.description) if twin else model)
    loop = Loop(
        program=program,
        seed=seed,
        epochs=recipe.epochs,
        validate=_validator(call, validation) if len(validation) else None,
        callbacks=[*make_callbacks(recipe), *_tensorboard(run), *callbacks],
        checkpoint=run.path / "checkpoint.safetensors",
        on_epoch=run.write_history,
        display=display,
    )
    if display:
        what = f"{describe_work(asked, data, program)}, seed {seed}: {run.path}"
        display.begin(what, recipe.epochs, program.steps)
    setup = start.seconds + time.perf_counter() - began
    try:
        progress = loop.run()
    except Interrupted as error:
        how = f"{error}; go on with: cifarlab train --resume {run.path}"
        raise Interrupted(how, error.signum) from None

    run.save_model(model, start.description)
    run.update_result(
        **summarize(progress.history, recipe.epochs, loop.callbacks),
        **_calibration(call, validation, recipe.tta),
        batch_size=program.batch_size,
        hard=program.hard,
        parameters=model.count_params(),
        model_summary=summary_text(create_model(**start.description) if recipe.sizes else model),
        backend=run.environment["backend"],
        precision=program.precision,
        seconds={"setup": setup, **loop.seconds},
        completed=True,
    )
    return run


def own_recipe(run: Run) -> Recipe:
    """The recipe that `run` was made with; `RunError` where its file is damaged."""
    try:
        return Recipe.from_json(run.recipe)
    except UsageError as error:
        raise RunError(f"{run.path / 'recipe.json'} is damaged: {error}") from error


def _tensorboard(run: Run) -> list[keras.callbacks.Callback]:
    if not run.result["tensorboard"]:
        return []
    return [keras.callbacks.TensorBoard(run.path / "tensorboard", write_graph=False)]


def summarize(
    history: list[dict[str, Any]], epochs: int, callbacks: list[keras.callbacks.Callback]
) -> dict[str, Any]:
    """How long it went and which epoch's weights were kept, counted from 1."""
    stopping = [c for c in callbacks if isinstance(c, keras.callbacks.EarlyStopping)]
    # Each puts its best weights back in its turn, if it has seen any.
    kept = [c.best_epoch + 1 for c in stopping if c.restore_best_weights and c.best_weights]
    return {
        "epochs_run": len(history),
        "best_epoch": kept[-1] if kept else len(history),
        "stopped_early": len(history) < epochs,
    }


def _validator(call: Callable, validation: Split) -> Callable[[int], tuple[float, float]]:
    def validate(size: int) -> tuple[float, float]:
        images = keras.ops.convert_to_numpy(resize(validation.images, size))
        logits = predict_logits(call, images)
        return log_loss(logits, validation.labels), accuracy(logits, validation.labels)

    return validate


def _calibration(call: Callable, validation: Split, tta: str) -> dict[str, Any]:
    """What `Run.calibration` and `predict` need, fitted on validation alone.

    ``calibration`` holds what `calibrate` says of logits of the images as they are, by which
    `predict` answers, and of those averaged over the recipe's views, by which it is evaluated.
    ``known_threshold`` is the energy of the raw logits of an image as it is that `KNOWN_SHARE` of
    the images reach. Without validation both are None: nothing says what is unknown.
    """
    if not len(validation):
        return {"calibration": None, "known_score": KNOWN_SCORE, "known_threshold": None}
    images, labels = validation.images, validation.labels
    logits = predict_logits(call, images)
    by_tta = {"none": calibrate(logits, labels)}
    if tta != "none":
        by_tta[tta] = calibrate(predict_views(call, images, tta, plain=logits), labels)
    return {
        "calibration": {"split": "val", "n": len(labels), "tta": tta, "by_tta": by_tta},
        "known_score": KNOWN_SCORE,
        "known_threshold": threshold(energy(logits), KNOWN_SHARE),
    }


def _require_same(run: Run, what: str, then: object, now: object) -> None:
    if then != now:
        raise RunError(
            f"{run.path} cannot go on to the same bits: its {what} is {then}, here it is {now}; "
            "resume where they agree, or train anew"
        )
