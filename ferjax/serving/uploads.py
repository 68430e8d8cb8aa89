"""What a request sends: one picture as its body, or several as the files of a form."""

import dataclasses
import re
from collections.abc import AsyncGenerator

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ferjax.inference.pictures import read_data_address
from ferjax.serving.limits import Limits
from ferjax.serving.refusal import Refusal

_HOW = "send a picture's bytes as the body, or several as files of a form (multipart/form-data)"
_LONGEST_NAME = 200
_FIELDS, _FIELD_BYTES = 16, 100_000


@dataclasses.dataclass(frozen=True)
class Upload:
    """A file that was sent: its name, or its number where it has none, and its content."""

    name: str
    data: bytes


class _InMemory(MultiPartParser):
    """Starlette's parser, which never writes a file to the disk: no picture is stored."""

    spool_max_size = 0  # of SpooledTemporaryFile: no limit

    def __init__(self, headers: Headers, chunks: AsyncGenerator[bytes, None], **limits: int) -> None:
        super().__init__(headers, self._check_end(chunks), **limits)
        self._has_ended = False

    def on_end(self) -> None:
        self._has_ended = True

    async def _check_end(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield the chunks; raise MultiPartException where they end within a part, which would be lost silently."""
        begun = False
        async for chunk in chunks:
            begun |= bool(chunk)
            yield chunk
        if begun and not self._has_ended:
            raise MultiPartException("it ends before its last part does")


async def read_uploads(request: Request, chunks: AsyncGenerator[bytes, None], limits: Limits) -> list[Upload]:
    """Return the files of a request, in order. Raises Refusal for a body that is none of what is taken."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        uploads = await _read_form(request, chunks, limits)
    elif kind == "application/json":
        raise Refusal(415, f"A body of type {kind} is no picture: {_HOW}; no path and no address is opened.")
    else:  # whatever it is called: curl calls every body a form
        body = b"".join([chunk async for chunk in chunks])
        uploads = [Upload("0", read_data_address(body) or body)]
    if not any(upload.data for upload in uploads):
        raise Refusal(422, f"There is no picture in the request: {_HOW}.")
    return uploads


async def _read_form(request: Request, chunks: AsyncGenerator[bytes, None], limits: Limits) -> list[Upload]:
    parser = _InMemory(request.headers, chunks, max_files=limits.files, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeError) as error:  # a form without a boundary is a KeyError
        text = getattr(error, "message", "its header names no boundary")
        if text.startswith("Too many files"):
            raise Refusal(413, f"The form has more than {limits.files} files: send fewer at once.") from error
        raise Refusal(400, f"The form cannot be read ({text.rstrip('.')}): {_HOW}.") from error
    uploads: list[Upload] = []
    try:
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                raise Refusal(
                    422, f"The form's part {clean(name)!r} is no file: {_HOW}; no path and no address is opened."
                )
            uploads.append(Upload(clean(value.filename or "") or str(len(uploads)), await value.read()))
    finally:
        await form.close()
    return uploads


def clean(name: str) -> str:
    """Return a file's name without its folders and without what is not printable."""
    last = re.split(r"[/\\]", name)[-1]
    return "".join(letter for letter in last if letter.isprintable())[:_LONGEST_NAME].strip()
