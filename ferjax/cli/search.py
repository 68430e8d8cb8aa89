"""Search over config keys: `python -m ferjax.search --config FILE --workdir DIR --space KEY=VALUE,VALUE [...]`.

    python -m ferjax.search --config configs/optimal.py --workdir workdir/rates \
      --space optim.learning_rate=1e-3,1e-4,1e-5 --space train.batch_size=2,32
    python -m ferjax.search --config configs/compact.py --workdir workdir/tpe --sampler=tpe --trials=30 \
      --pruner=median --space optim.learning_rate=log:1e-4..1e-2 --space model.dropout=0.0..0.5

A grid trains every combination of the listed values; tpe draws points, from values or intervals, where earlier ones
did well. Every trial is a run in DIR/trials/, judged by its best validation score; the test split is never read. The
same command goes on after a stop, and in another shell or on another host with the same DIR it is one more worker.
Results: DIR/search.json, .csv, .md, and DIR/figures/search.png.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 130 or 143 interrupted and
saved.
"""

import logging
import pathlib
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from absl import flags

from ferjax import runtime
from ferjax.cli import flags as commandline
from ferjax.errors import UserError

if TYPE_CHECKING:
    from ferjax.search.space import Space
    from ferjax.search.trials import Queue, Rules

logger = logging.getLogger("ferjax")


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the flags, search, print the table, and turn what went wrong into a sentence and an exit code."""
    argv = list(sys.argv if argv is None else argv)
    values = _create_flags()
    code = commandline.start(values, argv, __doc__)
    if code is not None:
        return code

    from ferjax.config import KeyMistake, validate
    from ferjax.search.space import parse_space

    folder = pathlib.Path(values.workdir or f"workdir/{pathlib.Path(commandline.find_config_file(argv)).stem}_search")
    try:
        validate(values.config)
        space = parse_space(values.space, values.config, values.sampler)
        rules = _create_rules(values, space)
    except KeyMistake as error:
        return commandline.fail(str(error), 2)
    except UserError as error:
        return commandline.fail(str(error), 1)
    return commandline.finish(lambda: _search(values, argv, folder, space, rules), folder)


def _create_flags() -> flags.FlagValues:
    values = commandline.create_flags("The search's folder; workdir/<config's name>_search by default.")
    flags.DEFINE_multi_string(
        "space",
        [],
        "A key and what it may be: KEY=VALUE,VALUE or KEY=LOW..HIGH or KEY=log:LOW..HIGH.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "sampler", "grid", ["grid", "tpe"], "All combinations in order, or drawn points.", flag_values=values
    )
    flags.DEFINE_integer(
        "trials", None, "How many points at most; every one by default.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_enum(
        "pruner", "none", ["none", "median"], "median stops a trial that is behind most others.", flag_values=values
    )
    flags.DEFINE_integer(
        "pruner_startup_trials", 4, "Finished trials before one is pruned.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "pruner_warmup_epochs", 1, "Epochs of a trial before it is pruned.", lower_bound=0, flag_values=values
    )
    flags.DEFINE_integer(
        "workers", 1, "Processes on this machine, one a GPU where there are any.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_bool("retry_failed", False, "Try the failed trials again.", flag_values=values)
    return values


def _create_rules(values: flags.FlagValues, space: "Space") -> "Rules":
    from ferjax.config import KeyMistake
    from ferjax.search.space import grid_size
    from ferjax.search.trials import Rules

    if values.sampler == "tpe" and values.trials is None:
        raise KeyMistake("--trials is missing: --sampler=tpe draws points for as long as it is let.")
    return Rules(
        sampler=values.sampler,
        trials=grid_size(space) if values.trials is None else values.trials,
        pruner=values.pruner,
        startup_trials=values.pruner_startup_trials,
        warmup_epochs=values.pruner_warmup_epochs,
        seed=values.config.train.seed,
    )


def _search(
    values: flags.FlagValues, argv: Sequence[str], folder: pathlib.Path, space: "Space", rules: "Rules"
) -> None:
    # These imports take seconds, which a wrong flag need not wait for.
    from ferjax.locks import hold
    from ferjax.search.processes import run_workers
    from ferjax.search.results import draw, format_table, write_results
    from ferjax.search.worker import open_search, work

    runtime.keep_compiled()
    metric = values.config.train.best_metric
    if values.config.eval.split == "auto":
        logger.info("Trials are compared on the validation split; the test split is not read.")
    config, queue = open_search(values.config, folder, space, rules)
    if values.retry_failed:
        logger.info("%d failed trials are tried again.", queue.retry_failed())
    if values.workers > 1 and not queue.is_complete():
        run_workers(argv, values.workers, folder, _Watch(queue))
    else:
        work(config, queue)
    with hold(queue.lock):
        rows = write_results(queue, metric)
        path = draw(folder)
    print(format_table(rows, metric))
    for name in ("search.md", "search.json", "search.csv"):
        print(f"results  {folder / name}")
    print(f"figure   {path}")
    if rows[0]["rank"] is None and queue.is_complete():
        raise UserError(f"No trial of {folder} has finished: the table says why; --retry_failed tries them again.")
    if rows[0]["rank"] is not None:
        print(f"best     {shlex.join(f'--config.{key}={value}' for key, value in rows[0]['values'].items())}")


class _Watch:
    """Says of every trial what it came to, for the process that only waits for its workers."""

    def __init__(self, queue: "Queue") -> None:
        self._queue = queue
        self._said = {name: trial.state for name, trial in queue.find_trials().items()}

    def __call__(self) -> None:
        for name, trial in self._queue.find_trials().items():
            if self._said.get(name) != trial.state:
                self._said[name] = trial.state
                score = "" if trial.value is None else f", {trial.value:.4f}"
                logger.info("%s: %s%s", name, trial.state.name.lower(), score)
