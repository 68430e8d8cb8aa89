"""A page in headless Chromium, and the small server that gives it its files and takes its answer."""

import functools
import http.server
import json
import pathlib
import queue
import shutil
import subprocess
import tempfile
import threading
from typing import Any

import numpy as np
from jaxtyping import UInt8

PAGE = pathlib.Path(__file__).with_name("page.html")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_KINDS = {".html": "text/html", ".mjs": "text/javascript", ".wasm": "application/wasm", ".json": "application/json"}
_LIMIT_S = 300.0


def find_chromium() -> str | None:
    """Find a Chromium, None where there is none."""
    return next(filter(None, map(shutil.which, _NAMES)), None)


def ask(
    model: pathlib.Path, runtime: pathlib.Path, images: UInt8[np.ndarray, "n h w c"], threads: int = 1
) -> dict[str, Any]:
    """Run the page on a model and images; return what it posts. Raises RuntimeError where it fails or hangs."""
    chromium = find_chromium()
    if chromium is None:
        raise RuntimeError("There is no Chromium here.")
    files = {
        "/": PAGE.read_bytes(),
        "/model.onnx": model.read_bytes(),
        "/images.bin": images.tobytes(),
        "/task.json": json.dumps({"shape": images.shape, "threads": threads}).encode(),
    }
    answers: queue.Queue[bytes] = queue.Queue()
    handler = functools.partial(_Handler, files, runtime, answers)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, tempfile.TemporaryDirectory() as profile:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}/"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={profile}"]
        browser = subprocess.Popen([chromium, *flags, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            answer: dict[str, Any] = json.loads(answers.get(timeout=_LIMIT_S))
        except queue.Empty:
            raise RuntimeError(f"The page gave no answer within {_LIMIT_S:.0f} seconds.") from None
        finally:
            browser.terminate()
            browser.wait(timeout=30)
            server.shutdown()
    if "error" in answer:
        raise RuntimeError(f"The page failed: {answer['error']}")
    return answer


class _Handler(http.server.BaseHTTPRequestHandler):
    def __init__(
        self, files: dict[str, bytes], runtime: pathlib.Path, answers: "queue.Queue[bytes]", *request: Any
    ) -> None:
        self._files, self._runtime, self._answers = files, runtime, answers
        super().__init__(*request)

    def do_GET(self) -> None:
        name = self.path.partition("?")[0]
        body = self._files.get(name)
        if name.startswith("/ort/"):
            place = self._runtime / pathlib.PurePosixPath(name).name
            body = place.read_bytes() if place.is_file() else None
        self.send_response(404 if body is None else 200)
        self.send_header("Content-Type", _KINDS.get(pathlib.PurePosixPath(name).suffix, "text/html"))
        self.send_header("Content-Length", str(len(body or b"")))
        # Only a page that is isolated so may use several threads.
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.end_headers()
        self.wfile.write(body or b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        self._answers.put(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""
