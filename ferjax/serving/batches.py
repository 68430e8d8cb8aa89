"""Faces of many requests in one batch: a thread that waits some milliseconds for more before it calls the network."""

import concurrent.futures
import dataclasses
import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32

from ferjax.inference.faces import Classifier

# How many faces a batch has: the least of these that takes all that wait. Each is compiled once.
SIZES = (1, 8, 64)


class Result(NamedTuple):
    """What the network says of some faces, and where it looked, if that was asked."""

    probabilities: Float32[np.ndarray, "n k"]
    maps: Float32[np.ndarray, "n h w"] | None


@dataclasses.dataclass(frozen=True)
class _Job:
    inputs: np.ndarray
    views: str
    explain: str
    future: "concurrent.futures.Future[Result]"


class Batches:
    """Classifies faces in a thread of its own; `wait_s` is how long the first face waits for others.

    `watch` is told the size of every batch.
    """

    def __init__(self, network: Classifier, *, wait_s: float, watch: Callable[[int], None] = lambda _: None) -> None:
        self._network, self._wait_s, self._watch = network, wait_s, watch
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
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

    def submit(self, inputs: np.ndarray, views: str, explain: str = "none") -> "concurrent.futures.Future[Result]":
        """Have faces, [n, h, w, c] as the network takes them, classified, and explained by a method of explain."""
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
        """Wait for a face, then a little longer for others; return them, and whether there may be more."""
        jobs: list[_Job] = []
        deadline_s = float("inf")
        while sum(len(job.inputs) for job in jobs) < SIZES[-1]:
            left_s = deadline_s - time.monotonic()
            try:
                job = self._jobs.get(timeout=None if jobs == [] else max(0.0, left_s))
            except queue.Empty:
                break
            if job is None:
                return jobs, False
            if not jobs:
                deadline_s = time.monotonic() + self._wait_s
            jobs.append(job)
        return jobs, True

    def _classify(self, jobs: Sequence[_Job], views: str) -> None:
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
        """Call the network with batches of SIZES, the last of them the least that suffices."""
        answers = []
        for first in range(0, len(images), SIZES[-1]):
            part = images[first : first + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(part))
            self._watch(len(part))
            answers.append(self._network(part, views=views, batch_size=size))
        return np.concatenate(answers)

    def _explain(self, job: _Job, probabilities: Float32[np.ndarray, "n k"]) -> Float32[np.ndarray, "n h w"]:
        from ferjax.explain import explain

        network: Any = self._network
        return explain(network, job.inputs, job.explain, probabilities.argmax(axis=1))
