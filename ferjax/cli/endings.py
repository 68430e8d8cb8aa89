"""How every command ends: one sentence for what went wrong, and its exit code.

Exit codes: 0 done, 1 the user's mistake (one sentence on stderr), 2 wrong flags or keys, 3 done, but some of the
inputs could not be read and are listed, 129, 130 or 143 interrupted (hang-up, Ctrl-C, TERM) and saved.
"""

import _thread
import argparse
import contextlib
import io
import logging
import os
import pathlib
import re
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from ferjax import machine
from ferjax.cli.flags import FlagMistake, Parser
from ferjax.errors import UserError
from ferjax.interrupt import LeftAtOnce

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

EXIT_CODES = __doc__.partition("\n\n")[2]


_AFTER_HOOK_S = 0.01


def start_logging() -> None:
    """Let ferjax log to stderr what it does, and silence its libraries."""
    _speak_plainly()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("ferjax")
    logger.handlers[:] = [handler]
    logger.setLevel(logging.INFO)
    logger.propagate = False
    sys.unraisablehook, threading.excepthook = _show_unraisable, _show_in_thread
    # Orbax and clu log through absl, and Orbax logs pages of each error that it raises, too.
    for library in ("absl", "asyncio"):
        logging.getLogger(library).setLevel(logging.CRITICAL)
    warnings.filterwarnings("ignore", module="PIL")  # of odd images, whose fate we say ourselves


def _show_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    """Show a fault as Python does, but for what libraries complain of behind a file that could not be written.

    Orbax's threads do behind a save that failed, and TensorBoard's writer as the process ends.
    """
    error = unraisable.exc_value
    if isinstance(error, KeyboardInterrupt):  # Ctrl-C came within a library's callback, which swallows it
        signum = getattr(error, "signum", signal.SIGINT)
        # Raised here, it would be lost again.
        threading.Timer(_AFTER_HOOK_S, _thread.interrupt_main, (signum,)).start()
    elif not (isinstance(error, OSError) or (isinstance(error, RuntimeError) and "Event loop is closed" in str(error))):
        sys.__unraisablehook__(unraisable)


def _show_in_thread(fault: "threading.ExceptHookArgs") -> None:
    """Show a thread's fault as Python does, but a file that it could not write in a line: TensorBoard's, say."""
    if not isinstance(fault.exc_value, OSError):
        threading.__excepthook__(fault)
    elif fault.exc_value.strerror:
        logging.getLogger("ferjax").warning("A file beside the run cannot be written: %s.", fault.exc_value.strerror)


def _speak_plainly() -> None:
    """Have the terminal get what it can show, and the code of each character that it cannot; close no open door.

    Only what is printed: files are UTF-8. Streams that the caller closed (`2>&-`) are replaced by one that takes all.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, so that no file of ours gets what libraries print
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream.closed:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - open until the process ends
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _name_output()


def _name_output() -> None:
    """Have errors of the standard output say that they are its own, where it is Python's usual stream."""
    old = sys.stdout
    if old is not sys.__stdout__ or not isinstance(old, io.TextIOWrapper):
        return  # a test's, a notebook's, one that a program has put there, or named already
    if type(getattr(old.buffer, "raw", old.buffer)) is not io.FileIO:
        return
    old.flush()
    raw = _Output(old.fileno(), "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        raw if isinstance(old.buffer, io.FileIO) else io.BufferedWriter(raw),
        encoding=old.encoding,
        errors=old.errors,
        line_buffering=bool(old.line_buffering),
        write_through=old.write_through,
    )


class _Output(io.FileIO):
    """The standard output, whose errors name it, and so are not taken for those of the work's folder."""

    def write(self, data: "ReadableBuffer") -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = _OUTPUT
            raise


_OUTPUT = "the standard output"
UNREADABLE = 3  # done, but some of the inputs could not be read


def be_quiet() -> None:
    """Log only errors from now on; the run's main process logs the rest."""
    logging.getLogger("ferjax").setLevel(logging.ERROR)


def run(
    parser: Parser,
    arguments: Sequence[str] | None,
    work: Callable[[argparse.Namespace], int | None],
    *,
    folder: Callable[[argparse.Namespace], pathlib.Path],
    goes_on: bool = False,
    interrupted: str = "Interrupted; the same command starts again.",
) -> int:
    """Parse the flags, do the work, and turn what went wrong into a sentence and an exit code.

    `work` returns its exit code where that is not 0. `folder` is the one that the work writes to, `pathlib.Path()`
    where there is none; `goes_on` says that the same command goes on where it was stopped, rather than starting again;
    `interrupted` is printed after a Ctrl-C that comes without a message.
    """
    start_logging()
    try:
        found = parser.parse(arguments)
        sys.stdout.flush()  # here rather than at the interpreter's exit, where a closed pipe is a traceback
    except FlagMistake as mistake:
        return fail(str(mistake), 2)
    except BrokenPipeError:
        return _end_at_closed_pipe()
    except OSError as error:
        return _fail_at_file(error, pathlib.Path(), goes_on=False)
    if found is None:
        return 0
    try:
        code = work(found) or 0
        sys.stdout.flush()
    except FlagMistake as mistake:
        return fail(str(mistake), 2)
    except UserError as error:
        # A library may complain about what the mistake broke off, such as a restore; that is not for the user.
        sys.unraisablehook = lambda _: None
        warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
        return fail(spell_keys(str(error), parser), 1)
    except BrokenPipeError:
        return _end_at_closed_pipe()
    except OSError as error:
        return _fail_at_file(error, folder(found), goes_on=goes_on)
    except (KeyboardInterrupt, ImportError) as error:
        # Ctrl-C that breaks off the import of a library is the cause of that one's error.
        stopped = error if isinstance(error, KeyboardInterrupt) else error.__cause__
        if not isinstance(stopped, KeyboardInterrupt):
            raise
        code = 128 + getattr(stopped, "signum", signal.SIGINT)
        return fail(str(stopped) or interrupted, code)
    return code


def _fail_at_file(error: OSError, folder: pathlib.Path, *, goes_on: bool) -> int:
    """Say which file, folder or output the system refused, and what to do; an error of a write names no file."""
    if error.filename == _OUTPUT:
        _drop_output()
    place = error.filename or ("" if folder == pathlib.Path() else folder)
    if isinstance(error, FileExistsError):
        return fail(f"{place} is a file: name a folder.", 1)
    if isinstance(error, NotADirectoryError):
        return fail(f"{place} lies in a file and not in a folder: name another place.", 1)
    remedy = "mend that, and the same command goes on" if goes_on else "mend that, and give the same command again"
    return fail(f"{place}{': ' if place else ''}{error.strerror or error}; {remedy}.", 1)


def _end_at_closed_pipe() -> int:
    """Leave the pipe that its reader, such as `head`, has closed; return the exit code."""
    _drop_output()
    return machine.CLOSED_PIPE


def _drop_output() -> None:
    """Leave nothing to flush into an output that takes nothing: the interpreter would complain of it as it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(text: str, code: int) -> int:
    """Print a text on stdout, and return the exit code."""
    _speak_plainly()
    try:
        print(text, flush=True)
    except BrokenPipeError:
        return _end_at_closed_pipe()
    except OSError as error:
        return _fail_at_file(error, pathlib.Path(), goes_on=False)
    return code


def fail(sentence: str, code: int) -> int:
    """Print what went wrong on stderr, and return the exit code."""
    with contextlib.suppress(OSError):  # the terminal may be gone
        print(f"ferjax: {sentence}", file=sys.stderr, flush=True)
    return code


def spell_keys(sentence: str, parser: Parser) -> str:
    """Write config keys as the flags of this command that change them, where it has such flags."""
    if not (parser.takes_config or parser.takes_data):
        return sentence
    from ferjax.config import KEYS

    known = [key for key in KEYS if parser.takes_config or key.startswith("data.")]
    keys = "|".join(map(re.escape, sorted(known, key=len, reverse=True)))
    prefix = "--config." if parser.takes_config else "--"
    return re.sub(rf"(?<![\w./-])({keys})(?![\w/]|\.\w)", rf"{prefix}\1", sentence)


# Words by which the libraries report that another process is gone.
_LOST = re.compile("gloo|nccl|heartbeat|barrier|unavailable|coordination|connection|socket|timed out", re.IGNORECASE)


@contextlib.contextmanager
def leave_at_once(processes: int, parser: Parser) -> Iterator[None]:
    """Let one process of several that fails in the block, or must leave at once, say why and wait for no other.

    JAX would wait for the others as the interpreter exits, while they wait in a step for this one, or are gone.
    """
    try:
        yield
    except (Exception, LeftAtOnce) as error:
        if processes == 1:
            raise
        code, text = 1, (str(error).splitlines() or [repr(error)])[0]
        if isinstance(error, RuntimeError | TimeoutError | ValueError) and _LOST.search(str(error)):
            fail(
                f"Another process of this run is gone ({text}): start all of them again, and they go on from the last "
                "checkpoint.",
                code,
            )
        elif isinstance(error, LeftAtOnce):
            code = fail(str(error), 128 + error.signum)
        elif isinstance(error, UserError | OSError):
            fail(spell_keys(str(error), parser), code)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
