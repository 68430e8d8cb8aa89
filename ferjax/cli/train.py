"""The main job: `python -m ferjax.main --config FILE --workdir DIR [--config.group.key=value ...]`.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 130 or 143 interrupted and
saved.
"""

import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import flags

from ferjax import runtime
from ferjax.cli import flags as commandline
from ferjax.errors import UserError

FLAGS = commandline.create_flags("The run's folder; workdir/<config's name> by default.")
flags.DEFINE_bool(
    "allow_config_change", False, "Go on in a workdir that was made with another config.", flag_values=FLAGS
)
flags.DEFINE_bool(
    "distributed",
    False,
    "Train with the other processes that Slurm, Open MPI, Kubernetes or a TPU pod started; or name them yourself:",
    flag_values=FLAGS,
)
flags.DEFINE_string("coordinator_address", None, "HOST:PORT of process 0.", flag_values=FLAGS)
flags.DEFINE_integer("process_count", None, "How many processes train.", flag_values=FLAGS, lower_bound=1)
flags.DEFINE_integer("process_index", None, "Which of them this is.", flag_values=FLAGS, lower_bound=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the flags, train, report, and turn what went wrong into a sentence and an exit code."""
    argv = list(sys.argv if argv is None else argv)
    code = commandline.start(FLAGS, argv, __doc__)
    if code is not None:
        return code
    name = pathlib.Path(commandline.find_config_file(argv)).stem
    workdir = pathlib.Path(FLAGS.workdir or pathlib.Path("workdir") / name)
    return commandline.finish(lambda: _run(workdir), workdir)


def _run(workdir: pathlib.Path) -> None:
    # These imports take seconds, which a wrong flag need not wait for.
    from ferjax import parallel
    from ferjax.training import run as train

    runtime.keep_compiled()
    _join(parallel.join_processes)
    if not parallel.is_main():
        commandline.be_quiet()
    config, change = FLAGS.config, FLAGS.allow_config_change
    with (
        commandline.leave_at_once(parallel.count_processes()),
        parallel.explain_memory(config.train.batch_size, len(config.train.seeds)),
    ):
        if config.train.seeds:
            _run_seeds(workdir)
            return
        train.run(config, workdir, allow_config_change=change)
    if parallel.is_main():
        from ferjax.cli import evaluate  # with matplotlib and scipy.stats, which the first step need not wait for

        evaluate.evaluate(workdir)


def _run_seeds(workdir: pathlib.Path) -> None:
    """Train the seeds and report on them, on those that ended well where one failed."""
    from ferjax.training import run as train

    failure = None
    try:
        reports = train.run_seeds(FLAGS.config, workdir, allow_config_change=FLAGS.allow_config_change)
    except train.FailedSeeds as error:
        reports, failure = error.reports, error
    from ferjax.cli import evaluate

    if reports:
        evaluate.evaluate_seeds(workdir, sorted(reports))
    if failure is not None:
        raise failure


def _join(join_processes: Callable[..., None]) -> None:
    named = {name: FLAGS[name].value for name in ("coordinator_address", "process_count", "process_index")}
    given = [name for name, value in named.items() if value is not None]
    if 0 < len(given) < len(named):
        missing = ", ".join(f"--{name}" for name in named if name not in given)
        raise UserError(f"--{given[0]} needs {missing} too, or leave all three out and say --distributed.")
    host, _, port = (FLAGS.coordinator_address or "").rpartition(":")
    if given and not (host and port.isdigit()):
        raise UserError(
            f"--coordinator_address={FLAGS.coordinator_address} is no HOST:PORT: for example 10.0.0.1:29500, with the "
            "host that process 0 runs on."
        )
    if given or FLAGS.distributed:
        join_processes(**named)
