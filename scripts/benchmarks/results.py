"""What was measured, as it is kept in files, and the ratios that it comes to; pure but for `read`."""

import json
import math
import pathlib
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Required, TypedDict

from scripts.benchmarks.contenders import BARE, FAMILIES, FERJAX

REFERENCE, OTHER_LAYOUT = "PyTorch, eager", "PyTorch, channels_last"
# In the order of the tables.
TASKS = ("same_work", "train", "pipeline", "inference", "launch", "memory")

# The figures of first and of second launches.
Launch = Literal["values", "again"]
Part = Literal["values", "again", "latency_ms"]
_PARTS: tuple[Part, ...] = ("values", "again", "latency_ms")
# Of each contender, a figure a round.
Rounds = dict[str, list[float]]


class Conditions(TypedDict):
    """The hardware, the versions and the data that a result was measured with."""

    cpu: str
    cores: int
    memory_gb: float
    python: str
    versions: dict[str, str]
    data: str


class Result(TypedDict, total=False):
    """One task at one batch size: a file of the folder `results`.

    `failed` says why a contender has no values. `again`, of launches, are the second ones. The losses of 'same_work'
    are its values, a list over its `steps`.
    """

    task: Required[str]
    batch: Required[int]
    unit: Required[str]
    values: Required[Rounds]
    failed: dict[str, str]
    prepare_s: dict[str, float]
    again: Rounds
    latency_ms: Rounds
    peak_flops_per_s: list[float | None]
    peak_source: str
    flops_per_image: float
    steps: int
    learning_rate: float
    conditions: Conditions
    when: str


class Ratio(NamedTuple):
    """One comparison; more is better unless `at_most`, and `target` is what two CPU cores are to reach, if anything."""

    label: str
    value: float
    target: float | None = None
    at_most: bool = False
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Return whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def read(folder: pathlib.Path) -> list[Result]:
    """Read every result of a folder, in the order of the tables."""
    results: list[Result] = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(results, key=lambda result: (TASKS.index(result["task"]), result["batch"]))


def merge(old: Result, new: Result) -> Result:
    """Return both results' rounds, where both were measured on the same; else the new ones."""
    if old["conditions"] != new["conditions"] or old.get("flops_per_image") != new.get("flops_per_image"):
        return new
    failed = {name: reason for name, reason in old.get("failed", {}).items() if name not in new["values"]}
    merged: Result = {**new, "failed": {**failed, **new.get("failed", {})}}
    for part in _PARTS:
        if part in new:
            before: Rounds = old.get(part, {})
            added: Rounds = new[part]
            merged[part] = {name: before.get(name, []) + added.get(name, []) for name in {**before, **added}}
    if "peak_flops_per_s" in new:
        merged["peak_flops_per_s"] = old["peak_flops_per_s"] + new["peak_flops_per_s"]
    return merged


def summarize(rounds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the median of each contender's rounds."""
    return {name: statistics.median(values) for name, values in rounds.items()}


def find_best(medians: Mapping[str, float], families: set[str]) -> tuple[str, float] | None:
    """Return the fastest of some families, and how fast it is."""
    among = {name: value for name, value in medians.items() if FAMILIES[name] in families}
    return max(among.items(), key=lambda item: item[1]) if among else None


def compare(results: Sequence[Result]) -> list[Ratio]:
    """Compare ferjax with the best form of each family, its loop with the bare step, and its second launch's time."""
    return [ratio for result in results for ratio in _compare(result)]


def _compare(result: Result) -> list[Ratio]:
    ratios = []
    task, batch, medians = result["task"], result["batch"], summarize(result["values"])
    if FERJAX not in medians:
        return []
    where = f"batch {batch}"
    if task in ("train", "pipeline"):
        for family, target in (("PyTorch", 1.4), ("Keras", 2.2)):
            if other := find_best(medians, {family}):
                name = f"{task}, {where}: ferjax / {other[0]}"
                ratios.append(Ratio(name, medians[FERJAX] / other[1], target if task == "train" else None))
    if task == "pipeline" and BARE in medians:
        name = f"{where}: ferjax's loop with augmentation / {BARE}"
        ratios.append(Ratio(name, medians[FERJAX] / medians[BARE], 0.97))
    if task == "inference" and (other := find_best(medians, {"PyTorch", "Keras", "onnxruntime"})):
        name = f"inference, {where}: ferjax / {other[0]}"
        ratios.append(Ratio(name, medians[FERJAX] / other[1], 1.2 if batch == 32 else None))
    if task == "launch" and (again := summarize(result.get("again", {})).get(FERJAX)):
        ratios.append(Ratio("second launch to the first step", again, 6.0, at_most=True, unit=" s"))
    return ratios


def find_utilizations(result: Result) -> dict[str, float]:
    """Return the share of the peak that each contender's training reaches, in direct FLOPs.

    It is empty where no peak is known.
    """
    peaks = [peak for peak in result.get("peak_flops_per_s", []) if peak]
    if not peaks:
        return {}
    factor = result["flops_per_image"] / statistics.median(peaks)
    return {name: factor * value for name, value in summarize(result["values"]).items()}


def find_largest_difference(results: Sequence[Result], name: str = FERJAX) -> float | None:
    """Return how far a contender's losses are from those of PyTorch, eager, at most, in nats; None if not measured."""
    for result in results:
        if result["task"] == "same_work":
            pairs = zip(result["values"][name], result["values"][REFERENCE], strict=True)
            # A loss that is not a number must not pass for a small difference.
            return max((abs(a - b) for a, b in pairs), key=lambda value: (math.isnan(value), value))
    return None


def find_quantile(values: Sequence[float], q: float) -> float:
    """Return the smallest value that at least `q` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(1000 * q) // 1000) - 1)]
