"""Splits, carving, sealing, fingerprints and one-hot labels."""

from __future__ import annotations

import os

import numpy as np
import pytest

from cifarlab.data import Dataset, Split, one_hot
from cifarlab.data.holdout import name_keys, random_keys, stratified_holdout
from cifarlab.errors import DataError, UsageError


def split(n: int = 40, num_classes: int = 4, size: int = 8) -> Split:
    random = np.random.default_rng(n)
    images = random.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    return Split(images, np.arange(n) % num_classes)


def dataset(**parts) -> Dataset:
    given = {"name": "a", "source": "a", "class_names": tuple("abcd"), "train": split(), **parts}
    return Dataset(**given)


def test_random_keys_never_change() -> None:
    """Golden values: another NumPy, another machine, the same images held out."""
    assert random_keys(2, seed=0).tolist() == [15310339997396542796, 7388424445865669436]
    assert random_keys(2, seed=2**64 - 1).tolist() == [12749653177036815975, 2678430036896090485]
    for seed in (-1, 2**64, 1.0, True, None):
        with pytest.raises(UsageError, match="seed must be a whole number"):
            random_keys(1, seed=seed)


def test_the_carve_never_changes() -> None:
    kept, held = stratified_holdout(np.arange(40) % 4, 0.2, random_keys(40, seed=1))
    assert held.tolist() == [6, 12, 15, 17, 20, 31, 33, 38]
    assert sorted([*kept, *held]) == list(range(40))
    assert kept.tolist() == sorted(kept)


def test_name_keys_hold_out_the_same_files_in_any_order_and_company() -> None:
    names = [f"cat/{i}.jpg" for i in range(50)]
    _, held = stratified_holdout(np.zeros(50), 0.2, name_keys(names))
    chosen = {names[i] for i in held}
    backwards = names[::-1]
    _, held = stratified_holdout(np.zeros(50), 0.2, name_keys(backwards))
    assert {backwards[i] for i in held} == chosen
    more = [*names, "cat/50.jpg"]
    _, held = stratified_holdout(np.zeros(51), 0.2, name_keys(more))
    assert len({more[i] for i in held} & chosen) >= 9
    assert name_keys(["caf\u00e9"]) == name_keys(["cafe\u0301"])
    assert name_keys([os.fsdecode(b"caf\xe9")]) != name_keys(["caf"])  # a name that is not UTF-8


@pytest.mark.parametrize("counts", [[100, 100, 100], [97, 31, 8], [1, 2, 3], [7] * 9])
@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.25, 0.5, 0.99])
def test_holding_out_is_stratified(counts: list[int], fraction: float) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    kept, held = stratified_holdout(labels, fraction, random_keys(len(labels), seed=3))
    given = np.bincount(labels[held], minlength=len(counts))
    assert len(kept) + len(held) == len(labels)
    for count, n in zip(counts, given, strict=True):
        assert min(1, count - 1) <= n <= max(count - 1, 0)
        assert abs(n - count * fraction) <= 1
    if min(counts) * fraction >= 1 and min(counts) * (1 - fraction) >= 1:
        assert len(held) == int(len(labels) * fraction + 0.5)


@pytest.mark.parametrize("fraction", [-0.1, 1, 1.5, float("nan")])
def test_a_share_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match="at least 0 and below 1"):
        dataset().carve(fraction, seed=0)


def test_carve_holds_out_of_train_by_seed() -> None:
    data = dataset()
    train, validation = data.carve(0.1, seed=0)
    assert (len(train), len(validation)) == (36, 4)
    assert sorted(validation.labels) == [0, 1, 2, 3]
    both = np.concatenate([train.images, validation.images]).reshape(40, -1)
    assert {row.tobytes() for row in both} == {i.tobytes() for i in data.train.images}
    again = data.carve(0.1, seed=0)[1]
    np.testing.assert_array_equal(again.images, validation.images)
    assert not np.array_equal(data.carve(0.1, seed=1)[1].images, validation.images)


def test_carve_of_nothing_and_of_an_official_validation_split() -> None:
    data = dataset(validation=split(12))
    train, validation = data.carve(0, seed=0)
    assert (train, len(validation), validation.images.shape) == (data.train, 0, (0, 8, 8, 3))
    assert data.carve(0.1, seed=0) == (data.train, data.validation)
    with pytest.raises(DataError, match="none to hold out"):
        dataset(train=split(4)).carve(0.1, seed=0)


def test_the_test_split_has_one_door() -> None:
    test = split(20)
    data = dataset(test=test)
    assert not any(value is test for name, value in vars(data).items() if name[0] != "_")
    assert not hasattr(data, "test")
    assert (data.has_test, data.test_size) == (True, 20)
    assert data.open_test() is test
    without = dataset()
    assert (without.has_test, without.test_size) == (False, 0)
    with pytest.raises(DataError, match="has no test split"):
        without.open_test()


def test_a_test_split_is_read_when_it_is_needed_and_once() -> None:
    calls = []
    data = dataset(test=lambda: calls.append(1) or split(20))
    assert (data.has_test, calls) == (True, [])
    assert len(data.open_test()) == data.test_size == 20
    assert calls == [1]
    with pytest.raises(DataError, match="test images of 'a' are"):
        dataset(test=lambda: split(20, size=4)).open_test()


def test_every_part_changes_the_fingerprint() -> None:
    one = split(20)
    changed = one.images.copy()
    changed[3, 2, 1, 0] ^= 1
    relabelled = np.roll(one.labels, 1)
    prints = [
        data.fingerprint
        for data in (
            dataset(train=one),
            dataset(train=Split(changed, one.labels)),
            dataset(train=Split(one.images, relabelled)),
            dataset(train=one, class_names=tuple("abce")),
            dataset(train=one, test=one),
            dataset(train=one, validation=one),
            dataset(train=one, validation=one, test=one),
            dataset(train=one, test=Split(changed, one.labels)),
        )
    ]
    assert len(set(prints)) == len(prints)
    assert all(len(value) == 71 and value.startswith("sha256:") for value in prints)
    assert dataset(train=one, name="b", source="b", notes=["c"]).fingerprint == prints[0]


def test_the_fingerprint_never_changes() -> None:
    images = np.arange(4 * 12, dtype=np.uint8).reshape(4, 2, 2, 3)
    data = Dataset(
        name="a", source="a", class_names=("x", "y"), train=Split(images, np.array([0, 1, 0, 1]))
    )
    assert data.fingerprint == (
        "sha256:3df661f5fde78e7c637b814db9aa40416506b0d6b96535e4e4785ca5bd2a2570"
    )


def test_a_split_cannot_be_written_to() -> None:
    images, labels = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1], np.int32)
    kept = Split(images, labels)
    for array in (kept.images, kept.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    images[0] = 1  # the caller's own array stays the caller's
    assert kept.labels.dtype == np.int64


def test_select_carries_everything_along() -> None:
    sizes, names = np.array([[1, 2], [3, 4], [5, 6]]), np.array(["a", "b", "c"])
    part = Split(np.zeros((3, 4, 4, 3), np.uint8), np.arange(3), sizes, names).select([2, 0])
    assert part.labels.tolist() == [2, 0]
    assert part.original_sizes is not None
    assert part.names is not None
    assert (part.original_sizes.tolist(), part.names.tolist()) == ([[5, 6], [1, 2]], ["c", "a"])


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 4, 4, 3)), [0, 1], "images must be uint8"),
        (np.zeros((2, 4, 4), np.uint8), [0, 1], "images must be uint8"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0.0, 1.0], "labels must be integers"),
        (np.zeros((2, 4, 4, 3), np.uint8), [[0], [1]], "labels must be integers"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0], "2 images have 1 labels"),
    ],
)
def test_a_split_of_the_wrong_kind_is_refused(images, labels, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Split(images, np.asarray(labels))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"class_names": ("a",)}, r"has 1 class\(es\) \('a'\)"),
        ({"class_names": tuple("abca")}, "two classes 'a'"),
        ({"class_names": tuple("abc")}, "run from 0 to 3; 3 classes have 0 to 2"),
        ({"validation": split(8, size=4)}, "validation images of 'a' are"),
        ({"train": split(8).select([])}, "the train split of 'a' has no images"),
        ({"train": Split(np.zeros((2, 4, 8, 3), np.uint8), np.arange(2))}, "must be square"),
    ],
)
def test_a_dataset_of_parts_that_do_not_fit_is_refused(parts: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        dataset(**parts)


def test_one_hot() -> None:
    rows = one_hot(np.array([2, 0], np.uint8), 3)
    assert rows.dtype == np.float32
    assert rows.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert one_hot([], 3).shape == (0, 3)
    for labels in ([3], [-1], [0.5], [[0]]):
        with pytest.raises(DataError, match="labels"):
            one_hot(labels, 3)
