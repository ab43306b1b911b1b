"""The predictor as the server needs it: views, rows of logits and answers are separate steps.

A predictor does them in one go; here views of many requests meet in one batch between the first
step and the last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cifarlab.data.decode import decode_image
from cifarlab.data.views import describe_views
from cifarlab.errors import ImageError
from cifarlab.metrics import softmax
from cifarlab.occlusion import occlusion_map
from cifarlab.predict import Prediction, Predictor
from cifarlab.serve.limits import EXPLANATION_IMAGES

Views = NDArray[np.uint8]
Logits = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Seen:
    """What the model sees of a picture: uint8 (V, S, S, 3), and a line of words for each view."""

    views: Views
    scaling: list[str]


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A predictor under a name, in steps.

    Attributes:
        name: in addresses and answers.
        predictor: whose answers these are.
    """

    name: str
    predictor: Predictor

    def see(self, content: bytes, name: str) -> Seen | str:
        """What the model sees of a file, or in one line why it is no picture."""
        predictor = self.predictor
        try:
            image = decode_image(content, name=name)
        except ImageError as error:
            return str(error)
        scaling = describe_views(image.shape, predictor.image_size, predictor.fit)
        return Seen(predictor.model_views(image), scaling)

    def logits(self, views: Views) -> NDArray[np.float32]:
        """(N, S, S, 3) -> (N, C), uncalibrated."""
        return np.asarray(self.predictor.logits(views), np.float32)

    def probabilities(self, logits: Logits) -> NDArray[np.float32]:
        """Calibrated, (N, C)."""
        return softmax(logits / self.predictor.temperature).astype(np.float32)

    def prediction(self, file: str | None, logits: Logits) -> Prediction:
        """The answer for a picture whose views have `logits`, (V, C)."""
        return self.predictor.prediction(file, logits)

    def heat(
        self, view: Views, label: str, logits: Callable[[Views], Logits]
    ) -> NDArray[np.float32]:
        """What covering each part of a view (S, S, 3) costs a class, float32 (S, S).

        The square moves by half of its side: 82 answers for a view, where `occlusion_map` by
        itself takes 362 for a finer map.
        """

        def calibrated(images: Views) -> Logits:
            chunks = range(0, len(images), EXPLANATION_IMAGES)
            rows = [logits(images[start : start + EXPLANATION_IMAGES]) for start in chunks]
            return np.concatenate(rows) / self.predictor.temperature

        patch = max(view.shape[0] // 4, 1)
        class_index = self.predictor.class_names.index(label)
        return occlusion_map(calibrated, view, class_index, patch, max(patch // 2, 1))

    def warm_up(self, batch_images: int) -> None:
        """Answer once at each size that will be asked for: some runtimes compile at the first."""
        size, side = 1, self.predictor.image_size
        while size < 2 * batch_images:
            self.logits(np.zeros((min(size, batch_images), side, side, 3), np.uint8))
            size *= 2
