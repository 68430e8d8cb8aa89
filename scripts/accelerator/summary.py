"""The results as a page of Markdown that a person reads, from the lines of results.jsonl."""

import json
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from scripts.accelerator.recorder import RESULTS_FILE

Line = dict[str, Any]


def summarize(out: pathlib.Path) -> str:
    """Return the page; what is missing was not reached."""
    path = out / RESULTS_FILE
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    lines: list[Line] = [json.loads(line) for line in text.splitlines()]
    parts = [_describe_device(lines)]
    for title, columns, rows in (
        ("Speed", _SPEED, _find(lines, "speed")),
        ("PyTorch", _PEER, _find(lines, "PyTorch")),
        ("Ceilings", ("dtype", "precision", "tflops", "peak"), _find(lines, "product")),
        ("Against the CPU", ("what", "dtype", "precision", "worst", "bound", "passed"), _find_checks(lines)),
        ("Same bits", ("run", "predictions", "first_step_apart", "passed"), _find(lines, "same bits")),
        ("Time to accuracy", ("dtype", "data", "seconds", "best"), _find(lines, "time to accuracy")),
        ("The report's settings", ("config", "mean", "std", "seconds", "finished"), _find(lines, "study")),
    ):
        if rows:
            parts.append(f"## {title}\n\n{_draw(columns, rows)}")
    failed = [line for line in lines if "error" in line or line.get("passed") is False]
    if failed:
        told = "\n".join(f"- {json.dumps(line)[:400]}" for line in failed)
        parts.append(f"## What failed\n\n{told}")
    left_out = [line for line in lines if line["what"] in ("left out", "broken off")]
    if left_out:
        parts.append("## Left out or broken off\n\n" + "\n".join(f"- {json.dumps(line)[:200]}" for line in left_out))
    return "\n\n".join(parts) + "\n"


_SPEED = (
    *("network", "batch", "dtype", "precision", "steps_a_dispatch", "known_length", "augmented", "seeds", "options"),
    *("deterministic", "images_per_s", "utilization", "ms_a_step", "program_mb", "compile_s"),
)
_PEER = ("form", "batch", "dtype", "images_per_s", "utilization", "peak_mb_so_far")


def _find(lines: Iterable[Line], what: str) -> list[Line]:
    return [line for line in lines if line["what"] == what and "error" not in line]


def _find_checks(lines: Iterable[Line]) -> list[Line]:
    checks = [line for line in lines if line["stage"] == "numerics" and "passed" in line]
    return [line | {"worst": line.get("worst", max(line.get("errors", [0.0])))} for line in checks]


def _describe_device(lines: Iterable[Line]) -> str:
    device = next(iter(_find(lines, "device")), None)
    if device is None:
        return "# Accelerator check\n\nNo device was reached."
    packages = ", ".join(f"{name} {version}" for name, version in device["start"]["packages"].items())
    return f"# Accelerator check\n\n{device['count']} x {device['kind']}; {packages}."


def _draw(columns: Sequence[str], rows: Sequence[Line]) -> str:
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    lines += [f"| {' | '.join(_write(row.get(column)) for column in columns)} |" for row in rows]
    return "\n".join(lines)


def _write(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
