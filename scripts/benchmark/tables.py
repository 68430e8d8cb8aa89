"""From results to ratios, Markdown and CSV; pure but for `read` and `write`."""

import csv
import io
import json
import math
import pathlib
import statistics
from typing import Any, NamedTuple

from benchmark.contenders import BARE, CONTENDERS, FERJAX

Result = dict[str, Any]
REFERENCE, OTHER_LAYOUT = "PyTorch, eager", "PyTorch, channels_last"
FAMILIES = {contender.name: contender.family for contender in CONTENDERS} | {BARE: "bare"}
TITLES = {
    "train": "Training, a batch that lies in memory, images/s",
    "pipeline": "Training with augmentation and input pipeline, images/s",
    "inference": "Inference, images/s",
    "launch": "From process start to the end of the first training step, s",
    "memory": "Peak memory of a process that trains, MB",
}
NOTES = {
    "train": "ferjax's process keeps the memory that it frees, as its commands do (glibc's mallopt); the others "
    "run as they come.",
    "inference": "Parameters are arguments of ferjax's and Keras on JAX's programs; onnxruntime has them as constants.",
    "pipeline": "ferjax is a real run of `python -m ferjax.main`, read through its metrics.jsonl; PyTorch a DataLoader "
    "with two processes and torchvision's transforms written out with PIL; Keras on TensorFlow its augmenting layers "
    "in tf.data; Keras on JAX the same layers in the model.",
    "launch": "First launch with empty caches, then again. ferjax is its own command line, which on the first launch "
    "reads and checks the data set; the others are the least script that trains on the prepared rows.",
}


class Ratio(NamedTuple):
    """One comparison; more is better, and `target` is what two CPU cores are to reach, if anything was set."""

    label: str
    value: float
    target: float | None = None
    at_most: bool = False
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value <= self.target if self.at_most else self.value >= self.target


def read(folder: pathlib.Path) -> list[Result]:
    """Every result of a folder, in the order of the tables."""
    order = ["same_work", *TITLES]
    results = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(results, key=lambda result: (order.index(result["task"]), result["batch"]))


def merge(old: Result, new: Result) -> Result:
    """Both results' rounds, where both were measured on the same; else the new ones."""
    if old["conditions"] != new["conditions"] or old.get("flops_per_image") != new.get("flops_per_image"):
        return new
    failed = {name: reason for name, reason in old.get("failed", {}).items() if name not in new["values"]}
    merged = {**new, "failed": {**failed, **new.get("failed", {})}}
    for part in ("values", "again", "latency_ms"):
        if part in new:
            before = old.get(part, {})
            merged[part] = {name: before.get(name, []) + new[part].get(name, []) for name in {**before, **new[part]}}
    if "peak_flops_per_s" in new:
        merged["peak_flops_per_s"] = old["peak_flops_per_s"] + new["peak_flops_per_s"]
    return merged


def summarize(result: Result, part: str = "values") -> dict[str, float]:
    """The median of each contender's rounds."""
    return {name: statistics.median(values) for name, values in result.get(part, {}).items()}


def best(medians: dict[str, float], families: set[str]) -> tuple[str, float] | None:
    """The fastest of some families, and how fast."""
    among = {name: value for name, value in medians.items() if FAMILIES[name] in families}
    return max(among.items(), key=lambda item: item[1]) if among else None


def compare(results: list[Result]) -> list[Ratio]:
    """ferjax against the best form of each family, the loop against the bare step, and how near to the peak."""
    ratios = []
    for result in results:
        task, batch, medians = result["task"], result["batch"], summarize(result)
        if FERJAX not in medians:
            continue
        where = f"batch {batch}"
        if task in ("train", "pipeline"):
            for family, target in (("PyTorch", 1.4), ("Keras", 2.2)):
                if other := best(medians, {family}):
                    name = f"{task}, {where}: ferjax / {other[0]}"
                    ratios.append(Ratio(name, medians[FERJAX] / other[1], target if task == "train" else None))
        if task == "pipeline" and BARE in medians:
            ratios.append(
                Ratio(f"{where}: ferjax's loop with augmentation / {BARE}", medians[FERJAX] / medians[BARE], 0.97)
            )
        if task == "inference" and (other := best(medians, {"PyTorch", "Keras", "onnxruntime"})):
            name = f"inference, {where}: ferjax / {other[0]}"
            ratios.append(Ratio(name, medians[FERJAX] / other[1], 1.2 if batch == 32 else None))
        if task == "launch" and (again := summarize(result, "again").get(FERJAX)):
            ratios.append(Ratio("second launch to the first step", again, 6.0, at_most=True, unit=" s"))
    return ratios


def utilizations(result: Result) -> dict[str, float]:
    """The share of the peak that each contender's training reaches, in direct FLOPs; empty where no peak is known."""
    peaks = [peak for peak in result.get("peak_flops_per_s", []) if peak]
    if not peaks:
        return {}
    factor = result["flops_per_image"] / statistics.median(peaks)
    return {name: factor * value for name, value in summarize(result).items()}


def largest_difference(results: list[Result], name: str = FERJAX) -> float | None:
    """The largest difference of a contender's losses from those of PyTorch, eager, in nats, if it was measured."""
    for result in results:
        if result["task"] == "same_work":
            pairs = zip(result["values"][name], result["values"][REFERENCE], strict=True)
            # A loss that is not a number must not pass for a small difference.
            return max((abs(a - b) for a, b in pairs), key=lambda value: (math.isnan(value), value))
    return None


def write(results: list[Result], out: pathlib.Path) -> str:
    """Write benchmark.md, benchmark.csv and benchmark.png; the Markdown again."""
    from benchmark.figure import draw

    text = to_markdown(results)
    (out / "benchmark.md").write_text(text, encoding="utf-8")
    (out / "benchmark.csv").write_text(to_csv(results), encoding="utf-8")
    draw(results, out / "benchmark.png")
    return text


def to_markdown(results: list[Result]) -> str:
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


def _same_work(results: list[Result]) -> list[str]:
    ours, theirs = (largest_difference(results, name) for name in (FERJAX, OTHER_LAYOUT))
    if ours is None:
        return []
    sentence = (
        "Same work: from the same parameters, over 5 steps on the same batches at a learning rate of 1e-6, ferjax's "
        f"losses differ by at most {ours:.1e} nats from PyTorch's, whose own two layouts differ by {theirs:.1e}. (At "
        "1e-4 Adam's first steps, little more than the gradient's sign, amplify rounding: there PyTorch's layouts "
        "differ from each other too.)"
    )
    return [sentence, ""]


def _describe(results: list[Result]) -> list[str]:
    """What was measured on what; several sentences where the results differ in it."""
    sentences = {}
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
    return (
        f"| {ratio.label} | {ratio.value:.{digits}f}{ratio.unit} | {target}{', missed' if ratio.met is False else ''} |"
    )


def _table(results: list[Result]) -> list[str]:
    columns = [(result, part) for result in results for part in ("values", "again") if part in result]
    names = [name for name in (FERJAX, BARE, *FAMILIES) if any(name in result[part] for result, part in columns)]
    failed = {name for result in results for name in result.get("failed", {})}
    heads = [
        f"batch {result['batch']}" + {"values": ", first" if "again" in result else "", "again": ", again"}[part]
        for result, part in columns
    ]
    rows = [f"| | {' | '.join(heads)} |", "|---" + "|---:" * len(heads) + "|"]
    for name in dict.fromkeys([*names, *sorted(failed)]):
        rows.append(f"| {name} | {' | '.join(_cell(result, part, name) for result, part in columns)} |")
    return rows


def _cell(result: Result, part: str, name: str) -> str:
    if name in result.get("failed", {}):
        return "failed"
    values, ours = result[part].get(name), result[part].get(FERJAX)
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


def _latency(results: list[Result]) -> list[str]:
    timed = [result for result in results if result.get("latency_ms")]
    if not timed:
        return []
    rows = ["Latency of one image, ms:", "", "| | p50 | p99 | calls |", "|---|---:|---:|---:|"]
    for name, values in timed[0]["latency_ms"].items():
        p50, p99 = quantile(values, 0.5), quantile(values, 0.99)
        rows.append(f"| {name} | {p50:.1f} | {p99:.1f} | {len(values)} |")
    return [*rows, ""]


def quantile(values: list[float], q: float) -> float:
    """The smallest value that at least `q` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * round(1000 * q) // 1000) - 1)]


def _utilization(results: list[Result]) -> list[str]:
    shares = {result["batch"]: utilizations(result) for result in results}
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


def to_csv(results: list[Result]) -> str:
    """A line for each round of each contender."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["task", "batch", "contender", "round", "value", "unit", "when"])
    for result in results:
        about = result["task"], result["batch"]
        for part, suffix in (("values", ""), ("again", "_again")):
            for name, values in result.get(part, {}).items():
                for number, value in enumerate(values, start=1):
                    row = (about[0] + suffix, about[1], name, number, f"{value:.6g}", result["unit"], result["when"])
                    writer.writerow(row)
        for name, values in result.get("latency_ms", {}).items():
            for q in (0.5, 0.99):
                label = f"latency_p{round(100 * q)}"
                writer.writerow((label, 1, name, "", f"{quantile(values, q):.6g}", "ms", result["when"]))
    return text.getvalue()
