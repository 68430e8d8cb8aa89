"""Search over config keys.

    ferjax search --config FILE --workdir DIR --space KEY=VALUE,VALUE [...]

`python -m ferjax.search` is the same. For example:

    ferjax search --config optimal --workdir workdir/rates \\
      --space optim.learning_rate=1e-3,1e-4,1e-5 --space train.batch_size=2,32
    ferjax search --config compact --workdir workdir/tpe --sampler=tpe --trials=30 \\
      --pruner=median --space optim.learning_rate=log:1e-4..1e-2 --space model.dropout=0.0..0.5

A grid trains every combination of the listed values; tpe draws points, from values or intervals, where earlier ones
did well. Every trial is a run in DIR/trials/, judged by its best validation score; the test split is never read. The
same command goes on after a stop, and in another shell or on another host with the same DIR it is one more worker.
Results: DIR/search.json, .csv, .md, and DIR/figures/search.png.
"""

import argparse
import logging
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ferjax import runtime
from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser, file_path, whole_number
from ferjax.documents.words import count
from ferjax.errors import UserError

if TYPE_CHECKING:
    from ferjax.search.space import Space
    from ferjax.search.trials import Queue, Rules

logger = logging.getLogger("ferjax")


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, search, print the table; return the exit code."""
    runtime.keep_memory()
    given = sys.argv[1:] if arguments is None else arguments
    return endings.run(_create_parser(), given, lambda found: _search(found, given), folder=_find_folder, goes_on=True)


def _find_folder(found: argparse.Namespace) -> pathlib.Path:
    folder: pathlib.Path = found.workdir or pathlib.Path("workdir") / f"{found.config_file.stem}_search"
    return folder


def _create_parser() -> Parser:
    parser = Parser("ferjax search", f"{__doc__}\n{endings.EXIT_CODES}", takes_config=True)
    parser.add_argument(
        "--workdir",
        type=file_path,
        metavar="DIR",
        help="the folder of the search; workdir/<config's name>_search by default",
    )
    parser.add_argument(
        "--space",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help="a key and what it may be: KEY=VALUE,VALUE or KEY=LOW..HIGH or KEY=log:LOW..HIGH; once for each key",
    )
    parser.add_argument(
        "--sampler", default="grid", choices=["grid", "tpe"], help="all combinations in order, or drawn points"
    )
    parser.add_argument(
        "--trials", type=whole_number(1), metavar="N", help="how many points at most; every one by default"
    )
    parser.add_argument(
        "--pruner", default="none", choices=["none", "median"], help="median stops a trial that is behind most others"
    )
    parser.add_argument(
        "--pruner_startup_trials",
        type=whole_number(1),
        default=4,
        metavar="N",
        help="trials that end before one is pruned",
    )
    parser.add_argument(
        "--pruner_warmup_epochs",
        type=whole_number(0),
        default=1,
        metavar="N",
        help="epochs of a trial before it is pruned",
    )
    parser.add_argument(
        "--workers", type=whole_number(1), default=1, metavar="N", help="processes here, one a GPU where there are any"
    )
    parser.add_switch("--retry_failed", "try the failed trials again")
    return parser


def _read_rules(found: argparse.Namespace) -> tuple["Space", "Rules"]:
    """Read what is searched and how; raises FlagMistake for wrong keys and flags, UserError for wrong values."""
    from ferjax.config import KeyMistake, validate
    from ferjax.search.space import grid_size, parse_space
    from ferjax.search.trials import Rules

    validate(found.config)
    try:
        space = parse_space(found.space, found.config, found.sampler)
    except KeyMistake as mistake:
        raise FlagMistake(str(mistake)) from mistake
    if found.sampler == "tpe" and found.trials is None:
        raise FlagMistake("--trials is missing: --sampler=tpe draws points for as long as it is let.")
    rules = Rules(
        sampler=found.sampler,
        trials=grid_size(space) if found.trials is None else found.trials,
        pruner=found.pruner,
        startup_trials=found.pruner_startup_trials,
        warmup_epochs=found.pruner_warmup_epochs,
        seed=found.config.train.seed,
    )
    return space, rules


def _search(found: argparse.Namespace, arguments: Sequence[str]) -> None:
    folder, (space, rules) = _find_folder(found), _read_rules(found)
    # These imports take seconds, which a wrong flag need not wait for.
    from ferjax.locks import hold
    from ferjax.search.processes import run_workers
    from ferjax.search.results import draw, format_table, write_results
    from ferjax.search.worker import open_search, work

    runtime.keep_compiled()
    runtime.import_tensorboard()
    if found.workers == 1:  # else only the workers compute
        runtime.divide_cpu(found.config.parallel.cpu_devices)
        runtime.find_devices()
    metric = found.config.train.best_metric
    if found.config.eval.split == "auto":
        logger.info("Trials are compared on the validation split; the test split is not read.")
    config, queue = open_search(found.config, folder, space, rules)
    if found.retry_failed:
        logger.info("To be tried again: %s.", count(queue.retry_failed(), "failed trial"))
    if found.workers > 1 and not queue.is_complete():
        run_workers(arguments, found.workers, folder, _Watch(queue))
    else:
        work(config, queue)
    with hold(queue.lock):
        rows = write_results(queue, metric)
        path = draw(folder)
    print(format_table(rows, metric))
    for name in ("search.md", "search.json", "search.csv"):
        print(f"results  {folder / name}")
    if path is not None:
        print(f"figure   {path}")
    if rows[0]["rank"] is None and queue.is_complete():
        raise UserError(f"No trial of {folder} has finished: the table says why; --retry_failed tries them again.")
    if rows[0]["rank"] is not None:
        print(f"best     {shlex.join(f'--config.{key}={value}' for key, value in rows[0]['values'].items())}")


class _Watch:
    """Logs how each trial ended, in the process that only waits for its workers."""

    def __init__(self, queue: "Queue") -> None:
        self._queue = queue
        self._said = {name: trial.state for name, trial in queue.find_trials().items()}

    def __call__(self) -> None:
        for name, trial in self._queue.find_trials().items():
            if self._said.get(name) != trial.state:
                self._said[name] = trial.state
                score = "" if trial.value is None else f", {trial.value:.4f}"
                logger.info("%s: %s%s", name, trial.state.name.lower(), score)
