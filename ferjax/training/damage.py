"""What can be wrong with a checkpoint's folder: broken bytes, and a disk that does not take or give them."""

import contextlib
import errno
import logging
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator

import jax

from ferjax.errors import UserError
from ferjax.parallel import is_main
from ferjax.parallel.memory import NO_THREAD
from ferjax.training import checksums
from ferjax.training.places import list_places, parse_place

logger = logging.getLogger("ferjax")

# What a disk can answer. Orbax's C++ code says it in words, somewhere in pages of its own. It saves in threads, too.
_REFUSALS = (
    *(
        os.strerror(number)
        for number in (
            *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE),
            *(errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ENODEV, errno.ENXIO),
        )
    ),
    NO_THREAD,
)
# Those of them that say of a checkpoint that it is not whole; behind all others its bytes may be as they were written.
_LOST = tuple(os.strerror(number) for number in (errno.ENOENT, errno.ENOTDIR, errno.EIO))


class DamagedCheckpoint(UserError):  # noqa: N818 - what became of a file, not a fault of the program
    """A checkpoint that cannot be read, or is not as it was written."""

    def __init__(self, checkpoint: pathlib.Path, reason: str) -> None:
        super().__init__(
            f"Checkpoint {checkpoint} is damaged ({reason}), and there is no older one: delete that folder to begin "
            "anew, or use another --workdir."
        )
        self.checkpoint, self.reason = checkpoint, reason

    def set_aside(self) -> bool:
        """Rename the checkpoint, so that the one before it is the newest; return False where there is none before."""
        folder, place = self.checkpoint.parent, parse_place(self.checkpoint.name)
        older = [other for other in list_places(folder) if place is not None and other < place]
        if not older:
            return False
        aside = folder / f"damaged_{self.checkpoint.name}"
        if is_main():
            shutil.rmtree(aside, ignore_errors=True)
            self.checkpoint.rename(aside)
        logger.warning(
            "Checkpoint %s is damaged (%s), so the one before it is used, %s; the damaged one is now called %s.",
            *(self.checkpoint, self.reason, older[-1].name, aside.name),
        )
        return True


@contextlib.contextmanager
def reading(checkpoint: pathlib.Path) -> Iterator[None]:
    """Check a checkpoint's bytes, and turn whatever Orbax raises in the block into DamagedCheckpoint.

    What the system refuses (open files, threads, permissions) says nothing of the bytes, and becomes a UserError.
    """
    # Orbax's threads complain at length about what a broken file breaks off.
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        if damage := checksums.find_damage(checkpoint):
            raise DamagedCheckpoint(checkpoint, damage)
        yield
    except (UserError, MemoryError, jax.errors.JaxRuntimeError):  # nothing of these is the file's fault
        raise
    except Exception as error:  # Orbax raises nearly anything on broken bytes, with the reason as its cause
        if (refusal := find_refusal(error)) and refusal not in _LOST:
            raise UserError(
                f"Checkpoint {checkpoint} cannot be read ({refusal}): mend that, and the same command goes on."
            ) from error
        reason = (str(error.__cause__ or error).splitlines() or [repr(error)])[0]
        raise DamagedCheckpoint(checkpoint, reason if len(reason) <= 200 else f"{reason[:200]}...") from error
    finally:
        sys.unraisablehook = hook


def find_refusal(error: BaseException | None) -> str | None:
    """Return why a disk did not take or give what was asked, by an exception and what caused it; None for others."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.strerror
        for refusal in _REFUSALS:
            if refusal in str(error):
                return refusal
        error = error.__cause__ or error.__context__
    return None
