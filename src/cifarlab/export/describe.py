"""What an exported file says of itself, from the run that it is of."""

from __future__ import annotations

import hashlib
from typing import Any

from cifarlab import backend
from cifarlab.data.views import photograph_rule
from cifarlab.errors import RunError
from cifarlab.run import Run
from cifarlab.runtimes import ModelInfo


def model_info(run: Run) -> ModelInfo:
    """All that a consumer of `run`'s network needs to know.

    Raises:
        RunError: the run's files say it not, or wrongly.

    Example:
        >>> data = {"class_names": ["cat", "dog"], "image_size": 32, "fit": "crop", "name": "pets"}
        >>> parts = {"recipe": {"name": "mine"}, "data": data, "environment": {}}
        >>> model_info(Run.create(tmp_path / "run", **parts, seed=0)).source["dataset"]
        'pets'
    """
    data, result = run.data, run.result
    threshold = result.get("known_threshold")
    try:
        info = ModelInfo(
            class_names=tuple(data["class_names"]),
            image_size=data["image_size"],
            fit=photograph_rule(data),
            temperature=run.calibration("none")["temperature"],
            known_score=result.get("known_score", "max_softmax"),
            known_threshold=None if threshold is None else float(threshold),
            source=source(run),
        )
        info.check()
    except (TypeError, ValueError) as error:
        raise RunError(f"{run.path} is damaged: data.json or result.json: {error}") from error
    return info


def source(run: Run) -> dict[str, Any]:
    """Where the network is from, and how good the run was found to be."""
    data, result = run.data, run.result
    found = {
        "cifarlab": backend.versions().get("cifarlab"),
        "run": run.name,
        "recipe": run.recipe["name"],
        "seed": result.get("seed"),
        "backend": run.environment.get("backend"),
        "dataset": data["name"],
        "dataset_fingerprint": data.get("fingerprint"),
        "counts": data.get("counts"),
        "weights_sha256": weights_sha256(run),
    }
    if "accuracy" in result:  # with the views that the run was measured with; the file sees one
        figures = ("split", "n", "accuracy", "accuracy_ci95", "tta")
        found |= {name: result.get(name) for name in figures}
    return found


def weights_sha256(run: Run) -> str | None:
    """Of model.safetensors, which with model.json *is* the network; None before there is one."""
    path = run.path / "model.safetensors"
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
