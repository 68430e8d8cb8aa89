"""The main job: `python -m ferjax.main --config FILE --workdir DIR [--config.group.key=value ...]`.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 130 or 143 interrupted and
saved.
"""

import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import flags

from ferjax import commandline
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
    from ferjax import parallel, train

    commandline.keep_compiled()
    _join(parallel.join_processes)
    if not parallel.is_main():
        commandline.be_quiet()
    change = FLAGS.allow_config_change
    with commandline.leave_without_lost(parallel.count_processes()), commandline.explain_memory(FLAGS.config):
        if FLAGS.config.train.seeds:
            train.run_seeds(FLAGS.config, workdir, allow_config_change=change)
        else:
            train.run(FLAGS.config, workdir, allow_config_change=change)
    if not parallel.is_main():
        return
    from ferjax import evaluate  # with matplotlib and scipy.stats, which the first step need not wait for

    if FLAGS.config.train.seeds:
        evaluate.evaluate_seeds(workdir, FLAGS.config.train.seeds)
    else:
        evaluate.evaluate(workdir)


def _join(join_processes: Callable[..., None]) -> None:
    named = {name: FLAGS[name].value for name in ("coordinator_address", "process_count", "process_index")}
    given = [name for name, value in named.items() if value is not None]
    if 0 < len(given) < len(named):
        missing = ", ".join(f"--{name}" for name in named if name not in given)
        raise UserError(f"--{given[0]} needs {missing} too, or leave all three out and say --distributed.")
    if given or FLAGS.distributed:
        join_processes(**named)


if __name__ == "__main__":
    sys.exit(main())
