"""Locks on files that the kernel takes from a process when it ends, however it ends.

The file of a lock stays when the lock is given back: it says nothing, and to remove it would let two processes hold
two files of one name. (Only a start that failed in a folder that it made itself removes both.) Where the file system
knows no such locks, taking one raises OSError; the library's other kind, a file whose presence is the lock, would stay
behind a killed process.
"""

import contextlib
import errno
import pathlib
from collections.abc import Iterator

import filelock

# How often a process that waits asks again.
_POLL_S = 0.02


def take(path: pathlib.Path) -> filelock.BaseFileLock:
    """Wait for the lock on `path` and take it; its `release` gives it back."""
    lock = _create_lock(path)
    lock.acquire()
    return lock


def try_take(path: pathlib.Path) -> filelock.BaseFileLock | None:
    """Take the lock on `path`, or return None where another process, or another part of this one, holds it.

    Raises NotImplementedError where the file system knows no locks.
    """
    lock = _create_lock(path)
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        return None
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise NotImplementedError(error.strerror) from error
        raise
    return lock


@contextlib.contextmanager
def hold(path: pathlib.Path) -> Iterator[None]:
    """Wait for the lock on `path`, and hold it within the block."""
    lock = take(path)
    try:
        yield
    finally:
        lock.release()


def is_held(path: pathlib.Path) -> bool:
    """Return whether some process holds the lock on `path`; a file that is not there is not made."""
    if not path.exists():
        return False
    lock = try_take(path)
    if lock is None:
        return True
    lock.release()
    return False


def _create_lock(path: pathlib.Path) -> filelock.BaseFileLock:
    return filelock.FileLock(path, poll_interval=_POLL_S, fallback_to_soft=False)
