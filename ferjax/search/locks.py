"""Locks on files, which the kernel lets go when their process dies, however it dies."""

import contextlib
import fcntl
import os
import pathlib
from collections.abc import Iterator
from typing import IO

from optuna.storages.journal import JournalFileBackend, JournalStorage
from optuna.storages.journal._file import BaseJournalFileLock  # the type of lock_obj, which has no public name


@contextlib.contextmanager
def hold(path: pathlib.Path) -> Iterator[None]:
    """Wait for the lock on `path`, and hold it within the block."""
    with take(path):
        yield


def take(path: pathlib.Path) -> IO[str]:
    """Wait for the lock on `path`; closing the file lets go."""
    file = path.open("w")
    fcntl.flock(file, fcntl.LOCK_EX)
    return file


def is_held(path: pathlib.Path) -> bool:
    """Whether some process holds the lock on `path`."""
    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def open_journal(path: pathlib.Path) -> JournalStorage:
    """Optuna's storage in one file, for any number of processes at once."""
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))


class _JournalLock(BaseJournalFileLock):
    """Optuna's own locks are files that a killed process leaves behind, for 30 s or, over a changed clock, for good."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._held: IO[str] | None = None

    def acquire(self) -> bool:
        self._held = take(self._path.with_name(f".{self._path.name}.lock"))
        _drop_half_line(self._path)
        return True

    def release(self) -> None:
        assert self._held is not None
        self._held.close()


def _drop_half_line(path: pathlib.Path) -> None:
    """Cut off what a killed process had begun to write: a line that went on from there would be unreadable."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
