"""Counting what an optimised HLO module does in one step: kernels, and the bytes that they read and write."""

import collections
import dataclasses
import math
import re

_SIZES = {"f64": 8, "s64": 8, "u64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}
_SHAPE = re.compile(r"\b([a-z]+\d+[a-z0-9]*|pred)\[([\d,]*)\]")
_LINE = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][a-z0-9\-]*)\((.*?)\)(, .*)?$")
# They name values and start no kernel.
_NAMES = frozenset({"parameter", "get-tuple-element", "bitcast", "tuple", "constant", "after-all", "partition-id"})
# What is worth telling apart within a fusion, the first that is found.
_TOLD = ("transpose", "scatter", "gather", "sort", "dot", "reduce", "pad", "concatenate", "dynamic-update-slice")


@dataclasses.dataclass
class Count:
    """How many kernels of a kind there are, and how many bytes they read and write."""

    kernels: int = 0
    read: int = 0
    written: int = 0


def tally(module: str) -> dict[str, Count]:
    """Count the kernels of one step by kind: of the largest computation that runs once a step.

    That is the body of the loop over steps where there is one, else the entry. Bytes are those of each kernel's
    operands and results, as if nothing stayed in a cache.
    """
    computations = _split(module)
    body = _find_step(computations)
    shapes: dict[str, str] = {}
    counts: dict[str, Count] = collections.defaultdict(Count)
    for line in body.splitlines():
        found = _LINE.match(line)
        if found is None:
            continue
        name, shape, operation, operands, rest = found.groups()
        shapes[name] = shape
        if operation in _NAMES:
            continue
        count = counts[_find_kind(operation, rest or "", computations)]
        count.kernels += 1
        count.written += count_bytes(shape)
        for operand in operands.split(","):
            count.read += count_bytes(shapes.get(operand.strip().rpartition(" ")[2].lstrip("%"), ""))
    return dict(sorted(counts.items(), key=lambda item: -item[1].read - item[1].written))


def count_bytes(shape: str) -> int:
    """Count the bytes of a shape as HLO writes it, a tuple's parts included."""
    return sum(
        _SIZES.get(kind, 1) * math.prod(int(size) for size in sizes.split(",") if size)
        for kind, sizes in _SHAPE.findall(shape)
    )


def _split(module: str) -> dict[str, str]:
    found = {}
    for block in re.split(r"\n(?=\S.*\{\s*\n)", module):
        if name := re.match(r"\s*(?:ENTRY )?%?([\w.\-]+) \(", block):
            found[name[1]] = block
    return found


def _find_step(computations: dict[str, str]) -> str:
    entry = next(text for text in computations.values() if text.lstrip().startswith("ENTRY"))
    bodies = [computations[name] for name in re.findall(r" while\(.*?body=%?([\w.\-]+)", entry)]
    # Sorting and drawing permutations are small loops of their own.
    largest = max(bodies, key=len, default="")
    return largest if len(largest) > len(entry) else entry


def _find_kind(operation: str, rest: str, computations: dict[str, str]) -> str:
    if operation == "custom-call" and (target := re.search(r'custom_call_target="([^"]+)"', rest)):
        return target[1]
    if operation == "fusion" and (called := re.search(r"calls=%?([\w.\-]+)", rest)):
        inside = set(re.findall(r" ([a-z][a-z0-9\-]*)\(", computations.get(called[1], "")))
        return f"fusion with {next((kind for kind in _TOLD if kind in inside), 'arithmetic only')}"
    return operation
