"""Datasets: found, downloaded, read, checked and split; the test split stays sealed.

The names below are loaded when they are first used: a prediction decodes pictures and needs no
dataset.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cifarlab.data.catalog import dataset_names, describe_sources, load_dataset
    from cifarlab.data.dataset import Dataset, Split, one_hot
    from cifarlab.data.statistics import channel_statistics

__all__ = [
    "Dataset",
    "Split",
    "channel_statistics",
    "dataset_names",
    "describe_sources",
    "load_dataset",
    "one_hot",
]

_HOME = {
    "Dataset": "dataset",
    "Split": "dataset",
    "channel_statistics": "statistics",
    "dataset_names": "catalog",
    "describe_sources": "catalog",
    "load_dataset": "catalog",
    "one_hot": "dataset",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'cifarlab.data' has no attribute {name!r}")
    return getattr(importlib.import_module(f"cifarlab.data.{_HOME[name]}"), name)
