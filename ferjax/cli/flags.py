"""What the jobs that take a config share at the command line: flags, one sentence for what went wrong, exit codes.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 130 or 143 interrupted and
saved.
"""

import contextlib
import logging
import os
import pathlib
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence

from absl import flags
from ml_collections import config_flags

from ferjax import runtime
from ferjax.errors import UserError
from ferjax.interrupt import LeftAtOnce


def create_flags(workdir_help: str) -> flags.FlagValues:
    """The flags that every such job has: --config with its overrides, --workdir and --help."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_file("config", None, "A file of configs/, which says what to do.", flag_values=values)
    flags.DEFINE_string("workdir", None, workdir_help, flag_values=values)
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    return values


def start(values: flags.FlagValues, argv: Sequence[str], usage: str | None) -> int | None:
    """Begin to log and fill the flags; the exit code where there is nothing more to do."""
    runtime.keep_memory()
    _start_logging()
    try:
        _parse(values, argv)
    except flags.Error as error:
        return fail(_first_line(error), 2)
    if values.help:
        print(f"{usage}\n{values.get_help(include_special_flags=False)}")
        return 0
    return None


def finish(work: Callable[[], None], workdir: pathlib.Path) -> int:
    """Do the work, and turn what went wrong into a sentence and an exit code."""
    try:
        work()
    except UserError as error:
        # What a library leaves unfinished behind the mistake (a broken-off restore) is not for the user to read.
        sys.unraisablehook = lambda _: None
        return fail(str(error), 1)
    except OSError as error:
        return fail(
            f"{error.filename or workdir}: {error.strerror or error}; mend that, and the same command goes on.", 1
        )
    except KeyboardInterrupt as stopped:
        return fail(
            str(stopped) or "Interrupted before the run began.", 128 + getattr(stopped, "signum", signal.SIGINT)
        )
    return 0


def fail(sentence: str, code: int) -> int:
    """Say what went wrong on stderr; the exit code again, to return."""
    print(f"ferjax: {sentence}", file=sys.stderr)
    return code


def be_quiet() -> None:
    """Leave the telling to the run's main process; only what goes wrong here is said."""
    logging.getLogger("ferjax").setLevel(logging.ERROR)


# How the libraries say that another process is gone.
_LOST = re.compile("gloo|nccl|heartbeat|barrier|unavailable|coordination|connection|socket|timed out", re.IGNORECASE)


@contextlib.contextmanager
def leave_at_once(processes: int) -> Iterator[None]:
    """Within the block, a process of several that fails, or must leave at once, says why and waits for no other.

    JAX would wait for them as the interpreter exits, while they wait in a step for this one, or are gone.
    """
    try:
        yield
    except (Exception, LeftAtOnce) as error:
        if processes == 1:
            raise
        code, text = 1, _first_line(error)
        if isinstance(error, RuntimeError | TimeoutError | ValueError) and _LOST.search(str(error)):
            fail(
                f"Another process of this run is gone ({text}): start all of them again, and they go on from the last "
                "checkpoint.",
                code,
            )
        elif isinstance(error, LeftAtOnce):
            code = fail(str(error), 128 + error.signum)
        elif isinstance(error, UserError | OSError):
            fail(str(error), code)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def find_config_file(argv: Sequence[str]) -> str:
    """The value of --config, which is needed before the flags can be parsed."""
    for flag, following in zip(argv, [*argv[1:], ""], strict=True):
        name, _, value = flag.partition("=")
        if name in ("--config", "-config"):
            return value or following
    return ""


def _parse(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Fill the flags; raises flags.Error for wrong flags, wrong keys, and a config file that can't be used."""
    file = find_config_file(argv)
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
            _, *unknown = values(argv)
            if unknown:
                raise flags.Error(f"What is {unknown[0]!r}? Every argument is a --flag; see --help.")
            if values.help:
                return
            if values.config is None:
                raise flags.Error("--config is missing: for example --config configs/quickstart.py.")
            check_keys(values.config)
    except flags.Error:
        raise
    except KeyMistake as error:
        raise flags.Error(str(error)) from error
    except Exception as error:  # a config file is a program, and can fail in any way
        raise flags.Error(f"--config {file} can't be used: {type(error).__name__}: {_first_line(error)}") from error


def _is_override(flag: str) -> bool:
    return flag.startswith(("--config.", "-config."))


def _start_logging() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ferjax")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    # Orbax and clu tell of their inner life through absl at INFO.
    logging.getLogger("absl").setLevel(logging.ERROR)


def _first_line(error: BaseException) -> str:
    # ml_collections passes on the repr of a message, in which line ends are two characters.
    text = str(error.args[0] if error.args else error).replace("\\n", "\n").removeprefix("'")
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [repr(error)]
    return next((line for line in lines if line.startswith("Did you mean")), lines[0])
