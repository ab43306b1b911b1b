"""Predictions: any picture in, the probability of each class out.

A `Predictor` prepares a picture exactly as training prepared its images: decoded and made square
by `cifarlab.data.decode`, in the size and fit that the run recorded; the model itself normalises.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any, overload

import numpy as np

from cifarlab import backend
from cifarlab.data.decode import (
    EXTENSIONS,
    ImageSource,
    Pixels,
    decode_image,
    fit_image,
    image_name,
)
from cifarlab.errors import ImageError, RunError
from cifarlab.metrics import softmax
from cifarlab.run import Run

BATCH_SIZE = 64


@dataclass(frozen=True)
class Prediction:
    """What a model says of one picture.

    Attributes:
        file: its path; None for a picture that came as bytes, as pixels or as a nameless object.
        label: the most probable class.
        probability: of that class, in [0, 1].
        probabilities: class name to probability, in the order of the classes; they sum to 1.
        known: False when the picture is probably none of the classes: the highest probability is
            below the threshold that the run chose on its validation images.
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
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Predictor:
    """Any picture in, probabilities out; made by `load_predictor`.

    Attributes:
        class_names: (C,) in the order of the logits.
        image_size: side S of the square that the model takes, in pixels.
        fit: how a picture is made square: "crop", "stretch" or "pad".
        known_threshold: a highest probability below it means "none of the classes".
        logits: uint8 (N, S, S, 3) -> float (N, C), the one thing that differs between runtimes.
        temperature: divides the logits, so that probabilities can be taken at their word.
        network: the Keras model behind `logits`, for explanations; None in other runtimes.

    Example:
        >>> brightness = lambda images: images.mean(axis=(1, 2))[:, :2] * [-1, 1] + [128, -128]
        >>> predictor = Predictor(("dark", "light"), 32, "crop", 0.5, brightness)
        >>> predictor(np.full((48, 64, 3), 250, np.uint8)).label
        'light'
    """

    class_names: tuple[str, ...]
    image_size: int
    fit: str
    known_threshold: float
    logits: Callable[[Pixels], Pixels]
    temperature: float = 1.0
    network: Any = None

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
        view = self.model_view(images)
        return self._predictions([image_name(images)], [view])[0]

    def stream(self, images: Iterable[ImageSource]) -> Iterator[Prediction]:
        """Predictions in the order of `images`, of which a batch at a time is held in memory."""
        sources = enumerate(images, start=1)
        while batch := list(islice(sources, BATCH_SIZE)):
            names = [image_name(source) for _, source in batch]
            views: list[Pixels | str] = []
            for number, source in batch:
                name = image_name(source) or f"image {number}"
                try:
                    views.append(self.model_view(source, name=name))
                except ImageError as error:
                    views.append(str(error))
            yield from self._predictions(names, views)

    def predict_files(self, paths: Iterable[str | os.PathLike[str]]) -> Iterator[Prediction]:
        """Predictions for files, folders and patterns, as `find_images` lists them.

        Raises:
            ImageError: a folder holds no image, or no file matches a pattern; nothing is predicted.
        """
        return self.stream(find_images(paths))

    def model_view(self, image: ImageSource, *, name: str | None = None) -> Pixels:
        """The picture as the model sees it: uint8 (S, S, 3).

        Raises:
            ImageError: it cannot be read.
        """
        return fit_image(decode_image(image, name=name), self.image_size, self.fit)

    def model_views(self, image: ImageSource, *, name: str | None = None) -> Pixels:
        """All that the model sees of a picture: uint8 (V, S, S, 3)."""
        return self.model_view(image, name=name)[None]

    def prediction(self, file: str | None, logits: Pixels) -> Prediction:
        """What the `logits` (V, C) of a picture's views say of it."""
        return self._prediction(file, softmax(logits / self.temperature).mean(axis=0))

    def _predictions(
        self, files: Sequence[str | None], views: Sequence[Pixels | str]
    ) -> list[Prediction]:
        """One prediction a view (uint8 (S, S, 3)), or its error where a view is a message."""
        readable = [view for view in views if not isinstance(view, str)]
        rows = iter(self._probabilities(np.stack(readable)) if readable else ())
        return [
            Prediction(file, error=view)
            if isinstance(view, str)
            else self._prediction(file, next(rows))
            for file, view in zip(files, views, strict=True)
        ]

    def _probabilities(self, views: Pixels) -> Pixels:
        """(N, S, S, 3) -> (N, C), by a power of two at a time: each new N may be compiled anew."""
        count = len(views)
        room = 1 << (count - 1).bit_length()
        filled = np.concatenate([views, np.repeat(views[-1:], room - count, axis=0)])
        return softmax(self.calibrated(filled))[:count]

    def calibrated(self, images: Pixels) -> Pixels:
        """Logits (N, C) of uint8 `images` (N, S, S, 3), divided by the temperature."""
        return self.logits(images) / self.temperature

    def _prediction(self, file: str | None, probabilities: Pixels) -> Prediction:
        best = int(probabilities.argmax())
        named = dict(zip(self.class_names, probabilities.tolist(), strict=True))
        highest = float(probabilities[best])
        known = highest >= self.known_threshold
        return Prediction(file, self.class_names[best], highest, named, known)


def load_predictor(model: str | os.PathLike[str] | Run) -> Predictor:
    """The predictor of a trained run; this is where Keras is imported.

    A run whose training held nothing out has no `known_threshold`; it calls every picture known.

    Args:
        model: a run, or the path of its folder.

    Raises:
        RunError: the folder is not a trained run, or is damaged.

    Example:
        >>> from cifarlab import train
        >>> predictor = load_predictor(train("digits", "debug", epochs=1, out=tmp_path / "run"))
        >>> len(predictor(np.zeros((480, 640, 3), np.uint8)).probabilities)
        10
    """
    run = model if isinstance(model, Run) else Run(model)
    backend.load()
    from cifarlab.engine import forward  # loads Keras

    try:
        data = run.data
        class_names, size, fit = tuple(data["class_names"]), int(data["image_size"]), data["fit"]
        threshold = float(run.result.get("known_threshold") or 0)
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
    return Predictor(class_names, size, fit, threshold, call, temperature, network)


def newest_run(folder: str | os.PathLike[str] = "runs") -> Path:
    """The completed run under `folder` whose result is the newest.

    Raises:
        RunError: there is none.
    """
    results = sorted(Path(folder).glob("*/result.json"), key=lambda path: -path.stat().st_mtime)
    for path in results:
        try:
            if Run(path.parent).result.get("completed"):
                return path.parent
        except RunError:
            continue  # a damaged run is not what somebody who named none wants
    raise RunError(
        f"there is no completed run in {folder}; name one with --model, or train one with: "
        "cifarlab train"
    )


def find_images(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """The image files that `paths` stand for.

    A file stands for itself, whatever its name. A folder stands for all files under it that have
    an image's extension, sorted, without hidden ones. A pattern (`*`, `?`, `[`) stands for what it
    matches, sorted; `**` is any depth. A path where there is nothing is left in the list, for the
    prediction to say so.

    Raises:
        ImageError: there is no image in a folder, or nothing matches a pattern.
    """
    found: list[Path] = []
    for path in (os.fspath(path) for path in paths):
        is_pattern = glob.has_magic(path) and not os.path.lexists(path)
        matches = sorted(glob.glob(path, recursive=True)) if is_pattern else [path]
        if not matches:
            raise ImageError(f"no file matches {path}; check the pattern")
        for match in map(Path, matches):
            found += _images_under(match) if match.is_dir() else [match]
    return found


def _images_under(folder: Path) -> list[Path]:
    """Visible files with an image's extension at any depth, sorted; links to folders are left."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (name for name in files if not name.startswith("."))
        found += [Path(parent, n) for n in visible if Path(n).suffix.lower() in EXTENSIONS]
    if not found:
        raise ImageError(
            f"there is no image in {folder}; looked for {', '.join(sorted(EXTENSIONS))}"
        )
    return sorted(found)
