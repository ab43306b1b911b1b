"""Predictions: any picture in, the probability of each class out.

A `Predictor` prepares a picture with the very functions that prepare training images: decoded by
`cifarlab.data.decode`, made square by `cifarlab.data.views` in the size and by the rule that the
model records. The model itself normalises. It may be a run, whose network Keras computes, or an
exported file in a runtime of its own; the rest does not know which.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from cifarlab.bundled import bundled_names
from cifarlab.data.decode import ImageSource, Pixels, decode_image, image_name
from cifarlab.data.find import find_images
from cifarlab.data.views import fit_views, photograph_rule
from cifarlab.errors import ImageError, RunError, UnknownNameError
from cifarlab.metrics import softmax
from cifarlab.runtimes import exported_file, filled_to_power_of_two, open_model
from cifarlab.unknowns.separation import known_scores

if TYPE_CHECKING:
    from cifarlab.run import Run

BATCH_SIZE = 64
DEFAULT_MODEL = "cifar10"


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        file: its path; None for a picture that came as bytes, as pixels or as a nameless object.
        label: the most probable class.
        probability: of that class, in [0, 1].
        probabilities: class name to probability, in the order of the classes; they sum to 1.
        known: False when the picture is probably none of the classes: its score is below the
            threshold that was chosen on validation images.
        error: None, or why it could not be read; then every other field but `file` is None.
    """

    file: str | None
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] | None = None
    known: bool | None = None
    error: str | None = None

    def top(self, count: int) -> list[tuple[str, float]]:
        """The `count` most probable classes with their probabilities, the highest first."""
        ranked = sorted((self.probabilities or {}).items(), key=lambda item: -item[1])
        return ranked[:count]

    def to_json(self) -> dict[str, Any]:
        """The fields as plain values for JSON.

        Example:
            >>> Prediction("a.jpg", error="cannot read a.jpg").to_json()["label"] is None
            True
        """
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class Predictor:
    """Any picture in, probabilities out; made by `load_predictor`.

    Attributes:
        class_names: (C,) in the order of the logits.
        image_size: side S of the square that the model takes, in pixels.
        fit: how a picture is made square, one of `cifarlab.data.views.RULES`.
        known_threshold: a score below it means "none of the classes"; None: every picture is known.
        logits: uint8 (N, S, S, 3) -> float (N, C), the one thing that differs between runtimes.
        temperature: divides the logits, so that probabilities can be taken at their word.
        network: the Keras model behind `logits`, for explanations; None in other runtimes.
        known_score: "max_softmax", the highest probability, or "energy", the logarithm of the sum
            of the exponentials of the raw logits (Liu and others 2020, arXiv:2010.03759).

    Example:
        >>> brightness = lambda images: images.mean(axis=(1, 2))[:, :2] * [-1, 1] + [128, -128]
        >>> predictor = Predictor(("dark", "light"), 32, "crop", 0.5, brightness)
        >>> predictor(np.full((48, 64, 3), 250, np.uint8)).label
        'light'
    """

    class_names: tuple[str, ...]
    image_size: int
    fit: str
    known_threshold: float | None
    logits: Callable[[Pixels], Pixels]
    temperature: float = 1.0
    network: Any = None
    known_score: str = "max_softmax"

    @overload
    def __call__(self, images: ImageSource) -> Prediction: ...

    @overload
    def __call__(self, images: list[Any] | tuple[Any, ...]) -> list[Prediction]: ...

    def __call__(self, images: Any) -> Prediction | list[Prediction]:
        """Predict one picture, or several.

        Args:
            images: what `decode_image` takes, or a list or tuple of those.

        Returns:
            A `Prediction` for one picture, a list for several; there, a picture that cannot be read
            has its `error` set and the others are predicted all the same.

        Raises:
            ImageError: the one picture that was given cannot be read.
        """
        if isinstance(images, list | tuple):
            return list(self.stream(images))
        return self._predictions([image_name(images)], [self.model_views(images)])[0]

    def stream(self, images: Iterable[ImageSource]) -> Iterator[Prediction]:
        """Predictions in the order of `images`, of which a batch at a time is held in memory."""
        sources = enumerate(images, start=1)
        while batch := list(islice(sources, BATCH_SIZE)):
            names = [image_name(source) for _, source in batch]
            views: list[Pixels | str] = []
            for number, source in batch:
                name = image_name(source) or f"image {number}"
                try:
                    views.append(self.model_views(source, name=name))
                except ImageError as error:
                    views.append(str(error))
            yield from self._predictions(names, views)

    def predict_files(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Prediction]:
        """Predictions for files, folders and patterns, as `find_images` lists them.

        Raises:
            ImageError: a folder holds no image, or no file matches a pattern; nothing is predicted.
        """
        return self.stream(find_images(paths))

    def model_views(self, image: ImageSource, *, name: str | None = None) -> Pixels:
        """The picture as the model sees it, uint8 (V, S, S, 3): the squares that `fit` asks for.

        Raises:
            ImageError: it cannot be read.
        """
        return fit_views(decode_image(image, name=name), self.image_size, self.fit)

    def model_view(self, image: ImageSource, *, name: str | None = None) -> Pixels:
        """The first of `model_views`, uint8 (S, S, 3)."""
        return self.model_views(image, name=name)[0]

    def calibrated(self, images: Pixels) -> Pixels:
        """Logits (N, C) of uint8 `images` (N, S, S, 3), divided by the temperature."""
        return self.logits(images) / self.temperature

    def prediction(self, file: str | None, logits: Pixels) -> Prediction:
        """The answer for one picture: probabilities and score are means over its views.

        Args:
            file: its path, where it has one.
            logits: float (V, C) of its views, or (C,) of its only one.
        """
        logits = np.atleast_2d(logits)
        probabilities = softmax(logits / self.temperature).mean(axis=0)
        best = int(probabilities.argmax())
        highest = float(probabilities[best])
        (score,) = known_scores(logits, [len(logits)], self.known_score, self.temperature)
        known = self.known_threshold is None or bool(score >= self.known_threshold)
        named = dict(zip(self.class_names, probabilities.tolist(), strict=True))
        return Prediction(file, self.class_names[best], highest, named, known)

    def _predictions(
        self, files: Sequence[str | None], views: Sequence[Pixels | str]
    ) -> list[Prediction]:
        """One prediction a picture, or its error where its views are a message."""
        readable = [some for some in views if not isinstance(some, str)]
        ends = np.cumsum([len(some) for some in readable])[:-1]
        rows = iter(np.split(self.logits(np.concatenate(readable)), ends) if readable else ())
        return [
            Prediction(file, error=some)
            if isinstance(some, str)
            else self.prediction(file, next(rows))
            for file, some in zip(files, views, strict=True)
        ]


def load_predictor(model: str | os.PathLike[str] | Run = DEFAULT_MODEL) -> Predictor:
    """The predictor of a trained run, an exported file, or a model that comes with the package.

    Only a run, and the formats of TensorFlow and Keras, load a framework.

    Args:
        model: a run, or the path of its folder; an exported file (`cifarlab.runtimes.open_model`);
            the name of a bundled model. A path where something is goes before a name.

    Raises:
        UnknownNameError: nothing is there, and no bundled model has that name.
        RunError: the folder is not a trained run, or is damaged.
        ModelFileError: the file cannot be opened.

    Example:
        >>> predictor = load_predictor("cifar10")
        >>> len(predictor(np.zeros((480, 640, 3), np.uint8)).probabilities)
        10
    """
    if not isinstance(model, str | os.PathLike):
        return _run_predictor(model)
    file = exported_file(model)
    if file is not None:
        return _file_predictor(file)
    if not Path(model).exists():
        runs = [str(found.parent) for found in Path("runs").glob("*/model.json")]
        raise UnknownNameError("model", str(model), [*bundled_names(), *runs])
    from cifarlab.run import Run

    return _run_predictor(Run(model))


def _file_predictor(path: Path) -> Predictor:
    exported = open_model(path)
    info = exported.info
    return Predictor(
        info.class_names,
        info.image_size,
        info.fit,
        info.known_threshold,
        exported,
        info.temperature,
        known_score=info.known_score,
    )


def _run_predictor(run: Run) -> Predictor:
    """A run's; one whose training held nothing out has no threshold, and knows every picture."""
    from cifarlab import backend

    backend.load()
    from cifarlab.engine import forward  # loads Keras

    try:
        data = run.data
        class_names, size = tuple(data["class_names"]), int(data["image_size"])
        rule, threshold = photograph_rule(data), run.result.get("known_threshold")
        threshold = None if threshold is None else float(threshold)
        score = run.result.get("known_score", "max_softmax")
        temperature = run.calibration("none")["temperature"]
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.path} is damaged: data.json or result.json: {error!r}") from error
    network = run.load_model()
    if network.output_shape[-1] != len(class_names):
        raise RunError(
            f"{run.path}: the model gives {network.output_shape[-1]} logits but data.json names "
            f"{len(class_names)} classes; one of the two files is from another run"
        )
    call = forward(network)

    def logits(images: Pixels) -> Pixels:
        return call(filled_to_power_of_two(images))[: len(images)]

    return Predictor(class_names, size, rule, threshold, logits, temperature, network, score)
