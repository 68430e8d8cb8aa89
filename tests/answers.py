"""What a network answers beside what its run wrote."""

import numpy as np

import ferjax
from ferjax import data
from ferjax.report import read_predictions


def read_faces():
    """The rows of every tiny run's data set, and their numbers in its test split."""
    rows, splits = data.load(path="synthetic", synthetic_rows=140)
    return rows, splits["test"]


def close(one, other, atol=1e-6):
    np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def answer_as(workdir, faces):
    """The probabilities of predictions.csv, and those that what is loaded of the run gives for the same rows."""
    predictions = read_predictions(workdir / "predictions.csv")
    return predictions.probabilities, ferjax.load(workdir).uncalibrated()(faces[0].images[predictions.row])
