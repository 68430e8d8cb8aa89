"""Train by a config, evaluate the best epoch, report.

    ferjax train --config FILE --workdir DIR [--config.group.key=value ...]

`python -m ferjax.main` is the same.
"""

import argparse
import pathlib
from collections.abc import Callable, Sequence

from ferjax import runtime
from ferjax.cli import endings
from ferjax.cli.flags import Parser, file_path, whole_number
from ferjax.errors import UserError


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, train, report; return the exit code."""
    runtime.keep_memory()
    return endings.run(_create_parser(), arguments, _train, folder=_find_workdir, goes_on=True)


def _find_workdir(found: argparse.Namespace) -> pathlib.Path:
    folder: pathlib.Path = found.workdir or pathlib.Path("workdir") / found.config_file.stem
    return folder


def _create_parser() -> Parser:
    parser = Parser("ferjax train", f"{__doc__}\n{endings.EXIT_CODES}", takes_config=True)
    parser.add_argument(
        "--workdir", type=file_path, metavar="DIR", help="the run's folder; workdir/<config's name> by default"
    )
    parser.add_switch("--allow_config_change", "go on in a workdir that was made with another config")
    parser.add_switch(
        "--distributed",
        "train with the other processes that Slurm, Open MPI, Kubernetes or a TPU pod started; or name them yourself:",
    )
    parser.add_argument("--coordinator_address", metavar="HOST:PORT", help="the address of process 0")
    parser.add_argument("--process_count", type=whole_number(1), metavar="N", help="how many processes train")
    parser.add_argument("--process_index", type=whole_number(0), metavar="I", help="which of them this is")
    return parser


def _train(found: argparse.Namespace) -> None:
    # These imports take seconds, which a wrong flag need not wait for.
    from ferjax import parallel
    from ferjax.config import validate
    from ferjax.training import run

    config, workdir = found.config, _find_workdir(found)
    validate(config)
    runtime.keep_compiled()
    runtime.import_tensorboard()
    runtime.divide_cpu(config.parallel.cpu_devices)
    _join(found, parallel.join_processes)
    runtime.find_devices()
    if not parallel.is_main():
        endings.be_quiet()
    memory = parallel.explain_memory(config.train.batch_size, len(config.train.seeds))
    with endings.leave_at_once(parallel.count_processes(), _create_parser()), memory:
        if config.train.seeds:
            _train_seeds(found, workdir)
            return
        run.run(config, workdir, allow_config_change=found.allow_config_change)
    if parallel.is_main():
        from ferjax.cli import evaluate  # with matplotlib, which the first step need not wait for

        evaluate.evaluate(workdir)


def _train_seeds(found: argparse.Namespace, workdir: pathlib.Path) -> None:
    """Train the seeds and report on them; where one failed, on the others."""
    from ferjax.training import run

    failure = None
    try:
        reports = run.run_seeds(found.config, workdir, allow_config_change=found.allow_config_change)
    except run.FailedSeeds as error:
        reports, failure = error.reports, error
    from ferjax.cli import evaluate

    if reports:
        evaluate.evaluate_seeds(workdir, sorted(reports))
    if failure is not None:
        raise failure


def _join(found: argparse.Namespace, join_processes: Callable[..., None]) -> None:
    named = {name: getattr(found, name) for name in ("coordinator_address", "process_count", "process_index")}
    given = [name for name, value in named.items() if value is not None]
    if 0 < len(given) < len(named):
        missing = ", ".join(f"--{name}" for name in named if name not in given)
        raise UserError(f"--{given[0]} needs {missing} too, or leave all three out and say --distributed.")
    host, _, port = (found.coordinator_address or "").rpartition(":")
    if given and not (host and port.isdigit()):
        raise UserError(
            f"--coordinator_address={found.coordinator_address} is no HOST:PORT: for example 10.0.0.1:29500, with the "
            "host that process 0 runs on."
        )
    if given or found.distributed:
        join_processes(**named)
