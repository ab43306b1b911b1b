"""Which images stay in a run for its report."""

import numpy as np

from cifarlab.shown import CELL, CELL_BYTES, CELL_IMAGES, choose_shown


def cells(labels, predictions, confidence, **options):
    index, kind = choose_shown(*map(np.asarray, (labels, predictions, confidence)), 0, **options)
    return index[kind == "cell"].tolist()


def test_every_kind_of_mistake_comes_before_a_second_of_any_and_the_frequent_first() -> None:
    labels, predictions = [0, 0, 0, 1, 2, 2], [1, 1, 1, 0, 2, 0]
    # 0 for 1 three times (its surest: 2), 1 for 0 and 2 for 0 once each.
    assert cells(labels, predictions, [0.5, 0.6, 0.7, 0.4, 0.9, 0.8])[0] == 2
    assert cells(labels, predictions, [0.5, 0.6, 0.7, 0.4, 0.9, 0.8])[3:] == [1, 0]
    assert set(cells(labels, predictions, [0.5, 0.6, 0.7, 0.4, 0.9, 0.8])[1:3]) == {3, 5}


def test_a_kind_of_mistake_keeps_its_surest_few() -> None:
    confidence = np.linspace(0.5, 0.9, 20)
    assert cells([0] * 20, [1] * 20, confidence) == list(range(19, 19 - CELL, -1))


def test_large_images_and_many_classes_keep_the_file_small() -> None:
    generator = np.random.default_rng(0)
    labels, predictions = generator.integers(0, 100, (2, 20_000))
    confidence = generator.random(20_000)
    assert len(cells(labels, predictions, confidence)) == CELL_IMAGES
    large = cells(labels, predictions, confidence, image_bytes=224 * 224 * 3)
    assert len(large) == CELL_BYTES // (224 * 224 * 3)
    pairs = np.array([labels[large], predictions[large]])
    assert np.unique(pairs, axis=1).shape[1] == len(large)  # one of each kind first


def test_a_split_without_a_mistake_keeps_random_images_alone() -> None:
    index, kind = choose_shown(np.arange(3), np.arange(3), np.ones(3), 0)
    assert kind.tolist() == ["random"] * 3
    assert sorted(index) == [0, 1, 2]
