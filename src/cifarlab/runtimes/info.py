"""What an exported model's file says of itself: all that a predictor needs beside the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cifarlab.data.views import RULES
from cifarlab.errors import ModelFileError

KEY = "cifarlab"  # the name of the entry in a file's own metadata
METADATA_FILE = "cifarlab.json"  # the same in formats that are folders or archives of files
METADATA_LIMIT = 2**20  # bytes of it that are read
VERSION = 1

# Every exported file has one input and two outputs of these names, whatever its format.
INPUT = "images"  # uint8 (N, S, S, 3), pixels from 0 to 255
PROBABILITIES = "probabilities"  # float32 (N, C), calibrated; each row sums to 1
LOGITS = "logits"  # float32 (N, C), as the network gives them, before the temperature


@dataclass(frozen=True)
class ModelInfo:
    """All that a consumer of an exported model needs to know, kept in the file's own metadata.

    Attributes:
        class_names: (C,) in the order of the outputs.
        image_size: side S of the square that the model takes, in pixels.
        fit: how a picture is made square, one of `cifarlab.data.views.RULES`.
        temperature: by which the logits are divided inside the file, before the softmax.
        known_score: what `known` is decided by: "energy" or "max_softmax".
        known_threshold: a score below it means "probably none of the classes"; None: all are known.
        source: where the model is from: recipe, dataset, seed, split sizes, figures; for people.

    Example:
        >>> info = ModelInfo(("cat", "dog"), 32, "crop", 1.5)
        >>> ModelInfo.from_json(info.to_json()) == info
        True
    """

    class_names: tuple[str, ...]
    image_size: int
    fit: str
    temperature: float = 1.0
    known_score: str = "max_softmax"
    known_threshold: float | None = None
    source: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line of JSON, the value of the metadata's entry `KEY`."""
        return json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, *, file: str = "the model") -> ModelInfo:
        """The inverse of `to_json`; `file` names the model in errors.

        Raises:
            ModelFileError: it is no JSON, of another version, or a field is missing or wrong.
        """
        try:
            values = json.loads(text)
            if values.pop("version") != VERSION:
                raise ValueError("it was written by another version of cifarlab; export it again")
            info = cls(**{**values, "class_names": tuple(values["class_names"])})
            info.check()
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelFileError(f"{file}: its {KEY} metadata are not usable: {error}") from error
        return info

    def check(self) -> None:
        """Raise ValueError where a field cannot be; files come from anywhere."""
        if not self.class_names or not all(isinstance(name, str) for name in self.class_names):
            raise ValueError("class_names must be strings")
        if not isinstance(self.image_size, int) or not 1 <= self.image_size <= 1024:
            raise ValueError(f"image_size {self.image_size!r} is not from 1 to 1024")
        if self.fit not in RULES:
            raise ValueError(f"fit {self.fit!r} is none of {', '.join(RULES)}")
        if not float(self.temperature) > 0:
            raise ValueError(f"temperature {self.temperature!r} is not positive")
        if self.known_score not in ("energy", "max_softmax"):
            raise ValueError(f"known_score {self.known_score!r} is not energy or max_softmax")
        if not isinstance(self.known_threshold, float | int | None):
            raise ValueError(f"known_threshold {self.known_threshold!r} is no number")
        if not isinstance(self.source, Mapping):
            raise ValueError(f"source {self.source!r} is no object")
