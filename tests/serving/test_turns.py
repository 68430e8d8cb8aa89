"""Requests take turns at the threads, whatever each of them holds."""

import asyncio
import threading

import pytest

from ferjax.serving.turns import Turns


@pytest.fixture
def turns():
    turns = Turns(1)
    turns.start()
    yield turns
    turns.stop()


class Gate:
    """Work that says what of it has begun, and waits until it may go on."""

    def __init__(self):
        self.go, self.begun = threading.Event(), []

    def work(self, item):
        self.begun.append(item)
        self.go.wait(10)


@pytest.fixture
def gate():
    return Gate()


def test_answers_are_in_order_and_a_failure_is_raised(turns):
    async def run():
        assert await turns.map(lambda item: item * 2, [1, 2, 3]) == [2, 4, 6]
        assert await turns.map(lambda item: item, []) == []
        with pytest.raises(ZeroDivisionError):
            await turns.map(lambda item: done.append(item) or 1 // item, [1, 0, *range(2, 9)])
        assert await turns.map(lambda item: item, [4]) == [4]

    done = []
    asyncio.run(run())
    assert done[:2] == [1, 0]
    assert 8 not in done  # nobody would have taken it


def test_a_small_request_does_not_wait_until_a_large_one_is_done(turns):
    done = []

    async def run():
        await asyncio.gather(*(turns.map(done.append, items) for items in ("aaaaaa", "bb", "c")))

    asyncio.run(run())
    assert "".join(done) == "aaabcabaa"  # two turns of the first were given out before the others came


def test_what_an_end_finds_waiting_gets_its_error_and_a_new_start_begins_anew(turns, gate):
    async def run():
        waiting = asyncio.ensure_future(turns.map(gate.work, "abcdef"))
        await asyncio.sleep(0)
        turns.drop(RuntimeError("the end"))
        gate.go.set()
        with pytest.raises(RuntimeError, match="the end"):
            await waiting
        turns.stop()
        await asyncio.sleep(0.1)
        turns.start()
        assert await turns.map(lambda item: item, [1, 2, 3]) == [1, 2, 3]

    asyncio.run(run())
    assert set(gate.begun) <= {"a", "b"}


def test_what_a_cancelled_request_has_not_begun_is_left_out(turns, gate):
    async def run():
        large = asyncio.ensure_future(turns.map(gate.work, "aaaa"))
        small = asyncio.ensure_future(turns.map(gate.work, "b"))
        await asyncio.sleep(0)
        large.cancel()
        gate.go.set()
        await small
        with pytest.raises(asyncio.CancelledError):
            await large

    asyncio.run(run())
    assert gate.begun in (["a", "b"], ["a", "a", "b"])  # the second may have been on its way
