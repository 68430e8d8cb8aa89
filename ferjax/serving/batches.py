"""Faces of many requests in one batch: a thread that waits a little for those on their way, and calls the network."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from jaxtyping import Float32

from ferjax.inference.faces import Classifier
from ferjax.serving.refusal import Refusal

# How many faces a batch may have. Each is compiled once. A call for n faces takes the time of about n + 1.6 faces, so
# that larger batches gain little, and half-empty ones lose much: each is at least so full, or a smaller one is taken.
SIZES = (1, 4, 8, 16)
_FULL = 0.75
# Where so many are on their way that they will fill a batch, a face waits so many times as long: all wait for the
# processor then, of which small batches take more.
_PATIENCE = 6

logger = logging.getLogger("ferjax")


class Result(NamedTuple):
    """What the network says of some faces, and where it looked, if that was asked."""

    probabilities: Float32[np.ndarray, "n k"]
    maps: Float32[np.ndarray, "n h w"] | None


class Submit(Protocol):
    """Has faces, [n, h, w, c] as the network takes them, classified, and explained by a method of explain."""

    def __call__(
        self, inputs: np.ndarray, views: str, explain: str = "none"
    ) -> "concurrent.futures.Future[Result]": ...


# None is the end; a request without faces is told as one without a job.
_Queue: TypeAlias = "queue.SimpleQueue[_Job | Literal['none'] | None]"


@dataclasses.dataclass(eq=False)
class _Job:
    """A request's faces, and what is known of the first of them so far."""

    inputs: np.ndarray
    views: str
    explain: str
    future: "concurrent.futures.Future[Result]"
    answers: list[Float32[np.ndarray, "n k"]] = dataclasses.field(default_factory=list)
    maps: list[Float32[np.ndarray, "n h w"]] = dataclasses.field(default_factory=list)

    @property
    def unclassified(self) -> np.ndarray:
        return self.inputs[sum(map(len, self.answers)) :]

    @property
    def explained(self) -> int:
        return sum(map(len, self.maps))

    @property
    def is_done(self) -> bool:
        if self.future.done():  # it failed, or was cancelled
            return True
        return not len(self.unclassified) and (self.explain == "none" or self.explained == len(self.inputs))


class Batches:
    """Classifies faces in a thread of its own; `watch` is told how many faces each batch has.

    `wait_s` is how long a face waits at most for the faces of other requests, while there are any in which faces are
    still sought: for long where they will fill a batch (_PATIENCE), and not at all where there are none. A request with
    many faces gets a part of each batch while there are others, and a cancelled one gets no more.
    """

    def __init__(self, network: Classifier, *, wait_s: float, watch: Callable[[int], None] = lambda _: None) -> None:
        self._network, self._wait_s, self._watch = network, wait_s, watch
        self._jobs: _Queue = queue.SimpleQueue()
        self._coming = 0
        self._thread: threading.Thread | None = None
        self.works = False  # whether the thread takes what is submitted

    def start(self) -> None:
        """Compile the network for every size of a batch, and begin to work."""
        height, width, channels = self._network.fit(np.zeros((1, 48, 48), np.uint8)).shape[1:]
        for size in SIZES:
            self._network(np.zeros((size, height, width, channels), np.uint8), views="none", batch_size=size)
        self._jobs = queue.SimpleQueue()  # an earlier end may lie in the old one
        self.works = True
        self._thread = threading.Thread(target=self._work, name="ferjax-batches", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def expect(self) -> Iterator[Submit]:
        """Announce a request whose faces are still to be found; the block gets what submits them.

        It may end without that. All requests are announced by one thread, that of the event loop. Raises Refusal where
        the thread that classifies is not running, which would let them wait for ever.
        """
        if not self.works:
            raise _not_running()
        self._coming += 1
        is_coming = True

        def submit(inputs: np.ndarray, views: str, explain: str = "none") -> "concurrent.futures.Future[Result]":
            nonlocal is_coming
            self._coming -= is_coming
            is_coming = False
            return self._submit(inputs, views, explain)

        try:
            yield submit
        finally:
            if is_coming:
                self._coming -= 1
                self._jobs.put("none")

    def _submit(self, inputs: np.ndarray, views: str, explain: str) -> "concurrent.futures.Future[Result]":
        future: concurrent.futures.Future[Result] = concurrent.futures.Future()
        self._jobs.put(_Job(inputs, views, explain, future))
        if not self.works:
            self._refuse_all([])
        return future

    def stop(self) -> None:
        """End when all that has been submitted is done."""
        self._jobs.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        going: collections.deque[_Job] = collections.deque()
        more = True
        try:
            while more or going:
                more = more and self._collect(going)
                self._take_turn(going)
        except BaseException:
            logger.exception("The network's thread has ended; /health says so, and the server must be started anew.")
            raise
        finally:
            self.works = False  # first, so that what comes now is refused here or by who submits it
            self._refuse_all(going)

    def _refuse_all(self, going: Iterable[_Job]) -> None:
        """Refuse the jobs that nobody will do."""
        waiting: list[_Job | Literal["none"] | None] = [*going]
        with contextlib.suppress(queue.Empty):
            while True:
                waiting.append(self._jobs.get_nowait())
        for job in waiting:
            if isinstance(job, _Job):
                _settle(job, _not_running())

    def _collect(self, going: "collections.deque[_Job]") -> bool:
        """Add the jobs that have come; return whether there may be more.

        Where there was none, wait for one, and then a little for those on their way.
        """
        waits, start_s = not going, time.monotonic()
        while True:
            count = sum(len(job.unclassified) for job in going)
            patience = 0 if not self._coming else _PATIENCE if count + self._coming >= SIZES[-1] else 1
            wait_s = patience * self._wait_s if waits and count < SIZES[-1] else 0.0
            left_s = max(0.0, start_s + wait_s - time.monotonic())
            try:
                job = self._jobs.get(timeout=left_s if going else None)
            except queue.Empty:
                return True
            if job is None:
                return False
            if job == "none":
                continue
            if not going:
                start_s = time.monotonic()
            going.append(job)

    def _take_turn(self, going: "collections.deque[_Job]") -> None:
        """Do a batch of the first job's work and of others' that fits with it; put that job behind the others."""
        for job in [job for job in going if job.future.done()]:  # cancelled
            going.remove(job)
        if not going:
            return
        first = going[0]
        if len(first.unclassified):
            self._classify([job for job in going if job.views == first.views and len(job.unclassified)])
        else:
            self._explain(first)
        going.rotate(-1)
        for job in [job for job in going if job.is_done]:
            going.remove(job)
            if not job.future.done():
                maps = np.concatenate(job.maps) if job.maps else None
                _settle(job, Result(np.concatenate(job.answers), maps))

    def _classify(self, jobs: Sequence[_Job]) -> None:
        """Classify a batch: as many faces of each job, and what is left of it for the first of them."""
        counts, room = [0] * len(jobs), SIZES[-1]
        for most in (max(1, room // len(jobs)), room):
            for number, job in enumerate(jobs):
                more = min(len(job.unclassified) - counts[number], most, room)
                counts[number], room = counts[number] + more, room - more
        parts = [(job, job.unclassified[:count]) for job, count in zip(jobs, counts, strict=True) if count]
        try:
            probabilities = self._call(np.concatenate([part for _, part in parts]), jobs[0].views)
        except Exception as error:
            for job, _ in parts:
                _settle(job, error)
            return
        for job, part in parts:
            job.answers.append(probabilities[: len(part)])
            probabilities = probabilities[len(part) :]

    def _call(self, images: np.ndarray, views: str) -> Float32[np.ndarray, "n k"]:
        """Call the network with batches of SIZES, each the largest that is nearly full."""
        answers = []
        while len(images):
            size = next(size for size in reversed(SIZES) if len(images) >= _FULL * size)
            part, images = images[:size], images[size:]
            self._watch(len(part))
            answers.append(self._network(part, views=views, batch_size=size))
        return np.concatenate(answers)

    def _explain(self, job: _Job) -> None:
        """Explain as many faces as a batch has."""
        from ferjax.explain import explain

        network: Any = self._network
        part = slice(job.explained, job.explained + SIZES[-1])
        targets = np.concatenate(job.answers)[part].argmax(axis=1)
        try:
            job.maps.append(explain(network, job.inputs[part], job.explain, targets))
        except ValueError as error:  # of a network that the method cannot explain
            _settle(job, Refusal(422, f"explain={job.explain} is not for this network: {error}."))
        except Exception as error:
            _settle(job, error)


def _not_running() -> Refusal:
    return Refusal(
        503,
        "The server's network is not running: start it anew where its log tells of a fault; within another "
        "application, run this one's lifespan.",
    )


def _settle(job: _Job, answer: Result | BaseException) -> None:
    """Give a job its answer, unless it was cancelled or has one."""
    if job.future.done() or not job.future.set_running_or_notify_cancel():
        return
    if isinstance(answer, BaseException):
        job.future.set_exception(answer)
    else:
        job.future.set_result(answer)
