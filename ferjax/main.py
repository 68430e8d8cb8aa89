"""The main job: `python -m ferjax.main --config FILE --workdir DIR [--config.group.key=value ...]`.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 130 or 143 interrupted and
saved.
"""

import logging
import os
import pathlib
import signal
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
    """Parse the flags, train, report, and turn what went wrong into a sentence and an exit code."""
    argv = list(sys.argv if argv is None else argv)
    _start_logging()
    try:
        _parse(argv)
    except flags.Error as error:
        return _fail(_first_line(error), 2)
    if FLAGS.help:
        print(f"{__doc__}\n{FLAGS.main_module_help()}")
        return 0

    workdir = pathlib.Path(FLAGS.workdir or pathlib.Path("workdir") / pathlib.Path(_config_file(argv)).stem)
    try:
        return _run(workdir)
    except UserError as error:
        # What a library leaves unfinished behind the mistake (a broken-off restore) is not for the user to read.
        sys.unraisablehook = lambda _: None
        return _fail(str(error), 1)
    except OSError as error:
        return _fail(
            f"{error.filename or workdir}: {error.strerror or error}; mend that, and the same command goes on.", 1
        )
    except KeyboardInterrupt as stopped:
        return _fail(
            str(stopped) or "Interrupted before the run began.", 128 + getattr(stopped, "signum", signal.SIGINT)
        )


def _run(workdir: pathlib.Path) -> int:
    # These imports take seconds, which a wrong flag need not wait for.
    import jax

    from ferjax import evaluate, train
    from ferjax.data.cache import cache_dir

    # Compiling takes longer than the first steps; a second start of the same program skips it.
    jax.config.update(
        "jax_compilation_cache_dir", os.environ.get("JAX_COMPILATION_CACHE_DIR", str(cache_dir() / "xla"))
    )
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
    try:
        train.run(FLAGS.config, workdir, allow_config_change=FLAGS.allow_config_change)
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            f"The device's memory does not hold a step of {FLAGS.config.train.batch_size} images: lower "
            "--config.train.batch_size, or --config.eval.batch_size if validation failed."
        ) from error
    evaluate.evaluate(workdir)
    return 0


def _parse(argv: Sequence[str]) -> None:
    """Fill FLAGS; raises flags.Error for wrong flags, wrong keys, and a config file that can't be used."""
    file = _config_file(argv)
    if file and not pathlib.Path(file).is_file():
        raise flags.Error(f"There is no config file {file}; ferjax's own are in configs/.")
    # A config imports configs.default: make that possible wherever the command is run from.
    folder = pathlib.Path(file).resolve().parent.parent
    if (folder / "configs" / "default.py").is_file() and str(folder) not in sys.path:
        sys.path.append(str(folder))

    from ferjax.config import KeyMistake, check_keys, check_overrides

    overrides = [flag.partition("=")[0].lstrip("-").removeprefix("config.") for flag in argv if _is_override(flag)]
    try:
        check_overrides(overrides)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # config_flags loads files by a deprecated method
            _, *unknown = FLAGS(argv)
            if unknown:
                raise flags.Error(f"What is {unknown[0]!r}? Every argument is a --flag; see --help.")
            if FLAGS.help:
                return
            if FLAGS.config is None:
                raise flags.Error("--config is missing: for example --config configs/quickstart.py.")
            check_keys(FLAGS.config)
    except flags.Error:
        raise
    except KeyMistake as error:
        raise flags.Error(str(error)) from error
    except Exception as error:  # a config file is a program, and can fail in any way
        raise flags.Error(f"--config {file} can't be used: {type(error).__name__}: {_first_line(error)}") from error


def _is_override(flag: str) -> bool:
    return flag.startswith(("--config.", "-config."))


def _config_file(argv: Sequence[str]) -> str:
    """The value of --config, which is needed before the flags can be parsed."""
    for flag, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = flag.partition("=")
        if name in ("--config", "-config"):
            return value or following
    return ""


def _start_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ferjax")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # Orbax and clu tell of their inner life through absl at INFO.
    logging.getLogger("absl").setLevel(logging.ERROR)


def _first_line(error: Exception) -> str:
    # ml_collections passes on the repr of a message, in which line ends are two characters.
    text = str(error.args[0] if error.args else error).replace("\\n", "\n").removeprefix("'")
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [repr(error)]
    return next((line for line in lines if line.startswith("Did you mean")), lines[0])


def _fail(sentence: str, code: int) -> int:
    print(f"ferjax: {sentence}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
