"""Requests to the server as strangers and broken programs send them: each has an answer, or a refusal in one sentence.

They go to the application itself, without a network between. A case is drawn from the seed and its number alone.
"""

import asyncio
import contextlib
import dataclasses
import io
import json
import logging
import pathlib
import random
import resource
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from ferjax.serving import Limits
from scripts.drills.drill import Failed, Skipped, expect
from scripts.drills.fuzz import mutate

if TYPE_CHECKING:
    from starlette.applications import Starlette

_MOST_MORE_MB = 500  # over what a whole picture takes; the largest that is taken has 6 MB
LIMITS = Limits(body_bytes=300_000, files=4, pixels=2_000_000, upload_s=0.5, requests=2, waiting_bytes=500_000)
_LONGEST_S = 120
_TOGETHER = 3
_REFUSALS = (400, 408, 413, 415, 421, 422, 503)
_TYPES = (
    *("image/png", "image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded", "application/json"),
    *("", "multipart/form-data", "multipart/form-data; boundary=", "text/plain; charset=utf-7", "\xe9", "a" * 5000),
)
_CHARSETS = ("utf-8", "utf-7", "utf-16", "hex", "idna", "rot13", "unicode_escape", "undefined", "no", "", "u" * 300)
_NAMES = (
    "a.png",
    "",
    "../../etc/passwd",
    "C:\\x\\y.png",
    "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
)
_QUERIES = (b"", b"", b"detect=false", b"views=mirror", b"detect=false&views=shifts")
_WRONG_QUERIES = (
    *(
        b"detect=maybe",
        b"detekt=1",
        b"detect=1&detect=0",
        b"%ff=%00",
        b"views=%ed%a0%80",
        b"=",
        b"&&",
        b"explain=x" + b"x" * 5000,
        b"\xff\xfe",
    ),
)


@dataclasses.dataclass(frozen=True)
class Request:
    """What is sent: headers, a query, and the pieces of a body with the seconds before each.

    `ends` is "whole", "left" for a client that leaves behind its whole body, "gone" for one that leaves before that has
    ended, or "silent" for one that stays and sends no more.
    """

    headers: Sequence[tuple[bytes, bytes]]
    query: bytes
    pieces: Sequence[tuple[float, bytes]]
    ends: str


def run(folder: pathlib.Path, cases: int, chance: random.Random) -> Iterator[str]:
    """Send `cases` requests to a server with the network that ferjax brings along."""
    import ferjax
    from ferjax.errors import UserError
    from ferjax.serving import create

    for name in ("ferjax", "python_multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        app = create(ferjax.load(), limits=LIMITS)
    except (UserError, ImportError) as error:
        raise Skipped(f"the server cannot be made ({error})") from error
    seed = chance.randrange(1_000_000)
    ended = asyncio.run(send_all(app, seed, range(cases)))
    yield f"uploads, seed {seed}: {dict(sorted(ended.items()))}"


async def send_all(app: "Starlette", seed: int, numbers: range) -> Counter[int]:
    """Send the requests of these numbers, some at once; return how often each status came."""
    pictures = create_pictures()
    whole = Request([(b"host", b"localhost")], b"", [(0.0, pictures["png"])], "whole")
    ended: Counter[int] = Counter()
    async with app.router.lifespan_context(app):
        status, _ = await _send(app, whole, "a whole picture")
        expect(status == 200, f"a whole picture has status {status}")
        before_mb = _peak_mb()
        for first in range(numbers.start, numbers.stop, _TOGETHER):
            together = range(first, min(first + _TOGETHER, numbers.stop))
            requests = [draw_request(random.Random(f"{seed} {number}"), pictures) for number in together]
            names = [f"uploads, seed {seed}, number {number}" for number in together]
            answers = await asyncio.gather(*(_check(app, *each) for each in zip(requests, names, strict=True)))
            ended.update(answers)
            more_mb = _peak_mb() - before_mb
            expect(more_mb < _MOST_MORE_MB, f"{names[0]} or one behind it: {more_mb:.0f} MB more")
        status, _ = await _send(app, whole, "a whole picture at the end")
        expect(status == 200, f"a whole picture has status {status} after all others")
    return ended


def create_pictures() -> Mapping[str, bytes]:
    """Return a picture in every format that the server reads, and some odd ones."""
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 3), np.uint8)
    found = {}
    for kind in ("png", "jpeg", "gif", "bmp", "webp", "tiff", "ppm", "avif", "ico", "tga", "jpeg2000", "eps"):
        file = io.BytesIO()
        with contextlib.suppress(OSError, KeyError):  # a Pillow without that library
            Image.fromarray(pixels).save(file, kind)
            found[kind] = file.getvalue()
    for name, (width, height) in {"one": (1, 1), "wide": (60_000, 1), "tall": (1, 60_000)}.items():
        file = io.BytesIO()
        Image.new("L", (width, height)).save(file, "PNG")
        found[name] = file.getvalue()
    for depth, name in ((16, "deep"), (1, "bits")):
        file = io.BytesIO()
        Image.fromarray(pixels[..., 0].astype(np.uint16) * 200 if depth == 16 else pixels[..., 0] > 128).save(
            file, "PNG"
        )
        found[name] = file.getvalue()
    return found


def draw_request(chance: random.Random, pictures: Mapping[str, bytes]) -> Request:
    """Draw what is sent, and how."""
    kind = chance.choice(["raw", "raw", "form", "form", "form", "text", "claims"])
    type_ = chance.choice(_TYPES)
    if kind == "raw":
        body = _draw_file(chance, pictures)
    elif kind == "claims":
        body = _draw_claims(chance)
    elif kind == "text":
        body = mutate(b"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB", chance)
    else:
        boundary = chance.choice(["b", "-" * 60, "x y", "é", ""]).encode()
        body = _draw_form(chance, pictures, boundary)
        type_ = f"multipart/form-data; boundary={chance.choice([boundary.decode(), 'other'] + [boundary.decode()] * 6)}"
        if chance.random() < 0.2:
            type_ += f"; charset={chance.choice(_CHARSETS)}"
    if chance.random() < 0.02:
        body *= 1 + 400_000 // max(len(body), 1)
    headers = [(b"host", b"localhost"), (b"content-type", type_.encode("latin-1", "replace"))]
    length = chance.choice([str(len(body))] * 6 + ["0", "-1", "9" * 30, "9" * 5000, "x", "\xb2", ""])
    headers.append((b"content-length", length.encode("latin-1")))
    size = chance.choice([1, 7, 1000, 10_000, 10_000_000]) if len(body) < 5000 else 10_000_000
    pieces = [(0.0, body[at : at + size]) for at in range(0, len(body), size)]
    if chance.random() < 0.01 and pieces:
        pieces[0] = (0.7, pieces[0][1])
    ends = chance.choice(["whole"] * 12 + ["left", "gone", "silent"])
    query = chance.choice(_WRONG_QUERIES if chance.random() < 0.15 else _QUERIES)
    return Request(headers, query, pieces, ends)


def _draw_file(chance: random.Random, pictures: Mapping[str, bytes]) -> bytes:
    content = chance.choice(list(pictures.values()))
    return content if chance.random() < 0.15 else mutate(content, chance)


def _draw_form(chance: random.Random, pictures: Mapping[str, bytes], boundary: bytes) -> bytes:
    parts = []
    for _ in range(chance.choice([0, 1, 1, 2, 3, 6])):
        name = chance.choice(_NAMES)
        about = [f'Content-Disposition: form-data; name="{chance.choice(_NAMES)}"']
        if chance.random() < 0.85:
            about[0] += f'; filename="{name}"'
        if chance.random() < 0.5:
            about.append(f"Content-Type: {chance.choice(_TYPES)}")
        head = "\r\n".join(about).encode("utf-8", "replace")
        parts.append(b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + _draw_file(chance, pictures) + b"\r\n")
    form = b"".join(parts) + b"--" + boundary + b"--\r\n"
    return mutate(form, chance) if chance.random() < 0.4 else form


def _draw_claims(chance: random.Random) -> bytes:
    """Draw a PNG that claims to be large, and holds few bytes."""
    sides = (0, 1, 1400, 30_000, 2**16, 2**31 - 1, 2**32 - 1)
    depth, colour = chance.choice([(8, 0), (8, 2), (16, 6), (1, 0), (8, 3), (3, 9)])
    head = np.array([chance.choice(sides), chance.choice(sides)], ">u4").tobytes() + bytes([depth, colour, 0, 0, 0])
    data = zlib.compress(bytes(chance.choice([0, 100, 5_000_000])))
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    if chance.random() < 0.3:
        chunks.insert(1, (chance.choice([b"zTXt", b"iCCP"]), b"x\0\0" + zlib.compress(bytes(50_000_000), 9)[:200_000]))
    written = [
        len(part).to_bytes(4, "big") + name + part + zlib.crc32(name + part).to_bytes(4, "big") for name, part in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


async def _check(app: "Starlette", request: Request, what: str) -> int:
    """Send a request; raise Failed unless it is answered, or refused in a sentence."""
    status, body = await _send(app, request, what)
    if status in (0, 499):
        expect(request.ends in ("left", "gone"), f"{what}: no answer, and the client was there")
        return status
    try:
        said = json.loads(body)
    except ValueError as error:
        raise Failed(f"{what}: status {status}, and no JSON: {body[:300]!r}") from error
    if status == 200:
        expect(isinstance(said.get("pictures"), list) and said["pictures"], f"{what}: {body[:300]!r}")
        return status
    sentence = str(said.get("error", ""))
    expect(status in _REFUSALS and list(said) == ["error"], f"{what}: status {status}, {body[:300]!r}")
    expect(sentence and sentence.isprintable(), f"{what}: no sentence in one line: {sentence!r}")
    return status


async def _send(app: "Starlette", request: Request, what: str) -> tuple[int, bytes]:
    """Send a request to the application; return the status, 0 where none came, and the answer."""
    scope = {
        **{"type": "http", "method": "POST", "path": "/predict", "raw_path": b"/predict", "http_version": "1.1"},
        **{"scheme": "http", "root_path": "", "query_string": request.query, "headers": list(request.headers)},
    }
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        async with asyncio.timeout(_LONGEST_S):
            await app(scope, _Client(request).receive, send)
    except TimeoutError as error:
        raise Failed(f"{what}: no answer within {_LONGEST_S} s") from error
    except Exception as error:
        raise Failed(f"{what}: {type(error).__name__}: {error}") from error
    return (sent[0]["status"] if sent else 0), b"".join(message.get("body", b"") for message in sent[1:])


class _Client:
    """Whoever sends a request: what it gives when the server asks for more."""

    def __init__(self, request: Request) -> None:
        self._pieces, self._ends = list(request.pieces), request.ends
        self._sends_all = self._ends in ("whole", "left")
        if not self._pieces and self._sends_all:
            self._pieces.append((0.0, b""))

    async def receive(self) -> dict[str, Any]:
        if self._pieces:
            wait_s, piece = self._pieces[0]
            await asyncio.sleep(wait_s)
            del self._pieces[0]
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces) or not self._sends_all}
        if self._ends in ("whole", "silent"):
            await asyncio.sleep(_LONGEST_S)
        return {"type": "http.disconnect"}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
