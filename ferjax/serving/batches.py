"""Faces of many requests in one batch: a thread that waits a little for those on their way, and calls the network."""

import concurrent.futures
import contextlib
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, Protocol

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


class Result(NamedTuple):
    """What the network says of some faces, and where it looked, if that was asked."""

    probabilities: Float32[np.ndarray, "n k"]
    maps: Float32[np.ndarray, "n h w"] | None


class Submit(Protocol):
    """Has faces, [n, h, w, c] as the network takes them, classified, and explained by a method of explain."""

    def __call__(
        self, inputs: np.ndarray, views: str, explain: str = "none"
    ) -> "concurrent.futures.Future[Result]": ...


@dataclasses.dataclass(frozen=True)
class _Job:
    inputs: np.ndarray
    views: str
    explain: str
    future: "concurrent.futures.Future[Result]"


class Batches:
    """Classifies faces in a thread of its own; `watch` is told how many faces each batch has.

    `wait_s` is how long a face waits at most for the faces of other requests, while there are any in which faces are
    still sought: for long where they will fill a batch (_PATIENCE), and not at all where there are none.
    """

    def __init__(self, network: Classifier, *, wait_s: float, watch: Callable[[int], None] = lambda _: None) -> None:
        self._network, self._wait_s, self._watch = network, wait_s, watch
        # None is the end; a request without faces is told as one without a job.
        self._jobs: queue.SimpleQueue[_Job | Literal["none"] | None] = queue.SimpleQueue()
        self._coming = 0
        self._thread = threading.Thread(target=self._work, name="ferjax-batches", daemon=True)

    def start(self) -> None:
        """Compile the network for every size of a batch, and begin to work."""
        height, width, channels = self._network.fit(np.zeros((1, 48, 48), np.uint8)).shape[1:]
        for size in SIZES:
            self._network(np.zeros((size, height, width, channels), np.uint8), views="none", batch_size=size)
        self._thread.start()

    @property
    def works(self) -> bool:
        return self._thread.is_alive()

    @contextlib.contextmanager
    def expect(self) -> Iterator[Submit]:
        """Announce a request whose faces are still to be found; the block gets what submits them.

        It may end without that. All requests are announced by one thread, that of the event loop. Raises Refusal where
        the thread that classifies is not running, which would let them wait for ever.
        """
        if not self.works:
            raise Refusal(503, "The server's network is not running: its log says why, and a new start helps.")
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
        return future

    def stop(self) -> None:
        """End when all that has been submitted is done."""
        self._jobs.put(None)
        if self.works:
            self._thread.join()

    def _work(self) -> None:
        going = True
        while going:
            jobs, going = self._collect()
            for views in dict.fromkeys(job.views for job in jobs):
                self._classify([job for job in jobs if job.views == views], views)

    def _collect(self) -> tuple[list[_Job], bool]:
        """Wait for a face, then a little for those on their way; return them, and whether there may be more."""
        jobs: list[_Job] = []
        start_s = 0.0
        while (count := sum(len(job.inputs) for job in jobs)) < SIZES[-1]:
            patience = 0 if not self._coming else _PATIENCE if count + self._coming >= SIZES[-1] else 1
            left_s = max(0.0, start_s + patience * self._wait_s - time.monotonic())
            try:
                job = self._jobs.get(timeout=left_s if jobs else None)
            except queue.Empty:
                break
            if job is None:
                return jobs, False
            if job == "none":
                continue
            if not jobs:
                start_s = time.monotonic()
            jobs.append(job)
        return jobs, True

    def _classify(self, jobs: Sequence[_Job], views: str) -> None:
        # From here on a job cannot be cancelled: its answer would have no place, and end this thread.
        jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
        if not jobs:
            return
        try:
            probabilities = self._call(np.concatenate([job.inputs for job in jobs]), views)
        except Exception as error:
            for job in jobs:
                job.future.set_exception(error)
            return
        first = 0
        for job in jobs:
            own = probabilities[first : first + len(job.inputs)]
            first += len(job.inputs)
            try:
                maps = None if job.explain == "none" else self._explain(job, own)
                job.future.set_result(Result(own, maps))
            except Exception as error:
                job.future.set_exception(error)

    def _call(self, images: np.ndarray, views: str) -> Float32[np.ndarray, "n k"]:
        """Call the network with batches of SIZES, each the largest that is nearly full."""
        answers = []
        while len(images):
            size = next(size for size in reversed(SIZES) if len(images) >= _FULL * size)
            part, images = images[:size], images[size:]
            self._watch(len(part))
            answers.append(self._network(part, views=views, batch_size=size))
        return np.concatenate(answers)

    def _explain(self, job: _Job, probabilities: Float32[np.ndarray, "n k"]) -> Float32[np.ndarray, "n h w"]:
        from ferjax.explain import explain

        network: Any = self._network
        try:
            return explain(network, job.inputs, job.explain, probabilities.argmax(axis=1))
        except ValueError as error:  # of a network that the method cannot explain
            raise Refusal(422, f"explain={job.explain} is not for this network: {error}.") from error
