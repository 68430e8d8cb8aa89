"""The benchmark's results as Markdown and as CSV; pure."""

import csv
import io
import statistics
import types
from collections.abc import Mapping, Sequence

from scripts.benchmarks.contenders import BARE, FAMILIES, FERJAX
from scripts.benchmarks.results import (
    OTHER_LAYOUT,
    Launch,
    Ratio,
    Result,
    Rounds,
    compare,
    find_largest_difference,
    find_quantile,
    find_utilizations,
)

TITLES: Mapping[str, str] = types.MappingProxyType(
    {
        "train": "Training, a batch that lies in memory, images/s",
        "pipeline": "Training with augmentation and input pipeline, images/s",
        "inference": "Inference, images/s",
        "launch": "From process start to the end of the first training step, s",
        "memory": "Peak memory of a process that trains, MB",
    }
)
NOTES: Mapping[str, str] = types.MappingProxyType(
    {
        "train": "ferjax's process keeps the memory that it frees, as its commands do (glibc's mallopt); the others "
        "run as they come.",
        "inference": "Parameters are arguments of ferjax's and Keras on JAX's programs; onnxruntime has them as "
        "constants.",
        "pipeline": "ferjax is a real run of `python -m ferjax.main`, read through its metrics.jsonl; PyTorch a "
        "DataLoader with two processes and torchvision's transforms written out with PIL; Keras on TensorFlow its "
        "augmenting layers in tf.data; Keras on JAX the same layers in the model.",
        "launch": "First launch with empty caches, then again. ferjax is its own command line, which on the first "
        "launch reads and checks the data set; the others are the least script that trains on the prepared rows.",
    }
)


def to_markdown(results: Sequence[Result]) -> str:
    """Write the ratios, then a table for each task that was measured."""
    lines = ["# ferjax beside its peers: VGG19 at 48 px, float32, Adam", "", *_describe(results), ""]
    lines += ["| comparison | | target on two CPU cores |", "|---|---:|---|", *map(_ratio_row, compare(results)), ""]
    lines += _same_work(results)
    lines += [
        "In each cell: the median, from the lowest to the highest round, and how many times better ferjax is.",
        "",
    ]
    for task, title in TITLES.items():
        some = [result for result in results if result["task"] == task]
        if some:
            lines += [f"## {title}", "", *_table(some), ""]
            lines += [NOTES[task], ""] if task in NOTES else []
            lines += _latency(some) + _utilization(some)
    return "\n".join(lines).rstrip() + "\n"


def _same_work(results: Sequence[Result]) -> list[str]:
    ours, theirs = (find_largest_difference(results, name) for name in (FERJAX, OTHER_LAYOUT))
    if ours is None:
        return []
    sentence = (
        "Same work: from the same parameters, over 5 steps on the same batches at a learning rate of 1e-6, ferjax's "
        f"losses differ by at most {ours:.1e} nats from PyTorch's, whose own two layouts differ by {theirs:.1e}. (At "
        "1e-4 Adam's first steps, little more than the gradient's sign, amplify rounding: there PyTorch's layouts "
        "differ from each other too.)"
    )
    return [sentence, ""]


def _describe(results: Sequence[Result]) -> list[str]:
    """Say what was measured on what, in several sentences where the results differ in it."""
    sentences: dict[str, list[str]] = {}
    for result in results:
        c = result["conditions"]
        versions = ", ".join(f"{name} {version}" for name, version in c["versions"].items())
        text = (
            f"{c['cpu']}, {c['cores']} cores, {c['memory_gb']} GB; Python {c['python']}, {versions}; data: {c['data']}."
        )
        sentences.setdefault(text, []).append(result["when"][:10])
    return [f"{text} Measured {' to '.join(sorted({min(days), max(days)}))}." for text, days in sentences.items()]


def _ratio_row(ratio: Ratio) -> str:
    digits = 1 if ratio.unit != "x" else 2
    target = "" if ratio.target is None else f"{'at most' if ratio.at_most else 'at least'} {ratio.target}{ratio.unit}"
    missed = ", missed" if ratio.met is False else ""
    return f"| {ratio.label} | {ratio.value:.{digits}f}{ratio.unit} | {target}{missed} |"


def _table(results: Sequence[Result]) -> list[str]:
    parts: tuple[Launch, ...] = ("values", "again")
    columns = [(result, part) for result in results for part in parts if part in result]
    names = [name for name in (FERJAX, BARE, *FAMILIES) if any(name in result[part] for result, part in columns)]
    failed = {name for result in results for name in result.get("failed", {})}
    heads = [
        f"batch {result['batch']}" + {"values": ", first" if "again" in result else "", "again": ", again"}[part]
        for result, part in columns
    ]
    rows = [f"| | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
    for name in dict.fromkeys([*names, *sorted(failed)]):
        rows.append(f"| {name} | {' | '.join(_cell(result, result[part], name) for result, part in columns)} |")
    return rows


def _cell(result: Result, rounds: Rounds, name: str) -> str:
    if name in result.get("failed", {}):
        return "failed"
    values, ours = rounds.get(name), rounds.get(FERJAX)
    if not values:
        return ""
    median = statistics.median(values)
    text = _number(median)
    if len(values) > 1:
        text += f" ({_number(min(values))} to {_number(max(values))})"
    if ours and name != FERJAX:
        ratio = statistics.median(ours) / median
        text += f", {ratio if result['unit'] == 'images/s' else 1 / ratio:.2f}x"
    return text


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _latency(results: Sequence[Result]) -> list[str]:
    timed = [result["latency_ms"] for result in results if result.get("latency_ms")]
    if not timed:
        return []
    rows = ["Latency of one image, ms:", "", "| | p50 | p99 | calls |", "|---|---:|---:|---:|"]
    for name, values in timed[0].items():
        p50, p99 = find_quantile(values, 0.5), find_quantile(values, 0.99)
        rows.append(f"| {name} | {p50:.1f} | {p99:.1f} | {len(values)} |")
    return [*rows, ""]


def _utilization(results: Sequence[Result]) -> list[str]:
    shares = {result["batch"]: find_utilizations(result) for result in results}
    shares = {batch: share for batch, share in shares.items() if share}
    if not shares:
        return []
    source = next(result["peak_source"] for result in results if "peak_source" in result)
    rows = [
        f"Share of the peak ({source}), counting each convolution as done directly, which Winograd is not:",
        "",
        f"| | {' | '.join(f'batch {batch}' for batch in shares)} |",
        "|---" + "|---:" * len(shares) + "|",
    ]
    for name in dict.fromkeys(name for share in shares.values() for name in share):
        cells = (f"{100 * share[name]:.0f} %" if name in share else "" for share in shares.values())
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return [*rows, ""]


def to_csv(results: Sequence[Result]) -> str:
    """Write a line for each round of each contender."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "batch", "contender", "round", "value", "unit", "when"])
    for result in results:
        task, batch, unit, when = result["task"], result["batch"], result["unit"], result["when"]
        for label, rounds in ((task, result["values"]), (f"{task}_again", result.get("again", {}))):
            for name, values in rounds.items():
                for number, value in enumerate(values, start=1):
                    writer.writerow((label, batch, name, number, f"{value:.6g}", unit, when))
        for name, values in result.get("latency_ms", {}).items():
            for q in (0.5, 0.99):
                label = f"latency_p{round(100 * q)}"
                writer.writerow((label, 1, name, "", f"{find_quantile(values, q):.6g}", "ms", when))
    return text.getvalue()
