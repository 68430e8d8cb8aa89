"""Answer on a page and to other programs, on this machine.

    ferjax serve                                  ferjax's own network, on http://127.0.0.1:8000
    ferjax serve --network RUN --port 9000        that of your run
    curl --data-binary @photo.jpg http://127.0.0.1:8000/predict

Pictures are answered and forgotten: none is stored, and nothing is sent elsewhere. SIGTERM and Ctrl-C finish what has
been begun; the exit code is then 0. docs/serve.md describes the API, and /openapi.json does so for programs.
"""

import argparse
import importlib.util
import ipaddress
import pathlib
import signal
from collections.abc import Sequence

from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser, file_path, whole_number
from ferjax.cli.predict import DETECTORS
from ferjax.errors import UserError

_PACKAGES = ("prometheus_client", "python_multipart", "starlette", "uvicorn")
_LAST_PORT = 65535


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the flags, serve until a signal; return the exit code."""
    return endings.run(
        _create_parser(),
        arguments,
        _serve,
        folder=lambda found: pathlib.Path(),
        interrupted="Interrupted before the server was ready.",
    )


def _create_parser() -> Parser:
    parser = Parser("ferjax serve", __doc__)
    add = parser.add_argument
    add("--network", type=file_path, metavar="RUN", help="a run's folder, or a file of Network.save; else ferjax's")
    add("--host", default="127.0.0.1", help="the address to listen on; 0.0.0.0 lets other machines ask")
    add("--port", type=whole_number(0), default=8000, help="the port to listen on; 8000")
    add("--allowed_hosts", metavar="NAMES", help="names that the server answers to beside its own, with commas")
    add("--detector", choices=DETECTORS, help="what finds the faces; the first that is installed")
    add("--max_upload_mb", type=whole_number(1), default=32, metavar="N", help="the largest request, in megabytes; 32")
    add("--max_megapixels", type=whole_number(1), default=50, metavar="N", help="the largest picture; 50")
    add("--max_files", type=whole_number(1), default=64, metavar="N", help="pictures in one request; 64")
    add(
        "--max_requests", type=whole_number(1), default=512, metavar="N", help="requests that are answered at once; 512"
    )
    add("--max_waiting_mb", type=whole_number(1), default=256, metavar="N", help="what these hold together; 256")
    add("--upload_timeout_s", type=whole_number(1), default=30, metavar="N", help="how long an upload may take; 30")
    add(
        "--wait_ms",
        type=whole_number(0),
        default=40,
        metavar="N",
        help="how long a face waits for others on their way; 40",
    )
    return parser


def _serve(found: argparse.Namespace) -> None:
    if found.port > _LAST_PORT:
        raise FlagMistake(f"--port={found.port}: ports go up to {_LAST_PORT}.")
    import ferjax
    from ferjax import runtime

    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UserError(f"ferjax serve needs the package {missing[0]}: pip install 'ferjax[serve]'.")
    runtime.keep_compiled()
    from ferjax.serving import Limits, serve

    limits = Limits(
        body_bytes=found.max_upload_mb * 1_000_000,
        files=found.max_files,
        pixels=found.max_megapixels * 1_000_000,
        upload_s=float(found.upload_timeout_s),
        requests=found.max_requests,
        waiting_bytes=max(found.max_waiting_mb, found.max_upload_mb) * 1_000_000,
    )
    serve(
        ferjax.load(found.network),
        host=found.host,
        port=found.port,
        hosts=_list_hosts(found.host, found.allowed_hosts),
        limits=limits,
        detector=found.detector,
        wait_s=found.wait_ms / 1000,
    )
    # It has ended well by a signal; another one on the process's way out changes nothing.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _list_hosts(host: str, allowed: str | None) -> list[str] | None:
    """Return the names that a server answers to; None for all of them, where other machines may ask."""
    names = [] if allowed is None else [name.strip().lower() for name in allowed.split(",")]
    if allowed is None and not _is_loopback(host):
        return None
    return ["localhost", "127.0.0.1", "::1", host.lower(), *names]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
