"""How much a server takes at once."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """What is refused, with a sentence: bodies of more bytes, more files or pixels of a picture, slower uploads.

    `requests` are those that are answered at once, and `waiting_bytes` what all of their bodies have together; more are
    refused until some have been answered.
    """

    body_bytes: int = 32_000_000
    files: int = 64
    pixels: int = 50_000_000
    upload_s: float = 30.0
    header_s: float = 10.0
    requests: int = 512
    waiting_bytes: int = 256_000_000
