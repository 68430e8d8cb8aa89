"""The folder of a run, held by the one process that trains in it."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence

from ferjax.errors import UserError
from ferjax.locks import try_take

LOCK_FILE = ".lock"

logger = logging.getLogger("ferjax")


@contextlib.contextmanager
def hold(folder: pathlib.Path, *, is_begun: Callable[[], bool]) -> Iterator[None]:
    """Make the folder and hold it for one process; raises UserError where another one trains in it.

    Where the block fails, folders that this made go while they hold nothing but the lock, and the lock goes from a
    folder in which no run `is_begun` (on Windows they may stay).
    """
    lock = folder / LOCK_FILE
    had_lock = os.path.lexists(lock)
    made = [each for each in (folder, *folder.parents) if not os.path.exists(each)]
    with _take(folder):
        try:
            yield
        except BaseException:
            if made:
                _remove_empty(folder, made)
            elif not had_lock and not is_begun():
                with contextlib.suppress(OSError):
                    lock.unlink()
            raise


@contextlib.contextmanager
def _take(folder: pathlib.Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = try_take(folder / LOCK_FILE)
    except NotImplementedError:
        logger.warning(
            "The file system of %s knows no locks, so nothing keeps a second process from training there.", folder
        )
        yield
        return
    except OSError as error:
        raise UserError(
            f"--workdir={folder} cannot be written ({error.strerror}): name a folder that you own."
        ) from error
    if lock is None:
        raise UserError(f"Another process is training in {folder}: wait for it, or use another --workdir.")
    try:
        yield
    finally:
        lock.release()


def _remove_empty(folder: pathlib.Path, made: Sequence[pathlib.Path]) -> None:
    """Remove folders that this start made, the innermost first, while they hold nothing but its lock.

    The lock's file goes while it is held. Another start that opened it in the same moment is told that a process
    trains there, or finds that its file is gone and takes a new one, as the library of the locks does.
    """
    with contextlib.suppress(OSError):  # of Windows, which removes no open file, or of a folder that is in use
        if made and [path.name for path in folder.iterdir()] == [LOCK_FILE]:
            (folder / LOCK_FILE).unlink()
            for each in made:
                each.rmdir()
