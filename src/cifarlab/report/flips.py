"""The images that flipped between two runs, as far as the runs kept them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifarlab.compare import Contestant, Pair
from cifarlab.compare.flips import first_known, kept_images
from cifarlab.report.embed import image_uri
from cifarlab.report.facts import Facts
from cifarlab.report.numbers import count

ROOM = 2_500_000  # bytes of the page for all these images


def flipped(pairs: Sequence[Pair], every: Mapping[str, Facts]) -> list[dict[str, Any]]:
    """Of each pair that has such images: both directions, as ``comparison.html`` shows them.

    Args:
        pairs: of `report.pairs.paired`.
        every: the runs by the names that they have there.
    """
    if not pairs:
        return []
    runs = [every[name] for name in (pairs[0].a.name, *(pair.b.name for pair in pairs))]
    images = kept_images(facts.predictions or {} for facts in runs)
    left, shown = ROOM, []
    for pair in pairs:
        sides = [
            _side(pair.a, pair.b, pair.only_a, pair.labels, images),
            _side(pair.b, pair.a, pair.only_b, pair.labels, images),
        ]
        left -= sum(len(image["uri"]) for side in sides for image in side["images"])
        if left < 0:
            break
        if any(side["images"] for side in sides):
            shown.append({"name": pair.b.name, "sides": [s for s in sides if s["images"]]})
    return shown


def _side(
    right: Contestant,
    wrong: Contestant,
    only: NDArray[np.int64],
    labels: NDArray[np.int64],
    images: Mapping[int, NDArray[np.uint8]],
) -> dict[str, Any]:
    """The images `only` that `right` alone has right, and what `wrong` took them for."""
    names, some = right.class_names, first_known(only, images)
    entries = []
    for index in some:
        true, taken = names[labels[index]], names[wrong.predictions[0, index]]
        alt = f"image {index}: {true}, which {wrong.name} took for {taken}"
        uri = image_uri(images[index])
        entries.append({"uri": uri, "index": index, "true": true, "taken": taken, "alt": alt})
    what = "all" if len(some) == len(only) else f"{len(some)} of them"
    words = f"Only {right.name} is right: {count(len(only), 'image')}, {what} here"
    return {"words": words, "wrong": wrong.name, "images": entries}
