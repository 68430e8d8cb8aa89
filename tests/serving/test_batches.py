"""Faces of many requests share a batch, and each gets its own answer."""

import contextlib
import threading
import time

import numpy as np
import pytest

from ferjax.serving.batches import SIZES, Batches
from ferjax.serving.refusal import Refusal


class Counting:
    """A network that answers a face with its level, and remembers how it was called."""

    classes = ("dark", "bright")
    unsure_below = 0.0

    def __init__(self):
        self.calls = []

    def __call__(self, images, *, views="none", batch_size=64):
        if views == "broken":
            raise RuntimeError("broken")
        self.calls.append((len(images), views, batch_size))
        bright = images.reshape(len(images), -1).mean(axis=1, dtype=np.float32) / np.float32(255)
        return np.stack([1 - bright, bright], axis=1)

    def fit(self, images):
        return np.zeros((len(images), 4, 4, 1), np.uint8)


@pytest.fixture
def network():
    return Counting()


@pytest.fixture
def batches(network):
    batches = Batches(network, wait_s=0.1)
    batches.start()
    assert [call[2] for call in network.calls] == list(SIZES)  # compiled before the first request
    network.calls.clear()
    yield batches
    batches.stop()
    assert not batches.works


def _face(level, count=1):
    return np.full((count, 4, 4, 1), level, np.uint8)


def _submit(batches, *jobs):
    """Submit jobs that are all announced before the first of them comes."""
    with contextlib.ExitStack() as stack:
        submits = [stack.enter_context(batches.expect()) for _ in jobs]
        return [submit(*job) for submit, job in zip(submits, jobs, strict=True)]


def test_requests_that_come_together_are_one_batch(batches, network):
    futures = _submit(batches, *((_face(level), "none") for level in range(0, 70, 10)))
    found = [float(future.result(10).probabilities[0, 1]) * 255 for future in futures]
    assert found == pytest.approx([0, 10, 20, 30, 40, 50, 60], abs=1e-3)
    assert network.calls == [(7, "none", 8)]


def test_one_face_waits_for_no_full_batch_and_many_fill_several(batches, network):
    (many,) = _submit(batches, (_face(1, 38), "none"))
    assert len(many.result(10).probabilities) == 38
    # Never is more than a quarter of a batch empty.
    assert [call[::2] for call in network.calls] == [(16, 16), (16, 16), (6, 8)]
    network.calls.clear()
    (few,) = _submit(batches, (_face(1, 2), "none"))
    few.result(10)
    assert [call[::2] for call in network.calls] == [(1, 1), (1, 1)]


def test_no_request_waits_for_a_thread_that_is_not_running(network):
    batches = Batches(network, wait_s=0.1)
    with pytest.raises(Refusal, match="network is not running") as refusal, batches.expect():
        pass
    assert refusal.value.status == 503


def test_a_face_waits_for_those_on_their_way_and_for_no_others(network):
    batches = Batches(network, wait_s=60.0)
    batches.start()
    network.calls.clear()
    (alone,) = _submit(batches, (_face(1), "none"))
    alone.result(10)
    with batches.expect() as first, batches.expect() as second:
        one = first(_face(1), "none")
        with batches.expect():
            pass  # a picture without any face
        time.sleep(0.1)
        assert not one.done()
        other = second(_face(2, 2), "none")
        one.result(10)
        other.result(10)
    assert [call[0] for call in network.calls] == [1, 3]
    batches.stop()


def test_a_face_waits_no_longer_than_it_should(network):
    batches = Batches(network, wait_s=0.05)
    batches.start()
    with batches.expect() as first, batches.expect():
        first(_face(1), "none").result(10)
    batches.stop()


def test_a_cancelled_request_is_left_out_and_those_after_it_are_answered(batches):
    with contextlib.ExitStack() as stack:
        submits = [stack.enter_context(batches.expect()) for _ in range(2)]
        cancelled = submits[0](_face(1), "none")  # waits for the second
        assert cancelled.cancel()
        kept = submits[1](_face(2), "none")
    assert len(kept.result(10).probabilities) == 1
    (after,) = _submit(batches, (_face(3), "none"))
    assert len(after.result(10).probabilities) == 1


def test_a_job_of_many_faces_shares_its_batches_with_the_others(batches, network):
    batches._watch = lambda _: time.sleep(0.1)
    many, few, one = _submit(batches, *((_face(1, count), "none") for count in (100, 9, 1)))
    calls_of = {}
    for name, future in {"few": few, "one": one}.items():
        future.add_done_callback(lambda _, name=name: calls_of.update({name: len(network.calls)}))
    assert len(few.result(10).probabilities) == 9
    assert len(one.result(10).probabilities) == 1
    assert calls_of["one"] == 1  # in the first batch, with parts of the others
    assert calls_of["few"] <= 3
    assert len(many.result(10).probabilities) == 100
    assert sum(call[0] for call in network.calls) == 110


def test_views_of_many_faces_and_explanations_take_turns_too(batches, network, monkeypatch):
    done = []

    def explain(_, inputs, method, targets):
        done.append(len(inputs))
        time.sleep(0.1)
        return np.zeros((len(inputs), 4, 4), np.float32) + inputs[:, :1, :1, 0]

    monkeypatch.setattr("ferjax.explain.explain", explain)
    faces = np.arange(40, dtype=np.uint8).reshape(-1, 1, 1, 1) + np.zeros((1, 4, 4, 1), np.uint8)
    many, few = _submit(batches, (faces, "none", "grad_cam"), (_face(2), "mirror"))
    few.result(10)
    assert len(done) <= 1
    np.testing.assert_array_equal(many.result(10).maps[:, 0, 0], np.arange(40))
    assert done == [16, 16, 8]


def test_a_cancelled_job_gets_no_more_batches(batches, network):
    go, begun = threading.Event(), threading.Event()

    def wait(count):
        begun.set()
        go.wait(10)

    batches._watch = wait
    (many,) = _submit(batches, (_face(1, 200), "none"))
    assert begun.wait(10)
    many.cancel()
    go.set()
    (after,) = _submit(batches, (_face(3), "none"))
    after.result(10)
    assert sum(call[0] for call in network.calls) <= 33


def test_jobs_of_a_thread_that_ends_are_refused_and_it_starts_again(network, caplog, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda told: None)
    batches = Batches(network, wait_s=0.1)
    batches.start()
    monkeypatch.setattr(network, "fit", None)
    monkeypatch.setattr(batches, "_call", lambda *_: exec("raise SystemExit"))
    one, other = _submit(batches, (_face(1), "none"), (_face(1), "mirror"))
    for future in (one, other):
        with pytest.raises(Refusal, match="is not running"):
            future.result(10)
    assert not batches.works
    assert "The network's thread has ended" in caplog.text
    monkeypatch.undo()
    batches.stop()
    batches.start()
    (again,) = _submit(batches, (_face(1), "none"))
    again.result(10)
    batches.stop()


def test_views_have_batches_of_their_own_and_a_failure_is_its_requests_alone(batches, network):
    good, bad, other = _submit(batches, *((_face(9), views) for views in ("none", "broken", "mirror")))
    with pytest.raises(RuntimeError, match="broken"):
        bad.result(10)
    assert good.result(10).probabilities.shape == other.result(10).probabilities.shape == (1, 2)
    assert [call[1] for call in network.calls] == ["none", "mirror"]
    assert batches.works


def test_what_has_been_submitted_is_done_before_the_end(network):
    batches = Batches(network, wait_s=0.1)
    batches.start()
    futures = _submit(batches, *[(_face(1, 40), "none")] * 5)
    batches.stop()
    assert all(future.done() and not future.exception() for future in futures)
