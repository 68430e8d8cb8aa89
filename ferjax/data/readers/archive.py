"""A folder, a zip and a tar seen the same way: file names, the first bytes of each file, and the files themselves."""

import abc
import bz2
import codecs
import contextlib
import gzip
import lzma
import os
import pathlib
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from io import BufferedIOBase
from typing import IO, cast

from ferjax.errors import UserError

HEAD_BYTES = 4096
_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
_JUNK_NAMES = {"thumbs.db", "desktop.ini"}
_JUNK_FOLDERS = {"__macosx", "@eadir", "#recycle", "$recycle.bin", "lost+found", "system volume information"}
_JUNK_ENDINGS = ("~", ".bak", ".tmp", ".swp", ".part", ".crdownload")
_TAR_MAGIC_AT = 257
_ENCRYPTED = 0x1


class Tree(abc.ABC):
    """Files under one root; names are relative, with forward slashes, without the junk that desktops leave."""

    label: str
    names: list[str]

    @abc.abstractmethod
    def head(self, name: str) -> bytes:
        """Return the first bytes of a file whose name is not that of an image."""

    @abc.abstractmethod
    def open(self, name: str) -> BufferedIOBase:
        """Open a file for reading from its start."""

    @abc.abstractmethod
    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Return names and contents of these files, one at a time, in the order that is quickest."""


def kind_of(head: bytes) -> str:
    """Say what a file is by its first bytes.

    That is 'empty', 'zip', 'tar', 'gzip', 'bzip2', 'xz', 'image', 'text' or 'binary'.
    """
    if not head:
        return "empty"
    for kind, magics in {
        "zip": (b"PK\x03\x04", b"PK\x05\x06"),
        "gzip": (b"\x1f\x8b",),
        "bzip2": (b"BZh",),
        "xz": (b"\xfd7zXZ\x00",),
        "image": (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\x00", b"MM\x00*"),
    }.items():
        if head.startswith(magics):
            return kind
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        return "tar"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "text"
    return "binary" if b"\0" in head else "text"


def is_image_name(name: str) -> bool:
    """Return whether a file's name ends as an image's does."""
    return name[name.rfind(".") :].lower() in _IMAGE_SUFFIXES


def is_junk(name: str) -> bool:
    """Return whether a system or an editor put this file there: hidden ones, backups, parts of downloads, bins."""
    *folders, file = name.lower().split("/")
    return (
        any(part.startswith(".") and part not in (".", "..") for part in (*folders, file))
        or any(folder in _JUNK_FOLDERS for folder in folders)
        or file in _JUNK_NAMES
        or file.endswith(_JUNK_ENDINGS)
    )


@contextlib.contextmanager
def reading(label: str) -> Iterator[None]:
    """Turn whatever damaged archives and unreadable files raise in the block into a UserError about `label`."""
    damage = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)
    try:
        yield
    except damage as error:
        detail = str(error).rstrip(".") or type(error).__name__
        raise UserError(f"{label} is a damaged or cut-off archive ({detail}): download it again") from error
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno is None:  # what bzip2 raises for damage
            raise UserError(f"{label} is a damaged or cut-off archive ({error}): download it again") from error
        raise UserError(f"{label} cannot be read ({error}): check its permissions, or unpack it by hand") from error


def decompress(file: BufferedIOBase, kind: str) -> BufferedIOBase:
    """Return the stream inside a gzip, bzip2 or xz stream."""
    if kind == "gzip":
        return gzip.GzipFile(fileobj=file)
    if kind == "bzip2":
        return bz2.BZ2File(file)
    return lzma.LZMAFile(cast(IO[bytes], file))


class FolderTree(Tree):
    """Files of a folder, and in `stats` what the system says of each, by which the cache knows of changes.

    `lost` are the names of links to what is not there, and `junk` those of the files that are left out. For a folder in
    it that cannot be read, and a file that cannot be looked at, OSError is raised, or given to `on_error`, and the
    others are found.
    """

    def __init__(self, root: pathlib.Path, on_error: Callable[[OSError], None] | None = None) -> None:
        self.root = root
        self.label = str(root)
        entries = dict(_walk(str(root), "", set(), on_error))
        self.junk = sorted(name for name in entries if is_junk(name))
        found = {name: entry for name, entry in entries.items() if not is_junk(name)}
        self.stats: dict[str, os.stat_result] = {}
        self.lost: list[str] = []
        for name in sorted(found):
            with _passing_on(on_error):
                if found[name].is_file():
                    self.stats[name] = found[name].stat()
                else:
                    self.lost.append(name)
        self.names = list(self.stats)

    def head(self, name: str) -> bytes:
        with open(self.root / name, "rb") as file:
            return file.read(HEAD_BYTES)

    def open(self, name: str) -> BufferedIOBase:
        return open(self.root / name, "rb")

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            with open(self.root / name, "rb") as file:
                yield name, file.read()


def _walk(
    folder: str, prefix: str, seen: set[tuple[int, int]], on_error: Callable[[OSError], None] | None
) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Find every file under a folder, and links to nothing; links are followed, and no folder is searched twice."""
    entries: list[os.DirEntry[str]] = []
    with _passing_on(on_error):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as found:
            entries = list(found)
    for entry in entries:
        is_folder = False
        with _passing_on(on_error):
            is_folder = entry.is_dir()
            if not is_folder and (entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path))):
                yield prefix + entry.name, entry
        if is_folder:
            yield from _walk(entry.path, prefix + entry.name + "/", seen, on_error)


@contextlib.contextmanager
def _passing_on(on_error: Callable[[OSError], None] | None) -> Iterator[None]:
    """Give an OSError of the block to `on_error`, and raise it where there is none."""
    try:
        yield
    except OSError as error:
        if on_error is None:
            raise
        on_error(error)


@contextlib.contextmanager
def _listing(damage: type[Exception]) -> Iterator[None]:
    """Raise `damage` for what the standard library raises where an archive's list has impossible names or numbers."""
    try:
        yield
    except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError, struct.error) as error:
        raise damage(f"its list cannot be read: {error}") from error


class ZipTree(Tree):
    """Files of a zip archive."""

    def __init__(self, file: BufferedIOBase, label: str) -> None:
        self.label = label
        with _listing(zipfile.BadZipFile):
            self._zip = zipfile.ZipFile(file)
            if not all(member.filename for member in self._zip.infolist()):
                raise zipfile.BadZipFile("a file in it has no name")
            self._members = {
                member.filename.replace("\\", "/"): member for member in self._zip.infolist() if not member.is_dir()
            }
        locked = [name for name, member in self._members.items() if member.flag_bits & _ENCRYPTED]
        if locked:
            raise UserError(f"{label} is locked with a password ({locked[0]}): unpack it by hand")
        self.names = sorted(name for name in self._members if not is_junk(name))

    def head(self, name: str) -> bytes:
        with self.open(name) as file:
            return file.read(HEAD_BYTES)

    def open(self, name: str) -> BufferedIOBase:
        with _listing(zipfile.BadZipFile):  # each file has a header of its own too
            return cast(BufferedIOBase, self._zip.open(self._members[name]))

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for name in names:
            with self.open(name) as file:
                yield name, file.read()


class TarTree(Tree):
    """Files of an uncompressed tar stream, which is read once to its end first, so that any damage is found."""

    def __init__(self, file: BufferedIOBase, label: str) -> None:
        self.label = label
        self._members: dict[str, tarfile.TarInfo] = {}
        self._heads: dict[str, bytes] = {}
        with _listing(tarfile.ReadError):
            self._tar = tarfile.TarFile(fileobj=file)
            for member in self._tar:
                name = os.path.normpath(member.name)
                if not member.isfile() or is_junk(name):
                    continue
                self._members[name] = member
                if not is_image_name(name):  # read now: going back in a compressed stream means starting over
                    self._heads[name] = self._extract(member).read(HEAD_BYTES)
        self.names = sorted(self._members)
        self._check_end(file)

    def head(self, name: str) -> bytes:
        return self._heads[name]

    def open(self, name: str) -> BufferedIOBase:
        return self._extract(self._members[name])

    def contents(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        for name, member in self._members.items():
            if name in names:
                with _listing(tarfile.ReadError):
                    content = self._extract(member).read()
                yield name, content

    def _extract(self, member: tarfile.TarInfo) -> BufferedIOBase:
        file = self._tar.extractfile(member)
        if file is None:
            raise tarfile.ReadError(f"{member.name} is no regular file")
        return cast(BufferedIOBase, file)

    def _check_end(self, file: BufferedIOBase) -> None:
        """Look for the closing block of zeros, without which the archive is cut off.

        tarfile itself takes an archive that is cut off between two members for a whole one.
        """
        file.seek(self._tar.offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("unexpected end of data")
        while file.read(1 << 20):
            pass
