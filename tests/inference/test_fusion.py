"""Late fusion, and the weight that labels choose."""

import pathlib

import numpy as np
import pytest

from ferjax.inference import fit_weight, fuse
from ferjax.inference.answers import Answer, Face
from ferjax.inference.pictures import Picture
from ferjax.inference.votes import FEW_LABELS, Votes, choose_weight

OURS = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
THEIRS = np.array([[0.1, 0.8, 0.1], [1 / 3, 1 / 3, 1 / 3]])


def test_the_ends_are_the_sources_and_between_is_their_product():
    np.testing.assert_allclose(fuse(OURS, THEIRS, 0.0), OURS)
    np.testing.assert_allclose(fuse(OURS, THEIRS, 1.0), THEIRS)
    product = np.sqrt(OURS * THEIRS)
    np.testing.assert_allclose(fuse(OURS, THEIRS, 0.5), product / product.sum(axis=1, keepdims=True))


def test_a_source_without_opinion_changes_nothing():
    np.testing.assert_allclose(fuse(OURS, np.full((2, 3), np.nan), 0.7), OURS)
    # One that finds all classes alike only flattens, and never changes the order.
    assert (fuse(OURS, np.full((2, 3), 1 / 3), 0.7).argsort() == OURS.argsort()).all()


@pytest.mark.parametrize("weight", [-0.1, 1.1, float("nan")])
def test_a_weight_outside_is_refused(weight):
    with pytest.raises(ValueError, match="weight"):
        fuse(OURS, THEIRS, weight)


def test_what_is_no_probabilities_is_refused():
    with pytest.raises(ValueError, match="rows of other must"):
        fuse(OURS, 2 * THEIRS, 0.5)


def test_the_weight_follows_the_source_that_is_right():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 400)
    noise = random.dirichlet([1, 1, 1], 400)
    right = 0.8 * np.eye(3)[labels] + 0.2 * noise
    assert fit_weight(noise, right, labels) == 1.0
    assert fit_weight(right, noise, labels) == 0.0
    # Two sources that know half each are better together.
    one, other = right.copy(), right.copy()
    one[:200], other[200:] = noise[:200], noise[200:]
    assert 0.2 < fit_weight(one, other, labels) < 0.8
    with pytest.raises(ValueError, match="no labels"):
        fit_weight(noise[:0], noise[:0], labels[:0])


@pytest.mark.parametrize(("faces", "warned"), [(1, "1 face"), (FEW_LABELS - 1, "29 faces"), (FEW_LABELS, None)])
def test_a_weight_by_few_labels_is_warned_of(faces, warned, caplog):
    answers = [
        Answer(Picture(f"{i}.png"), (Face((0, 0, 9, 9), 1.0, OURS[0].astype(np.float32)),)) for i in range(faces + 5)
    ]
    places = [(f"{i}.png", None, None) for i in range(faces)]
    votes = Votes(pathlib.Path("votes.csv"), dict.fromkeys(places, THEIRS[0]), dict.fromkeys(places, 1))
    assert choose_weight(votes, answers) == (1.0, faces)
    said = (
        f"votes.csv labels only {warned} of those that were found, by which nobody can tell how much the votes should"
    )
    assert caplog.text.count("votes.csv") == bool(warned)
    assert not warned or said in caplog.text
