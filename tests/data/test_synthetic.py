import hashlib
import tracemalloc

import numpy as np
import pytest

from ferjax.data.datasets import synthetic
from ferjax.data.datasets.fer2013 import EMOTIONS, USAGES
from ferjax.data.datasets.synthetic import draw


@pytest.fixture(scope="module")
def rows():
    return draw(1400)


def test_same_seed_same_faces_other_seed_other_faces(rows):
    again, other = draw(1400), draw(1400, seed=1)
    np.testing.assert_array_equal(again.images, rows.images)
    np.testing.assert_array_equal(again.labels, rows.labels)
    assert again.digest == rows.digest
    assert other.digest != rows.digest
    assert (other.images != rows.images).mean() > 0.9


def test_digest_is_of_the_content(rows):
    content = rows.images.tobytes() + rows.labels.tobytes() + rows.usage.tobytes()
    assert rows.digest == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("n", [70, 333])
def test_classes_are_balanced_and_usage_is_stratified(n):
    rows = draw(n)
    table = np.zeros((len(EMOTIONS), len(USAGES)), int)
    np.add.at(table, (rows.labels, rows.usage), 1)
    assert np.ptp(table.sum(axis=1)) <= 1
    assert (table > 0).all()
    assert np.abs(table - table.sum(axis=1, keepdims=True) * [0.8, 0.1, 0.1]).max() < 2


def test_classes_are_shuffled(rows):
    # In round robin order every difference of neighbours would be 1 modulo 7.
    steps = np.diff(rows.labels) % len(EMOTIONS)
    assert np.bincount(steps, minlength=7).max() < 0.25 * len(steps)


def test_blocks_do_not_show(rows, monkeypatch):
    monkeypatch.setattr(synthetic, "BLOCK_FACES", 1000)
    assert draw(1400).digest == rows.digest


def test_memory_does_not_grow_with_n():
    tracemalloc.start()
    rows = draw(2000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All at once, one float32 field of 2,000 faces alone would take 18 MB, and a face needs several.
    assert peak - 3 * rows.images.nbytes < 8e6


def score_linear(rows):
    """Accuracy on held-out faces of a ridge regression on pixels, which a CNN beats by far."""
    pixels = rows.images.reshape(len(rows), -1) / 255.0
    pixels -= pixels.mean(axis=1, keepdims=True)
    train = rows.usage == 0
    kernel = pixels @ pixels.T
    targets = np.eye(7)[rows.labels[train]]
    weights = np.linalg.solve(kernel[np.ix_(train, train)] + 10.0 * np.eye(train.sum()), targets)
    return ((kernel[np.ix_(~train, train)] @ weights).argmax(axis=1) == rows.labels[~train]).mean()


def test_expression_tells_the_emotion_but_not_for_nothing(rows, monkeypatch):
    assert 0.35 < score_linear(rows) < 0.85
    monkeypatch.setattr(synthetic, "INTENSITY", (0.0, 0.0))
    assert score_linear(draw(1400)) < 0.3


@pytest.mark.parametrize(("emotion", "name", "sign"), [("happy", "mouth_curve", 1), ("sad", "mouth_curve", -1)])
def test_smiles_curve_up(emotion, name, sign):
    labels = np.full(200, EMOTIONS.index(emotion), np.int32)
    curves = synthetic._draw_faces(np.random.default_rng(0), labels)[name]
    assert (np.sign(curves) == sign).mean() > 0.9


def test_every_parameter_shows():
    names = synthetic.EXPRESSIONS.keys() | synthetic.VARIATIONS.keys()
    faces = synthetic._draw_faces(np.random.default_rng(0), np.full(16, EMOTIONS.index("happy"), np.int32))
    # mouth_scale is in mouth_width by now, half_turn in sin and cos.
    extremes = {name: synthetic.VARIATIONS[name] for name in synthetic.VARIATIONS if name in faces}
    extremes |= {name: (min(means), max(means)) for name, (*means, _) in synthetic.EXPRESSIONS.items()}
    extremes |= {"sin": (-0.1, 0.1)}
    assert names - extremes.keys() == {"mouth_scale", "half_turn"}
    for name, values in extremes.items():
        low, high = (
            synthetic._render(faces | {name: np.full((16, 1, 1), value, np.float32)}, np.random.default_rng(0)).astype(
                int
            )
            for value in values
        )
        changed = np.abs(high - low).max(axis=(1, 2)) > 5
        assert changed.mean() > 0.8, name


def test_the_mouth_is_drawn_where_the_parameters_say():
    faces = synthetic._draw_faces(np.random.default_rng(0), np.full(64, EMOTIONS.index("surprise"), np.int32))
    faces |= {name: np.zeros((64, 1, 1), np.float32) for name in ("noise", "light_x", "light_y", "teeth")}
    shut = faces | {name: np.zeros((64, 1, 1), np.float32) for name in ("mouth_open_up", "mouth_open_down")}
    opened, closed = (synthetic._render(face, np.random.default_rng(0)).astype(int) for face in (faces, shut))
    darker = (opened < closed - 20).mean(axis=0)
    assert darker[24:].sum() > 10
    assert darker[:20].sum() == 0


def test_a_face_varies_within_its_class(rows):
    happy = rows.images[rows.labels == EMOTIONS.index("happy")].astype(float)
    assert happy.std(axis=0).min() > 15


def test_at_least_one():
    assert len(draw(1)) == 1
    with pytest.raises(ValueError, match="at least one"):
        draw(0)
