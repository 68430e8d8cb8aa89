"""Compile a run's training step for a GPU or a TPU that is not here, and count its kernels and their bytes.

    bash scripts/count_kernels.sh --config random_init --device h200 --steps 100 [--config.group.key=value ...]

It tells no times: those only a device has. On a GPU the algorithms of convolutions and products are chosen by the
compiler's model instead of by trying them. --steps 1 is a program of one step; more is the loop that a run dispatches.
"""

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax

from ferjax.cli import endings
from ferjax.cli.flags import Parser, whole_number
from ferjax.config import check
from ferjax.errors import UserError
from scripts.ahead.step import describe_dispatch
from scripts.ahead.tally import tally
from scripts.ahead.targets import TARGETS


def main(arguments: Sequence[str] | None = None) -> int:
    """Compile, print the table, and write what was asked for; return the exit code."""
    return endings.run(_create_parser(), arguments, _count, folder=lambda _: pathlib.Path.cwd())


def _create_parser() -> Parser:
    parser = Parser("scripts/count_kernels.sh", f"{__doc__}\n{endings.EXIT_CODES}", takes_config=True)
    parser.add_argument(
        "--device", choices=sorted(TARGETS), default="h200", help="what to compile for; h200 by default"
    )
    parser.add_argument(
        "--steps", type=whole_number(1), default=100, help="the most steps of the program; 100 by default"
    )
    parser.add_argument("--seeds", type=whole_number(1), default=1, help="how many seeds train side by side")
    parser.add_argument("--hlo", type=pathlib.Path, metavar="FILE", help="write the compiled program there, as text")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE", help="write the counts there")
    return parser


def _count(found: argparse.Namespace) -> None:
    counts = compile_and_count(check(found.config), found.device, found.steps, found.seeds, found.hlo)
    if found.json:
        found.json.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    print(f"{'kernels':>8} {'MB read':>9} {'MB written':>11}  kind")
    for kind, (kernels, read, written) in counts["kinds"].items():
        print(f"{kernels:8} {read / 1e6:9.1f} {written / 1e6:11.1f}  {kind}")
    print(
        f"{counts['kernels']} kernels and {counts['bytes'] / 1e6:,.0f} MB a step, {counts['transposes']} of them "
        f"transposes; {counts['temporary_bytes'] / 1e6:,.0f} MB of temporary memory; "
        f"compiled in {counts['compile_s']:.1f} s."
    )


def compile_and_count(
    config: Any, device: str, steps: int, seeds: int = 1, hlo: pathlib.Path | None = None
) -> dict[str, Any]:
    """Compile the dispatch of a config for a device, and count. Raises UserError where its compiler is missing."""
    target = TARGETS[device]
    try:
        there = target.find_device()
    except (RuntimeError, ValueError, AssertionError, NotImplementedError) as error:
        raise UserError(
            f"jax {jax.__version__} finds no compiler for {device} ({str(error).splitlines()[0]}): "
            f"pip install --no-deps {target.package}=={jax.__version__} brings it, and no device is needed."
        ) from error
    dispatch, shapes = describe_dispatch(config, steps, seeds, there)
    lowered = jax.jit(dispatch, donate_argnums=0).trace(*shapes).lower(lowering_platforms=(target.platform,))
    start_s = time.perf_counter()
    compiled = lowered.compile()
    compile_s = time.perf_counter() - start_s
    text = compiled.as_text()
    if hlo:
        hlo.write_text(text, encoding="utf-8")
    kinds = tally(text)
    memory = compiled.memory_analysis()
    return {
        "device": there.device_kind,
        "jax": jax.__version__,
        "kernels": sum(count.kernels for count in kinds.values()),
        "bytes": sum(count.read + count.written for count in kinds.values()),
        "transposes": sum(count.kernels for kind, count in kinds.items() if "transpose" in kind or kind == "copy"),
        "temporary_bytes": memory.temp_size_in_bytes if memory else 0,
        "compile_s": compile_s,
        "kinds": {kind: (count.kernels, count.read, count.written) for kind, count in kinds.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
