"""What a person may write for a path, in every flag, key, variable and function: one rule for all of them."""

import errno
import hashlib
import os
import pathlib
import re
import tempfile

from ferjax import machine
from ferjax.errors import UserError

# What pathlib makes of gs://bucket is gs:/bucket; a single slash counts only behind the usual schemes.
_ADDRESS = re.compile(
    r"([a-z][a-z0-9+.-]+)://|(gs|s3|s3a|az|abfss?|wasbs?|hdfs|https?|ftp|sftp|ssh|file|hf|dbfs):/", re.I
)
# Orbax looks for its own files by a pattern made of the whole path, and takes a backslash for a separator and a folder
# called gs: for a bucket.
_MISREAD = re.compile(r"[*?\[\\]|(^|/)[a-z0-9]+:(/|$)", re.I)


def parse(path: str | os.PathLike[str]) -> pathlib.Path:
    """Return the path of a file or folder of this machine; '~' and '~name' at its start are home folders.

    Raises UserError for an address such as gs://bucket/run, for a home folder that is not known, and for what can be
    no path.
    """
    text = os.fsdecode(path)
    if not text:
        raise UserError("A path is empty, where a file or folder must be named (is a variable of the shell not set?).")
    if _ADDRESS.match(text):
        raise UserError(
            f"{text} is an address, and ferjax reads and writes only files and folders: copy or mount what is there, "
            "and name the folder."
        )
    if "\0" in text:
        raise UserError(f"{text!r} is no path: it holds a zero byte.")
    try:
        path = pathlib.Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"There is no home folder {text.partition('/')[0]} here: write the whole path.") from None
    try:
        os.lstat(path)
    except OSError as error:  # what is not there, or may not be looked at, is for those who need it
        if error.errno == errno.ENAMETOOLONG:
            raise UserError(f"{text[:60]}... is no path: it, or a name in it, is too long.") from None
    return path


def find_home() -> pathlib.Path | None:
    """Return the user's home folder; None where the system knows none, as in a container with a foreign user number."""
    try:
        return pathlib.Path.home()
    except RuntimeError:
        return None


def find_alias(folder: pathlib.Path) -> pathlib.Path:
    """Return a path of `folder` that Orbax reads as it stands: its own, or that of a link in the temporary folder.

    The link has the same name in every process, and stays. Raises UserError where it cannot be made.
    """
    path = folder.absolute()
    if _is_plain(path):
        return path
    links = pathlib.Path(tempfile.gettempdir()).absolute() / f"ferjax-links-{machine.name_user()}"
    link = links / hashlib.sha256(os.fsencode(path)).hexdigest()[:24]
    try:
        if not _is_plain(links):
            raise OSError(f"so does the temporary folder {links.parent}")
        links.mkdir(mode=0o700, exist_ok=True)
        if not machine.is_mine(links):
            raise OSError(f"{links} is another user's")
        if not link.is_symlink():
            beside = link.with_name(f"{link.name}.{os.getpid()}")
            beside.symlink_to(path, target_is_directory=True)
            os.replace(beside, link)
    except OSError as error:
        raise UserError(
            f"{path} has a character in its name with which no checkpoint can be written there ({error}): name another "
            "folder."
        ) from error
    return link


def _is_plain(path: pathlib.Path) -> bool:
    text = str(path)
    return not _MISREAD.search(text) and text.isprintable() and text.encode("utf-8", "replace").decode() == text
