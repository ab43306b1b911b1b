"""The images that the report shows: some at random, and the worst mistakes."""

from __future__ import annotations

from typing import Any

import numpy as np

from cifarlab import plots
from cifarlab.metrics import softmax
from cifarlab.report.embed import image_uri
from cifarlab.report.facts import Facts
from cifarlab.report.numbers import probability

CELL_IMAGES_BYTES = 2_500_000  # of the page, for the images behind the confusion matrix
MOST = 40  # images of a kind, which keeps the page small
KINDS = {"random": "drawn at random", "worst": "wrong with the highest probability"}


def galleries(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """Kind to its images, each with true and predicted class and both probabilities."""
    if facts.predictions is None or "shown_index" not in facts.predictions:
        return {}
    kinds = facts.predictions["shown_kind"].astype(str)
    found = {kind: np.flatnonzero(kinds == kind)[:MOST] for kind in KINDS}
    return {
        kind: [entry(facts, int(k)) for k in places]
        for kind, places in found.items()
        if len(places)
    }


def cell_images(facts: Facts) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """True and predicted class, by number, to images so mistaken, the surest first.

    As many as the page has room for, and of every kind of mistake as many as of the others. A run
    that kept none for this purpose has them of its worst mistakes and random images.
    """
    if facts.predictions is None or "shown_index" not in facts.predictions:
        return {}
    kinds = facts.predictions["shown_kind"].astype(str)
    wanted = ["cell"] if "cell" in kinds else ["worst", "random"]
    places = np.concatenate([np.flatnonzero(kinds == kind) for kind in wanted])
    cells: dict[tuple[int, int], list[dict[str, Any]]] = {}
    seen: set[int] = set()
    room = CELL_IMAGES_BYTES
    for k in places.tolist():
        row = int(facts.predictions["shown_index"][k])
        cell = int(facts.predictions["labels"][row]), int(facts.predictions["logits"][row].argmax())
        if cell[0] == cell[1] or row in seen:
            continue
        one = entry(facts, k)
        room -= len(one["uri"])
        if room < 0:
            break
        seen.add(row)
        cells.setdefault(cell, []).append(one)
    return cells


def entry(facts: Facts, k: int) -> dict[str, Any]:
    """What is said of the `k`-th image that was kept."""
    predictions, names = facts.predictions, facts.class_names
    if predictions is None:
        return {}
    row = int(predictions["shown_index"][k])
    probabilities = softmax(facts.logits[row : row + 1])[0]
    true, predicted = int(predictions["labels"][row]), int(predictions["logits"][row].argmax())
    image = predictions["shown_images"][k]
    certainty = probability(float(probabilities[predicted]))
    outcome = "rightly" if true == predicted else "wrongly"
    return {
        "uri": image_uri(image),
        "pixels": image,
        "index": row,
        "true": names[true],
        "predicted": names[predicted],
        "right": true == predicted,
        "certainty": certainty,
        "share": 100 * float(probabilities[predicted]),
        "true_certainty": probability(float(probabilities[true])),
        "alt": f"{facts.split} image {row}: {names[true]}, {outcome} called {names[predicted]}",
    }


def save_plots(facts: Facts) -> None:
    """The report's figures as PNG files in the run's ``plots`` folder, for slides and papers."""
    folder = facts.path / "plots"
    if facts.history:
        figure = plots.learning_curves(facts.history, facts.result.get("best_epoch"))
        plots.save_png(figure, folder / "learning-curves.png")
    if facts.figures:
        plots.save_png(plots.confusion(facts.matrix, facts.class_names), folder / "confusion.png")
    for kind, entries in galleries(facts).items():
        titles = [f"{e['predicted']} {e['certainty']}\n(is {e['true']})" for e in entries]
        images, right = [e["pixels"] for e in entries], [e["right"] for e in entries]
        figure = plots.image_grid(np.stack(images), titles, columns=8, correct=right)
        plots.save_png(figure, folder / f"{kind}-images.png", dpi=110)
