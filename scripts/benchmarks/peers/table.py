"""The results of ferjax and its peers in use as one table; pure."""

import statistics
from collections.abc import Sequence

from ferjax.documents.table import Table
from scripts.benchmarks.contenders import FERJAX
from scripts.benchmarks.peers.packages import CROPS
from scripts.benchmarks.results import Result

FAILED, RATIO = "failed", "ferjax / it"


def make_table(results: Sequence[Result]) -> Table:
    """Make a row for each contender; of each result it has the median of the rounds, and ferjax's divided by it."""
    names = dict.fromkeys(name for result in results for name in (*result["values"], *result["failed"]))
    rows = [(name, *(cell for result in results for cell in _make_cells(result, name))) for name in names]
    header = [text for result in results for text in (_name(result), RATIO)]
    return Table(("", *header), tuple(rows), words=("",))


def _name(result: Result) -> str:
    what = f"crops, batch {result['batch']}" if result["task"] == CROPS else "picture 640x360"
    return f"{what}, {result['unit']}"


def _make_cells(result: Result, name: str) -> tuple[str, str]:
    if name in result["failed"]:
        return FAILED, ""
    if name not in result["values"]:
        return "", ""
    rate = statistics.median(result["values"][name])
    text = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
    if name == FERJAX or FERJAX not in result["values"]:
        return text, ""
    return text, f"{statistics.median(result['values'][FERJAX]) / rate:.2f}x"


def list_failures(results: Sequence[Result]) -> list[str]:
    """Say of everything that failed why."""
    return [
        f"{_name(result)}: {name}: {reason}" for result in results for name, reason in sorted(result["failed"].items())
    ]


def list_starts(results: Sequence[Result]) -> list[str]:
    """Say how long each contender took to load its network, compile and answer first, without its imports."""
    names = dict.fromkeys(name for result in results for name in result["prepare_s"])
    longest = {name: max(result["prepare_s"].get(name, 0.0) for result in results) for name in names}
    return [f"{name} {seconds:.1f} s" for name, seconds in longest.items()]
