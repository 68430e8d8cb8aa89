"""The network that ferjax brings along, and what its card says of it."""

import hashlib
import json
import os

import numpy as np
import pytest

import ferjax
from ferjax import data
from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.networks.saved import SHIPPED


@pytest.fixture(scope="module")
def shipped():
    return ferjax.load()


@pytest.fixture(scope="module")
def card():
    return json.loads(SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))


def test_the_card_is_of_this_file_and_names_no_folder(shipped, card):
    assert card["sha256"] == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert SHIPPED.stat().st_size < 8e6
    assert tuple(card["classes"]) == shipped.classes == EMOTIONS
    assert (card["temperature"], card["unsure_below"]) == (shipped.temperature, shipped.unsure_below)
    assert card["parameters"] == shipped.count_parameters()
    assert card["split"] in ("validation", "test")
    assert 0.6 < card["accuracy"] < 0.8
    assert shipped.about["data"] == "FER-2013"
    assert "/" not in shipped.config["data.path"]
    assert '"/' not in json.dumps(card)


def test_it_knows_a_drawn_smile(shipped):
    """Drawn faces are unlike any that it was trained on, but a smile is a smile."""
    rows, _ = data.load(path="synthetic", synthetic_rows=280)
    probabilities = shipped(rows.images)
    happy = probabilities[:, EMOTIONS.index("happy")]
    smiles = rows.labels == EMOTIONS.index("happy")
    assert np.median(happy[smiles]) > 2 * np.median(happy[~smiles])


@pytest.mark.real_data
def test_it_is_as_right_as_its_card_says(shipped, card):
    scored = ferjax.evaluate(shipped, {"path": os.environ["FER2013"]}, split=card["split"])
    assert scored.report["accuracy"] == pytest.approx(card["accuracy"], abs=0.003)  # kernels are rounded to float16
