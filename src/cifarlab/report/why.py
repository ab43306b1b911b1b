"""Why the worst mistakes were made: where in each image the evidence for either class lies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab.report.embed import image_uri
from cifarlab.report.facts import Facts
from cifarlab.report.gallery import entry

DIMMED = 0.2  # of an image's light is left where nothing speaks for the class
ROWS, COLUMNS = ("upper", "middle", "lower"), ("left", "centre", "right")


def explanations(facts: Facts) -> list[dict[str, Any]]:
    """Mistakes with what speaks for the answer and for the label; none of a run without maps."""
    predictions = facts.predictions
    if predictions is None or "maps" not in predictions:
        return []
    shares = predictions["maps"].astype(np.float32) / 255
    found = []
    for place, (answer, label) in zip(predictions["map_place"].tolist(), shares, strict=True):
        one = entry(facts, place)
        evidence = (
            (answer, one["predicted"], one["certainty"]),
            (label, one["true"], one["true_certainty"]),
        )
        found.append(one | {"evidence": [_evidence(one, *each) for each in evidence]})
    return found


def _evidence(one: dict[str, Any], share: NDArray[np.float32], name: str, sure: str) -> Any:
    return {
        "uri": image_uri(lit(one["pixels"], share)),
        "name": name,
        "certainty": sure,
        "alt": f"What speaks for {name} in image {one['index']}: {brightest(share)}",
    }


def lit(image: NDArray[np.uint8], share: NDArray[np.float32]) -> NDArray[np.uint8]:
    """An image (S, S, 3) that keeps its light where `share` (S, S) in [0, 1] is high.

    Example:
        >>> lit(np.full((1, 2, 3), 100, np.uint8), np.array([[0.0, 1.0]]))[0, :, 0].tolist()
        [20, 100]
    """
    light = DIMMED + (1 - DIMMED) * np.sqrt(share)  # the root: half the evidence is seen as well
    return np.rint(image * light[..., None]).astype(np.uint8)


def brightest(share: NDArray[np.float32]) -> str:
    """Where the highest value of a map (S, S) is, in words.

    Example:
        >>> brightest(np.array([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))
        'most at the upper right'
    """
    if not share.any():
        return "nothing"
    row, column = (
        3 * int(place) // len(share) for place in np.unravel_index(share.argmax(), share.shape)
    )
    return f"most at the {ROWS[row]} {COLUMNS[column]}"
