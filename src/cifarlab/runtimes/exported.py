"""An exported model, open: one signature over every runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifarlab.data.decode import Pixels
from cifarlab.errors import ModelFileError
from cifarlab.runtimes.info import KEY, LOGITS, PROBABILITIES, ModelInfo

Outputs = Mapping[str, np.ndarray]  # by name: `LOGITS` and `PROBABILITIES`, each float32 (N, C)
Call = Callable[[Pixels], Outputs]  # of uint8 (N, S, S, 3)


@dataclass(frozen=True, eq=False)
class Exported:
    """A model file, open in its runtime; called, it gives logits. Made by `open_model`.

    Attributes:
        path: the file.
        info: what it says of itself.
        outputs: uint8 (N, S, S, 3) -> both outputs by name. N >= 1.

    Example:
        >>> made = {"logits": np.zeros((1, 2)), "probabilities": np.full((1, 2), 0.5)}
        >>> info = ModelInfo(("cat", "dog"), 32, "crop")
        >>> model = Exported(Path("pets.onnx"), info, lambda images: made)
        >>> model.probabilities(np.zeros((1, 32, 32, 3), np.uint8)).tolist()
        [[0.5, 0.5]]
    """

    path: Path
    info: ModelInfo
    outputs: Call

    def __call__(self, images: Pixels) -> np.ndarray:
        """Logits float32 (N, C) of uint8 `images` (N, S, S, 3), before the temperature."""
        return self.outputs(images)[LOGITS]

    def probabilities(self, images: Pixels) -> np.ndarray:
        """Calibrated, float32 (N, C), as the file gives them."""
        return self.outputs(images)[PROBABILITIES]


def filled_to_power_of_two(images: Pixels) -> Pixels:
    """`images` with the last one repeated until N is a power of two.

    For runtimes that compile a program anew for each N that they meet.

    Example:
        >>> filled_to_power_of_two(np.zeros((5, 8, 8, 3), np.uint8)).shape
        (8, 8, 8, 3)
    """
    room = 1 << (len(images) - 1).bit_length()
    return np.concatenate([images, np.repeat(images[-1:], room - len(images), axis=0)])


def foreign(path: Path) -> ModelFileError:
    """The error for a model that does not say what a predictor must know."""
    return ModelFileError(
        f"{path} has no {KEY} metadata, so its classes and scaling are not known; "
        "export a run with: cifarlab export RUN"
    )
