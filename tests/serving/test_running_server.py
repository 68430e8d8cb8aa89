"""A server in a process of its own: signals, slow clients, load, and its page in a browser. Run by name."""

import asyncio
import csv
import http.client
import io
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import ferjax
from tests.serving.chromium import CHROMIUM, open_page
from tests.serving.conftest import encode
from tests.tiny import SMALL

pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).parents[2]
# Where the screenshots go, to be looked at.
SCREENSHOTS = os.environ.get("SCREENSHOTS")


@pytest.fixture(scope="module")
def portrait():
    """A photograph of a smiling face, as a JPEG of 512x512 pixels."""
    return encode(pytest.importorskip("skimage.data").astronaut(), "JPEG", quality=90)


class Running:
    """A server, and what it logs."""

    def __init__(self, network, *flags):
        environment = {name: text for name, text in os.environ.items() if name != "XLA_FLAGS"}
        command = [sys.executable, "-m", "ferjax", "serve", "--network", str(network), "--port=0", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment)
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if found := re.search(r"http://127.0.0.1:(\d+)", line):
                self.port = int(found[1])
                break
        else:
            self.process.stderr.close()
            self.process.wait()
            pytest.fail(f"it did not start: {''.join(self.log)}")
        self._reader = threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True)
        self._reader.start()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.port}/"

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def count_kilobytes(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1])

    def stop(self):
        """Ask it to end; return its exit code when it has."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(120)
        self._reader.join()
        self.process.stderr.close()
        return code


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A finished run that another process can load: the other tests' network is thinner than their config says."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    ferjax.train("quickstart", folder, {**SMALL, "model.width": 0.06, "train.epochs": 1, "train.best_metric": "loss"})
    return folder


@pytest.fixture(scope="module")
def server(whole_run):
    # FERJAX_NETWORK may name a network that knows faces, for screenshots.
    running = Running(os.environ.get("FERJAX_NETWORK", whole_run), "--upload_timeout_s=3", "--max_upload_mb=4")
    yield running
    assert running.stop() == 0
    assert "Traceback" not in "".join(running.log)


def _head(length, query=""):
    return f"POST /predict{query} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def _read_answer(connection):
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status, json.loads(response.read())


def test_a_signal_lets_what_has_begun_end(whole_run, portrait):
    running = Running(whole_run)
    with running.connect() as connection:
        connection.sendall(_head(len(portrait)) + portrait[:1000])
        time.sleep(0.5)
        running.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(ConnectionRefusedError):
            running.connect()
        connection.sendall(portrait[1000:])
        status, answer = _read_answer(connection)
    assert (status, len(answer["pictures"])) == (200, 1)
    assert running.stop() == 0
    assert "Traceback" not in "".join(running.log)


def test_a_second_ctrl_c_refuses_what_has_begun(whole_run):
    running = Running(whole_run)
    with running.connect() as connection:
        connection.sendall(_head(10_000) + b"x")
        time.sleep(0.5)
        for _ in range(2):
            running.process.send_signal(signal.SIGINT)
            time.sleep(0.5)
        status, answer = _read_answer(connection)
    assert (status, answer["error"][:21]) == (503, "The server is ending,")
    assert running.stop() == 0
    log = "".join(running.log)
    assert "Refused what was not done in time: 1 request." in log
    assert "Traceback" not in log


def test_what_is_no_request_is_told_so_in_json(server):
    with server.connect() as connection:
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        status, answer = _read_answer(connection)
    assert (status, answer) == (400, {"error": "This is no request of HTTP that can be read."})


def test_slow_and_endless_uploads_end_with_a_sentence_and_silence_with_a_closed_connection(server):
    with server.connect() as silent, server.connect() as slow, server.connect() as endless:
        start_s = time.monotonic()
        slow.sendall(_head(10_000) + b"x")
        endless.sendall(b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(50):
            endless.sendall(b"186a0\r\n" + bytes(100_000) + b"\r\n")
        assert _read_answer(endless) == (
            413,
            {"error": "The upload has more than 4 MB: send fewer or smaller pictures."},
        )
        status, answer = _read_answer(slow)
        assert (status, answer["error"][:38]) == (408, "The upload was not complete after 3 se")
        assert time.monotonic() - start_s < 10
        silent.sendall(b"POST /predict HTTP/1.1\r\nHost: loc")
        silent.settimeout(30)
        assert silent.recv(10) == b""
    with server.connect() as later:  # a second request of the same connection
        later.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert _read_answer(later)[0] == 200
        later.sendall(b"GET /health HTTP/1.1\r\nHost: loc")
        later.settimeout(30)
        assert later.recv(10) == b""


async def burst(port, body, count, rounds, query=""):
    """Send from `count` connections at once, each `rounds` times; return the statuses and the seconds of each."""

    async def ask():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        found = []
        for _ in range(rounds):
            start_s = time.perf_counter()
            writer.write(_head(len(body), query) + body)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))
            found.append((int(head.split()[1]), time.perf_counter() - start_s))
        writer.close()
        return found

    answers = await asyncio.gather(*(ask() for _ in range(count)))
    return [answer for found in answers for answer in found]


@pytest.mark.parametrize(("side", "query"), [(48, "?detect=false"), (240, "")])
def test_two_hundred_at_once(server, portrait, capsys, side, query):
    small = io.BytesIO()
    Image.open(io.BytesIO(portrait)).resize((side, side)).save(small, "JPEG")
    asyncio.run(burst(server.port, small.getvalue(), 200, 1, query))
    before = server.count_kilobytes()
    idle = os.getloadavg()[0] < 1.5
    answers = asyncio.run(burst(server.port, small.getvalue(), 200, 3, query))
    grown = server.count_kilobytes() - before
    half, most = np.quantile([seconds for _, seconds in answers], [0.5, 0.99])
    with capsys.disabled():
        times = f"median {half:.2f} s, p99 {most:.2f} s"
        print(f"\n200 at once, thrice, {side} px{query}: {times}, {grown / 1000:+.1f} MB; idle: {idle}")
    assert {status for status, _ in answers} == {200}
    assert grown < 30_000
    assert most <= 1.0 or not idle


needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")


@needs_chromium
def test_the_page_answers_a_dropped_photo(server, portrait, tmp_path):
    path = tmp_path / "portrait.jpg"
    path.write_bytes(portrait)
    folder = pathlib.Path(SCREENSHOTS or tmp_path)
    with open_page() as page:
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        page.open(server.address)
        page.drop([path])
        page.wait("document.querySelectorAll('.face').length")
        boxes = page.run("JSON.stringify([...document.querySelectorAll('.box')].map(b => b.getBoundingClientRect()))")
        picture = page.run("JSON.stringify(document.querySelector('article img').getBoundingClientRect())")
        box, picture = json.loads(boxes)[0], json.loads(picture)
        # The face of this photograph, as shares of its sides.
        assert (box["x"] - picture["x"]) / picture["width"] == pytest.approx(0.35, abs=0.05)
        assert (box["y"] - picture["y"]) / picture["height"] == pytest.approx(0.13, abs=0.05)
        assert page.run("document.querySelectorAll('.bars tr').length") == 7
        page.run("document.querySelector('article button').click()")
        page.wait("document.querySelector('.looked img')?.naturalWidth")
        page.save_picture(folder / "page.png")
        page.resize(390, 844, 2)
        assert page.run("document.documentElement.scrollWidth") <= 390
        page.save_picture(folder / "phone.png")
        for name in ("csv", "json"):
            page.run(f"document.getElementById('{name}').click()")
        for _ in range(100):
            if (tmp_path / "faces.json").exists() and (tmp_path / "faces.csv").exists():
                break
            time.sleep(0.1)
        (row,) = json.loads((tmp_path / "faces.json").read_text())
        (line,) = csv.DictReader((tmp_path / "faces.csv").read_text().splitlines())
        assert list(row) == list(line)
        assert (row["source"], row["label"]) == (line["source"], line["label"]) == ("portrait.jpg", row["label"])
        assert page.console == []


@needs_chromium
def test_the_page_says_what_is_wrong(server, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (80, 60), 90).save(tmp_path / "gray.png")
    with open_page() as page:
        page.open(server.address)
        page.drop([tmp_path / "text.png"])
        page.wait("document.getElementById('said').textContent.includes('not a picture')")
        page.drop([tmp_path / "gray.png"])
        page.wait("document.querySelector('article').textContent.includes('No face was found.')")
        refused = page.run("document.querySelectorAll('article')[1].textContent")
        said = "This browser cannot show the picture.No answer: The upload text.png is not a picture;"
        assert refused.startswith(f"text.png{said}")


@needs_chromium
def test_the_model_runs_in_the_browser_and_no_picture_leaves_it(server, portrait, tmp_path):
    pytest.importorskip("onnx")
    path = tmp_path / "portrait.jpg"
    path.write_bytes(portrait)
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    client.request("POST", "/predict", portrait)
    (wanted,) = json.loads(client.getresponse().read())["pictures"][0]["rows"]
    client.close()
    with open_page() as page:
        page.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        page.open(server.address)
        page.wait("!document.getElementById('local-label').hidden")
        page.run("document.getElementById('local').click()")
        page.wait("document.getElementById('local').checked", 120)
        page.run("fetch = () => { throw new Error('a picture would leave') }")
        page.drop([path])
        page.wait("document.querySelector('.face')")
        page.run("document.getElementById('json').click()")
        for _ in range(100):
            if (tmp_path / "faces.json").exists():
                break
            time.sleep(0.1)
        if SCREENSHOTS:
            page.save_picture(pathlib.Path(SCREENSHOTS) / "local.png")
        assert page.console == []
    (row,) = json.loads((tmp_path / "faces.json").read_text())
    assert list(row) == list(wanted)
    assert row["status"] == wanted["status"]
    # Another detector than the server's, whose boxes are somewhat others; by a little training, other labels too.
    assert [row[name] for name in ("x", "y", "width", "height")] == pytest.approx(
        [wanted[name] for name in ("x", "y", "width", "height")], abs=15
    )


@needs_chromium
def test_a_ready_crop_gets_the_same_answer_in_the_browser(server, tmp_path):
    pytest.importorskip("onnx")
    levels = np.random.default_rng(3).integers(0, 256, (60, 70, 3), np.uint8)
    path = tmp_path / "crop.png"
    Image.fromarray(levels).resize((140, 120)).save(path)
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    client.request("POST", "/predict?detect=false", path.read_bytes())
    (wanted,) = json.loads(client.getresponse().read())["pictures"][0]["rows"]
    client.close()
    with open_page() as page:
        page.open(server.address)
        page.wait("!document.getElementById('local-label').hidden")
        page.run("document.getElementById('local').click(), document.getElementById('crops').click()")
        page.wait("document.getElementById('local').checked", 120)
        page.drop([path])
        page.wait("document.querySelector('.face')")
        shown = page.run(
            "[...document.querySelectorAll('.bars td:last-child')].map(cell => parseInt(cell.textContent))"
        )
    assert shown == pytest.approx([100 * wanted[name] for name in wanted if name.startswith("p_")], abs=1.5)


@needs_chromium
def test_the_camera_opens_only_after_the_notice_and_by_keys(server, portrait, tmp_path):
    film = tmp_path / "camera.mjpeg"
    film.write_bytes(portrait * 3)
    with open_page(
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ) as page:
        page.open(server.address)
        asked = "document.getElementById('camera-notice').open"
        page.run("document.getElementById('camera-ask').focus()")
        page.press("Enter", 13)
        page.wait(asked)
        page.press("Escape", 27)
        page.wait(f"!{asked}")
        assert page.run("document.getElementById('camera').hidden")
        page.press("Enter", 13)
        page.wait(asked)
        page.press("Enter", 13)  # the first button has the focus
        page.wait("document.querySelectorAll('#video-faces .face').length")
        assert page.run("document.querySelectorAll('#video-boxes .box').length") == 1
        if SCREENSHOTS:
            page.save_picture(pathlib.Path(SCREENSHOTS) / "camera.png")
        page.run("document.getElementById('camera-keep').click()")
        page.wait("document.querySelector('article')")
        page.run("document.getElementById('camera-stop').click()")
        page.wait("document.getElementById('camera').hidden")
        assert page.run("document.getElementById('video').srcObject === null")
