"""One file over HTTP: the download resumes after a break, and a file is used only after its digest was checked."""

import contextlib
import email.message
import hashlib
import http.client
import importlib.metadata
import logging
import os
import pathlib
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import tqdm

from ferjax import locks

ATTEMPTS = 4
TIMEOUT_S = 30.0  # without a byte
PAUSE_S = 2.0  # before going on after a break
_CHUNK_BYTES = 1 << 18

logger = logging.getLogger("ferjax")


class Failed(Exception):  # noqa: N818 - of the network, not of the program
    """A file could not be downloaded; the message is half a sentence that says why."""


class _Broken(Exception):  # noqa: N818
    """The connection ended early. The part that arrived is kept, and the next attempt continues after it."""


def download(address: str, path: pathlib.Path, digest: tuple[str, str] | None) -> None:
    """Download `address` to `path`, with a progress bar on stderr where that is a terminal.

    `digest` is an algorithm of hashlib and the first digits of the file's digest. With None the file is checked by what
    the server says: the SHA-256 that a model hub gives for a large file (X-Linked-ETag), or only the length. What has
    arrived stays beside `path` in `.NAME.part` until it is complete and checked, so that a later call continues with
    it. Raises Failed where the file cannot be downloaded, and OSError where it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    # Where several runs start at once, one downloads and the others wait.
    with _hold(path.with_name(f".{path.name}.lock"), path):
        if path.exists():
            return
        logger.info("Downloading %s to %s", address, path)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                said = _transfer(address, part)
                break
            except _Broken as error:
                if attempt == ATTEMPTS:
                    raise Failed(f"{error}; start again to go on from there") from error
                logger.warning("The download broke off (%s); going on", error)
                time.sleep(PAUSE_S)
        _check(part, digest or said)
        os.replace(part, path)


@contextlib.contextmanager
def _hold(lock: pathlib.Path, path: pathlib.Path) -> Iterator[None]:
    """Hold the lock within the block, where the file system knows locks."""
    try:
        taken = locks.try_take(lock)
        if taken is None:
            logger.info("Waiting for another process that downloads %s", path)
            taken = locks.take(lock)
    except NotImplementedError:
        taken = None
    try:
        yield
    finally:
        if taken is not None:
            taken.release()


def describe_difference(path: pathlib.Path, digest: tuple[str, str]) -> str | None:
    """Return what is wrong with a file's digest, of which the first digits are known, or None if nothing is."""
    algorithm, expected = digest
    with path.open("rb") as file:
        found = hashlib.file_digest(file, algorithm).hexdigest()
    return None if found.startswith(expected) else f"its {algorithm} is {found[: len(expected)]} and not {expected}"


def _check(part: pathlib.Path, digest: tuple[str, str] | None) -> None:
    if digest is None:
        logger.warning("The server gives no checksum of this file, so only its length was checked")
    elif difference := describe_difference(part, digest):
        part.unlink()
        raise Failed(f"it gave another file: {difference}")


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follow redirects and keep their headers: a model hub gives the digest in its redirect, and only there."""

    def __init__(self) -> None:
        self.headers: list[email.message.Message] = []

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        self.headers.append(headers)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _transfer(address: str, part: pathlib.Path) -> tuple[str, str] | None:
    """Append to `part` the rest of the file, and return the digest that the server gives."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(address, headers={"User-Agent": f"ferjax/{importlib.metadata.version('ferjax')}"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    redirects = _Redirects()
    try:
        response = urllib.request.build_opener(redirects).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:  # the part here is as long as the file or longer
            part.unlink()
            raise _Broken("the part that was here does not fit") from error
        raise Failed(f"it answers {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:  # no connection, or a timeout within the answer's header
        reason = str(getattr(error, "reason", error)) or type(error).__name__
        # Where a part is here, the server answered before and may answer again.
        raise (_Broken if have else Failed)(reason) from error
    with response:
        if response.status == 206 and _starts_at(response.headers) != have:
            part.unlink()
            raise _Broken("the server sent another part than was asked for")
        start = have if response.status == 206 else 0
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        _receive(response, part, start, total)
    return _find_digest([*redirects.headers, response.headers])


def _starts_at(headers: email.message.Message) -> int:
    matched = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(matched[1]) if matched else -1


def _receive(response: http.client.HTTPResponse, part: pathlib.Path, start: int, total: int | None) -> None:
    with (
        part.open("ab" if start else "wb") as file,
        tqdm.tqdm(initial=start, total=total, unit="B", unit_scale=True, disable=None, desc=part.name[1:-5]) as bar,
    ):
        came, reason = start, ""
        while True:
            try:  # only around this line: an OSError here is of the connection, and one below is of the disk
                chunk = response.read(_CHUNK_BYTES)
            except (OSError, http.client.HTTPException) as error:
                reason = f" ({str(error) or type(error).__name__})"
                break
            if not chunk:
                break
            file.write(chunk)
            came += len(chunk)
            bar.update(len(chunk))
    if reason or (total is not None and came < total):
        raise _Broken(f"it ended after {came} of {total or 'an unknown number of'} bytes{reason}")


def _find_digest(answers: list[email.message.Message]) -> tuple[str, str] | None:
    for headers in answers:
        if matched := re.fullmatch(r'(?:W/)?"?([0-9a-f]{64})"?', headers.get("X-Linked-ETag", "")):
            return "sha256", matched[1]
    return None
