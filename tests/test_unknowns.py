"""Scores for unknown images: equal to scikit-learn and SciPy, or worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.covariance import EmpiricalCovariance
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import normalize

from cifarlab import unknowns
from cifarlab.errors import DataError


@pytest.fixture(scope="module")
def known() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (300, 6) in three heaps, logits of a linear head with a bias, labels."""
    random = np.random.default_rng(0)
    labels = np.arange(300) % 3
    features = random.normal(size=(300, 6)) * [1, 2, 1, 1, 0.5, 1] + 4 * np.eye(6)[labels]
    return features, features @ random.normal(size=(6, 3)) + [0.5, -1, 0], labels


def test_auroc_is_scikit_learns_ties_included() -> None:
    random = np.random.default_rng(0)
    for decimals in (0, 1, 8):
        a, b = random.normal(1, 1, 80).round(decimals), random.normal(0, 1, 50).round(decimals)
        expected = roc_auc_score(np.repeat([1, 0], [80, 50]), np.concatenate([a, b]))
        assert unknowns.auroc(a, b) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), [([], [1.0]), ([1.0], []), ([np.nan], [1.0])])
def test_auroc_refuses_what_it_cannot_rank(a, b) -> None:
    with pytest.raises(DataError, match="AUROC needs"):
        unknowns.auroc(a, b)


def test_energy_does_not_overflow() -> None:
    logits = np.array([[1e4, 0.0, -1e4], [1.0, 2.0, 3.0]])
    np.testing.assert_allclose(unknowns.energy(logits), logsumexp(logits, axis=1))
    np.testing.assert_allclose(unknowns.energy(logits, 2), 2 * logsumexp(logits / 2, axis=1))


def test_nearest_neighbour_is_scikit_learns(known, monkeypatch) -> None:
    monkeypatch.setattr(unknowns, "BLOCK", 7)
    features, _, _ = known
    asked = np.random.default_rng(1).normal(size=(20, 6))
    reference = NearestNeighbors(n_neighbors=5).fit(normalize(features))
    expected = -reference.kneighbors(normalize(asked))[0][:, 4]
    found = unknowns.nearest_neighbour(features, k=5)(asked)
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_mahalanobis_is_scikit_learns(known) -> None:
    features, _, labels = known
    asked = np.random.default_rng(1).normal(size=(20, 6)) * 3
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    within = EmpiricalCovariance(assume_centered=True).fit(features - means[labels])
    distances = np.stack([within.mahalanobis(asked - mean) for mean in means])
    expected = -distances.min(axis=0)
    np.testing.assert_allclose(unknowns.mahalanobis(features, labels)(asked), expected)
    overall = EmpiricalCovariance().fit(features).mahalanobis(asked)
    found = unknowns.mahalanobis(features, labels, relative=True)(asked)
    np.testing.assert_allclose(found, expected + overall)


def test_mahalanobis_stands_features_that_never_vary(known) -> None:
    features, _, labels = known
    dead = np.column_stack([features, np.zeros((300, 2))])
    expected = unknowns.mahalanobis(features, labels)(features)
    np.testing.assert_allclose(unknowns.mahalanobis(dead, labels)(dead), expected)


def test_the_head_is_found_from_what_it_does(known) -> None:
    features, logits, _ = known
    weights, bias = unknowns.head(features, logits)
    np.testing.assert_allclose(features @ weights + bias, logits, atol=1e-9)


def test_virtual_logit_by_the_papers_formula(known) -> None:
    """Section 4: P(virtual class) is monotonous in the virtual logit less log sum exp."""
    features, logits, _ = known
    weights, bias = unknowns.head(features, logits)
    origin = -np.linalg.pinv(weights.T) @ bias
    _, _, rows = np.linalg.svd(features - origin)
    rest = rows[3:]  # half of six dimensions are principal
    residual = np.linalg.norm((features - origin) @ rest.T, axis=1)
    alpha = logits.max(axis=1).sum() / residual.sum()
    asked = np.random.default_rng(1).normal(size=(4, 6)) * 3
    z = asked @ weights + bias
    virtual = alpha * np.linalg.norm((asked - origin) @ rest.T, axis=1)
    found = unknowns.virtual_logit(features, logits)(asked, z)
    np.testing.assert_allclose(found, logsumexp(z, axis=1) - virtual)


def test_boundary_distance_by_hand(known) -> None:
    features, logits, _ = known
    weights, bias = unknowns.head(features, logits)
    asked = np.random.default_rng(1).normal(size=(4, 6)) * 3
    z = asked @ weights + bias
    found = unknowns.boundary_distance(features, logits)(asked, z)
    for row, logit, score in zip(asked, z, found, strict=True):
        best = logit.argmax()
        distances = [
            (logit[best] - logit[c]) / np.linalg.norm(weights[:, best] - weights[:, c])
            for c in range(3)
            if c != best
        ]
        assert score == pytest.approx(
            np.mean(distances) / np.linalg.norm(row - features.mean(axis=0))
        )


def test_energy_and_middle_is_the_sum_of_both_in_their_deviations(known) -> None:
    features, logits, labels = known
    asked, z = features[:9] * 2, logits[:9] + 1
    one, other = unknowns.energy, unknowns.mahalanobis(features, labels)
    expected = one(z) / one(logits).std() + 0.5 * other(asked) / other(features).std()
    found = unknowns.energy_and_middle(features, logits, labels, share=0.5)(asked, z)
    np.testing.assert_allclose(found, expected)


def test_every_score_is_higher_for_the_known(known) -> None:
    """Far from all heaps, with logits that say little, everything scores low."""
    features, _, labels = known
    weights = 2 * np.eye(6)[:, :3]
    logits = features @ weights
    strange = np.random.default_rng(2).normal(size=(100, 6)) * [0.3, 0.3, 0.3, 5, 5, 5]
    for name, score in unknowns.fit_scores(features, logits, labels).items():
        inside, outside = score(features, logits), score(strange, strange @ weights)
        assert inside.shape == (300,), name
        assert unknowns.auroc(inside, outside) > 0.7, name


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.95, 1.0])
def test_a_threshold_keeps_what_it_promises(keep: float) -> None:
    scores = np.random.default_rng(0).normal(size=1000)
    assert (scores >= unknowns.threshold(scores, keep)).sum() == round(keep * 1000)


@pytest.mark.parametrize(("scores", "keep"), [([], 0.95), ([1.0], 0.0), ([1.0], 1.1)])
def test_a_threshold_of_nothing_is_refused(scores, keep) -> None:
    with pytest.raises(DataError, match="threshold needs"):
        unknowns.threshold(scores, keep)


def test_features_that_are_not_finite_are_refused(known) -> None:
    features, logits, labels = known
    bad = features.copy()
    bad[3, 2] = np.nan
    with pytest.raises(DataError, match="features must be finite"):
        unknowns.fit_scores(bad, logits, labels)
