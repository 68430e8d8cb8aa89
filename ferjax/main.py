"""The main job: `python -m ferjax.main --config FILE --workdir DIR [--config.group.key=value ...]`.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 130 or 143 interrupted and
saved.
"""

import logging
import os
import pathlib
import sys
import warnings
from collections.abc import Sequence

from absl import flags
from ml_collections import config_flags

from ferjax.errors import UserError

FLAGS = flags.FlagValues()
config_flags.DEFINE_config_file("config", None, "A file of configs/, which says what to do.", flag_values=FLAGS)
flags.DEFINE_string("workdir", None, "The run's folder; workdir/<config's name> by default.", flag_values=FLAGS)
flags.DEFINE_bool(
    "allow_config_change", False, "Go on in a workdir that was made with another config.", flag_values=FLAGS
)
flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=FLAGS)


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the flags, run, and turn what went wrong into a sentence and an exit code."""
    argv = list(sys.argv if argv is None else argv)
    _start_logging()
    try:
        _parse(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        return _fail(_first_sentence(error), 2)
    if FLAGS.help:
        print(f"{__doc__}\n{FLAGS.main_module_help()}")
        return 0
    if FLAGS.config is None:
        return _fail("--config is missing: for example --config configs/quickstart.py.", 2)

    from ferjax import figures, report, train
    from ferjax.interrupt import InterruptedRun

    workdir = pathlib.Path(FLAGS.workdir or pathlib.Path("workdir") / pathlib.Path(_config_file(argv)).stem)
    try:
        _configure_jax()
        result = train.run(FLAGS.config, workdir, allow_config_change=FLAGS.allow_config_change)
        print(report.format_table(result))
        for path in figures.draw_all(workdir):
            print(path)
    except UserError as error:
        return _fail(str(error), 1)
    except InterruptedRun as stopped:
        return _fail(str(stopped), 128 + stopped.signum)
    except KeyboardInterrupt:
        return _fail("Left at once; the last checkpoint is what is saved.", 130)
    return 0


def _parse(argv: Sequence[str]) -> None:
    # A config imports configs.default: make that possible wherever the command is run from.
    folder = pathlib.Path(_config_file(argv)).resolve().parent.parent
    if (folder / "configs" / "default.py").is_file() and str(folder) not in sys.path:
        sys.path.append(str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # config_flags loads files by a deprecated method
        FLAGS(argv)
        if FLAGS.config is not None:
            from ferjax.config import check_keys

            check_keys(FLAGS.config)


def _config_file(argv: Sequence[str]) -> str:
    """The value of --config, which is needed before the flags can be parsed."""
    for flag, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = flag.partition("=")
        if name in ("--config", "-config"):
            return value or following
    return ""


def _configure_jax() -> None:
    import jax

    from ferjax.data.cache import cache_dir

    # Compiling takes longer than the first steps; a second start of the same program skips it.
    jax.config.update(
        "jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR", str(cache_dir() / "xla"))
    )
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _start_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ferjax")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # Orbax and clu tell of their inner life through absl at INFO.
    logging.getLogger("absl").setLevel(logging.ERROR)


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error.args[0] if error.args else error).splitlines() if line.strip()]
    return lines[-1] if lines else repr(error)


def _fail(sentence: str, code: int) -> int:
    print(f"ferjax: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
