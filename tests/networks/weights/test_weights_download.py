import contextlib
import dataclasses
import errno
import fcntl
import hashlib
import http.server
import re
import sys
import threading
import time

import pytest
from published_networks import change_source

from ferjax.data.cache import cache_dir
from ferjax.errors import UserError
from ferjax.networks import weights as pretrained
from ferjax.networks.sources import File
from ferjax.networks.vgg import NETWORKS
from ferjax.networks.weights import copies, download

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclasses.dataclass
class Server:
    """A file server that can break off after `cut` bytes of an answer, and counts what it is asked for."""

    content: bytes = CONTENT
    cuts: list[int] = dataclasses.field(default_factory=list)
    status: int = 200
    ranges: bool = True
    linked: str | None = None
    asked: list[str | None] = dataclasses.field(default_factory=list)
    address: str = ""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/hub":
                self.send_response(302)
                self.send_header("Location", "/file")
                if state.linked:
                    self.send_header("X-Linked-ETag", state.linked)
                self.end_headers()
                return
            wanted = self.headers.get("Range")
            state.asked.append(wanted)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and state.ranges else 0
            body = state.content[start:]
            if state.status != 200 or (start and not body):
                self.send_error(416 if start else state.status)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(state.content) - 1}/{len(state.content)}")
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.address = f"http://127.0.0.1:{listening.server_port}"
        yield state
        listening.shutdown()
        thread.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def get(server, folder, digest=("sha256", SHA256[:8]), place="/file"):
    download.download(server.address + place, folder / "file", digest)


def test_a_whole_file_arrives(server, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    get(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert names(tmp_path) == ["file"]
    assert "1.02M/1.02M" in capsys.readouterr().err
    get(server, tmp_path)  # another run that waited
    assert server.asked == [None]


def test_a_download_goes_on_behind_a_break(server, tmp_path):
    server.cuts = [1000, 70_000]
    get(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-", "bytes=71000-"]


def test_a_half_download_is_kept_and_not_taken_for_a_whole_one(server, tmp_path):
    server.cuts = [1000, 1000, 1000, 1000]
    with pytest.raises(download.Failed, match="ended after 4000 of 1024000 bytes"):
        get(server, tmp_path)
    assert names(tmp_path) == [".file.part"]
    get(server, tmp_path)
    assert server.asked[-1] == "bytes=4000-"
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_lost_network_is_no_full_disk(server, tmp_path, monkeypatch):
    server.cuts, lost, read = [1000], [], http.client.HTTPResponse.read

    def lose(response, amount=None):
        chunk = read(response, amount)
        if not chunk and not lost:
            lost.append(True)
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        return chunk

    monkeypatch.setattr(http.client.HTTPResponse, "read", lose)
    get(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000-"]


def test_a_full_disk_is_no_lost_network(server, tmp_path):
    (tmp_path / ".file.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        get(server, tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert server.asked == [None]


@pytest.mark.parametrize(("have", "attempts"), [(1000, download.ATTEMPTS), (0, 1)])
def test_a_lost_connection_is_tried_again_behind_a_part(have, attempts, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    tried, transfer = [], download._transfer
    monkeypatch.setattr(download, "_transfer", lambda *given: tried.append(given) or transfer(*given))
    (tmp_path / ".file.part").write_bytes(CONTENT[:have])
    with pytest.raises(download.Failed, match="Connection refused"):
        download.download("http://127.0.0.1:9/file", tmp_path / "file", None)
    assert len(tried) == attempts
    assert (tmp_path / ".file.part").stat().st_size == have


def test_waiting_for_another_download_is_said(server, tmp_path, caplog):
    caplog.set_level("INFO", "ferjax")
    with (tmp_path / ".file.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = threading.Thread(target=get, args=(server, tmp_path))
        waiting.start()
        until = time.monotonic() + 10
        while "Waiting for another process" not in caplog.text and time.monotonic() < until:
            time.sleep(0.01)
        assert server.asked == []
    waiting.join()
    assert [record.message.split()[0] for record in caplog.records] == ["Waiting", "Downloading"]
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.cuts, server.ranges = [1000], False
    get(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [CONTENT, CONTENT + b"more"])
def test_a_part_that_is_too_long_is_dropped(server, tmp_path, left):
    (tmp_path / ".file.part").write_bytes(left)
    get(server, tmp_path)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_another_content_is_not_kept(server, tmp_path):
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(download.Failed, match=f"its sha256 is .* and not {SHA256[:8]}"):
        get(server, tmp_path)
    assert names(tmp_path) == []


def test_the_hubs_digest_is_held_to(server, tmp_path, caplog):
    server.linked = f'"{SHA256}"'
    get(server, tmp_path, None, "/hub")
    assert "only its length" not in caplog.text
    (tmp_path / "file").unlink()
    server.linked = f'"{"0" * 64}"'
    with pytest.raises(download.Failed, match="its sha256 is"):
        get(server, tmp_path, None, "/hub")
    assert names(tmp_path) == []
    server.linked = None
    get(server, tmp_path, None, "/hub")
    assert "only its length was checked" in caplog.text


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home and cache, so that nothing is found but what a test puts there."""
    for key in ("KERAS_HOME", "TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FERJAX_CACHE", str(tmp_path / "cache"))
    return tmp_path


def publish(monkeypatch, model, address, digest):
    """Publish a file of the network at another address."""
    file = File("vgg19-dcbb9e9d.pth", address, digest)
    change_source(monkeypatch, model, "torchvision", files=(file,))


@pytest.mark.parametrize(("status", "said"), [(404, "404 Not Found"), (None, "Connection refused")])
def test_offline_the_error_says_what_to_put_where(server, status, said, home, monkeypatch):
    server.status = status or 200
    address = f"{server.address}/file" if status else "http://127.0.0.1:9/file"
    publish(monkeypatch, "vgg19", address, ("sha256", SHA256))
    with pytest.raises(UserError) as error:
        pretrained.load("torchvision", "vgg19")
    text = str(error.value)
    assert f"{address} cannot be downloaded" in text
    assert said in text
    assert f"save that file as {home / 'cache' / 'weights' / 'vgg19-dcbb9e9d.pth'}" in text
    assert "init.pretrained=none (configs/random_init.py)" in text
    assert "\n" not in text


def test_a_source_is_downloaded_once_and_loaded(server, home, vgg11_file, monkeypatch):
    server.content = vgg11_file.read_bytes()
    publish(monkeypatch, "vgg11", f"{server.address}/file", ("sha256", hashlib.sha256(server.content).hexdigest()[:8]))
    weights = [pretrained.load("torchvision", "vgg11") for _ in range(2)]
    assert server.asked == [None]
    assert weights[0].path == str(cache_dir() / "weights" / "vgg19-dcbb9e9d.pth")
    assert weights[0].model == "vgg11"


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("torchvision", ".cache/torch/hub/checkpoints"),
        ("keras", ".keras/models"),
        ("keras", "cache/weights"),
        ("timm", "cache/weights"),
    ],
)
def test_a_file_of_keras_or_torch_is_found_and_checked(source, folder, home, monkeypatch):
    file = NETWORKS["vgg19"].published[source].files[-1]
    path = home / folder / file.name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    if file.digest:
        with pytest.raises(UserError, match=re.escape(f"{path} is damaged or not the published file (its ")):
            copies.find(source, "vgg19")
        whole = dataclasses.replace(file, digest=("md5", hashlib.md5(b"damaged").hexdigest()))
        change_source(monkeypatch, "vgg19", source, files=(whole,))
    assert copies.find(source, "vgg19") == path


def test_the_published_addresses_are_kerass_own(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    from keras.src.applications import vgg16, vgg19

    for module, model in ((vgg16, "vgg16"), (vgg19, "vgg19")):
        files = NETWORKS[model].published["keras"].files
        assert [file.address for file in files] == [module.WEIGHTS_PATH_NO_TOP, module.WEIGHTS_PATH]
        with open(module.__file__) as source:
            md5s = re.findall(r'file_hash="(\w+)"', source.read())
        assert [file.digest for file in reversed(files)] == [("md5", md5) for md5 in md5s]
