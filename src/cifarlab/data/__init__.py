"""Datasets: found, downloaded, read, checked and split; the test split stays sealed."""

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
