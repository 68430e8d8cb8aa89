"""Work on items in threads and hand the results on in order, only a few at a time, so that memory stays bounded."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 3  # items for each worker


def map_ahead(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int = 2) -> Iterator[Result]:
    """Yield function(item) of every item, in order.

    Items are taken in the calling thread, a few before their results are asked for.
    """
    pool = concurrent.futures.ThreadPoolExecutor(workers)
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > _AHEAD * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # Without waiting: where nobody asks for the rest, Python may end this in one of the pool's own threads.
        pool.shutdown(wait=False, cancel_futures=True)
