"""The main job: `python -m ferjax.main --config FILE --workdir DIR [--config.group.key=value ...]`.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 130 or 143 interrupted and
saved.
"""

import pathlib
import sys
from collections.abc import Sequence

from absl import flags

from ferjax import commandline

FLAGS = commandline.create_flags("The run's folder; workdir/<config's name> by default.")
flags.DEFINE_bool(
    "allow_config_change", False, "Go on in a workdir that was made with another config.", flag_values=FLAGS
)


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
    from ferjax import evaluate, train

    commandline.keep_compiled()
    with commandline.explain_memory(FLAGS.config):
        train.run(FLAGS.config, workdir, allow_config_change=FLAGS.allow_config_change)
    evaluate.evaluate(workdir)


if __name__ == "__main__":
    sys.exit(main())
