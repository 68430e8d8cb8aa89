"""Time a network in use: the classifier alone, a video from its file to its rows, the command's start, memory.

    python -m scripts.benchmarks.inference [--network RUN] [--minutes 5]

Prints a table in Markdown. The video is drawn: scikit-image's portrait moves through 640x360 pixels at 25 frames a
second. Memory is that of this process. It wants a quiet machine; the numbers are of all its cores.
"""

import argparse
import functools
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import av
import numpy as np
import skimage.data
from jaxtyping import UInt8
from PIL import Image

import ferjax
from ferjax import runtime
from ferjax.documents.markdown import to_markdown
from ferjax.documents.table import Table
from ferjax.export import export, onnx_file
from ferjax.inference import Options, stream
from ferjax.network import Network
from ferjax.networks.saved import SHIPPED
from scripts.benchmarks.turns import time_in_turns

ROUNDS = 7
BATCHES = (1, 8, 64)
FACES = 512  # of each round of the classifier
FRAMES_PER_S, WIDTH_PX, HEIGHT_PX = 25, 640, 360
PAGE_MB = os.sysconf("SC_PAGESIZE") / 2**20


def time_classifier(network: Network, run: str, folder: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yield how many ready crops a second are classified here and by onnxruntime, in turns, for each batch size."""
    export(run, folder, ["onnx"])
    exported = onnx_file.load(folder)
    images = np.random.default_rng(0).integers(0, 256, (FACES, *network.image_shape)).astype(np.uint8)
    for size in BATCHES:
        some = images[: min(FACES, 64 * size)]

        def run_exported(some: np.ndarray = some, size: int = size) -> None:
            for first in range(0, len(some), size):
                exported(some[first : first + size])

        forms: dict[str, Callable[[], object]] = {
            "ferjax": functools.partial(network, some, batch_size=size),
            "onnxruntime on the exported file": run_exported,
        }
        for name, seconds in time_in_turns(forms, ROUNDS).items():
            yield f"classifier alone, batch {size}: {name}", f"{len(some) / statistics.median(seconds):,.0f} faces/s"


def draw_frames(count: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """Yield frames in which the portrait moves to and fro."""
    portrait = Image.fromarray(skimage.data.astronaut()).resize((HEIGHT_PX, HEIGHT_PX))
    for number in range(count):
        frame = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (110, 110, 110))
        frame.paste(portrait, (round(140 + 130 * np.sin(number / 25)), 0))
        yield np.asarray(frame)


def write_video(path: pathlib.Path, seconds: int) -> None:
    """Write the video with H.264."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("libx264", rate=FRAMES_PER_S)
        track.width, track.height, track.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        track.options = {"preset": "ultrafast"}
        for frame in draw_frames(seconds * FRAMES_PER_S):
            container.mux(track.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(track.encode(None))


def time_video(network: Network, path: pathlib.Path, stride: int) -> float:
    """Return how many frames of the video are dealt with in a second."""
    start_s = time.perf_counter()
    frames = sum(1 for _ in stream(network, path, Options(stride=stride))) * stride
    return frames / (time.perf_counter() - start_s)


def watch_memory(network: Network, folder: pathlib.Path, minutes: int) -> Iterator[tuple[str, str]]:
    """Yield how memory and speed change over a video of `minutes`, with detection in every third frame."""
    path, stride = folder / "long.mp4", 3
    write_video(path, 60 * minutes)
    answers_per_minute = 60 * FRAMES_PER_S // stride
    memory_mb, took_s = [], []
    start_s = time.perf_counter()
    for number, _ in enumerate(stream(network, path, Options(stride=stride)), start=1):
        if number % answers_per_minute == 0:
            memory_mb.append(int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB)
            took_s.append(time.perf_counter() - start_s)
            start_s = time.perf_counter()
    if len(memory_mb) > 1:
        most = f"at most {max(memory_mb):,.0f}"
        yield (
            f"memory after minute 1 and {minutes} of a video",
            f"{memory_mb[0]:,.0f} and {memory_mb[-1]:,.0f} MB, {most}",
        )
        yield f"speed of minute {minutes} over that of minute 1", f"{took_s[0] / took_s[-1]:.2f}"
        quarter = max(1, len(took_s) // 4)
        ratio = sum(took_s[:quarter]) / sum(took_s[-quarter:])
        yield "speed of the last quarter over that of the first", f"{ratio:.2f}"


def time_start(network: str, folder: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yield how long the command takes to the answer for one picture, first without and then with compiled code."""
    picture = folder / "portrait.png"
    Image.fromarray(skimage.data.astronaut()).save(picture)
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled")}
    command = [sys.executable, "-m", "ferjax.predict", str(picture), "--network", network]
    for name in ("first start, nothing compiled", "later start"):
        start_s = time.perf_counter()
        subprocess.run(command, env=environment, check=True, capture_output=True)
        yield f"ferjax predict, {name}", f"{time.perf_counter() - start_s:.1f} s"


def main() -> None:
    """Measure everything, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", default=str(SHIPPED), metavar="RUN", help="by default what ferjax brings along")
    parser.add_argument("--minutes", type=int, default=5, help="of video, over which memory is watched; 0 is none")
    parser.add_argument("--seconds", type=int, default=20, help="of the video file")
    chosen = parser.parse_args()
    runtime.keep_compiled()
    network = ferjax.load(chosen.network)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        path = folder / "talk.mp4"
        write_video(path, chosen.seconds)
        time_video(network, path, FRAMES_PER_S)  # compiles
        for stride in (1, 3):
            rate = statistics.median(time_video(network, path, stride) for _ in range(3))
            what = "every frame" if stride == 1 else f"every {stride}rd frame"
            rows.append((f"video 640x360, one face, {what}", f"{rate:,.0f} frames/s"))
        rows += time_classifier(network, chosen.network, folder)
        rows += time_start(chosen.network, folder)
        if chosen.minutes:
            rows += watch_memory(network, folder, chosen.minutes)
    print(to_markdown(Table(("what", "measured"), tuple(rows), words=("what", "measured"))))


if __name__ == "__main__":
    main()
