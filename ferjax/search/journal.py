"""The file in which Optuna keeps the trials of a search, for any number of processes at once."""

import os
import pathlib

import filelock
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

from ferjax.locks import take


def open_journal(path: pathlib.Path) -> JournalStorage:
    """Open or make Optuna's storage in one file."""
    return JournalStorage(JournalFileBackend(str(path), lock_obj=_JournalLock(path)))


class _JournalLock(JournalFileOpenLock):
    """Take a lock of the kernel instead of Optuna's, and mend what a killed process left of a line.

    Optuna's own locks are files that a killed process leaves behind: for 30 s or, where the clock was changed, for
    ever. Of the public class only the type is used, since the common base of Optuna's locks has no public name.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._held: filelock.BaseFileLock | None = None

    def acquire(self) -> bool:
        """Wait for the lock."""
        self._held = take(self._path.with_name(f".{self._path.name}.lock"))
        _drop_half_line(self._path)
        return True

    def release(self) -> None:
        """Give the lock back."""
        assert self._held is not None
        self._held.release()


def _drop_half_line(path: pathlib.Path) -> None:
    """Cut off the part of a line that a killed process left: whatever follows it would be unreadable."""
    with path.open("rb+") as file:
        end = file.seek(0, os.SEEK_END)
        if not end:
            return
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
