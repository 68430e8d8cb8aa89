"""Run an exported model.onnx in onnxruntime-web in headless Chromium, and compare it with onnxruntime.

    bash scripts/check_browser.sh FOLDER/model.onnx [--images FILE.npz] [--threads 1]

prints the file's size, how many labels are the same, by how much a probability differs at most, and the milliseconds a
face takes alone. --images is an npz with `pixels` [n, h, w] or [n, h, w, c]; without it drawn faces are taken.
"""

import argparse
import json
import pathlib
import statistics
import sys
from typing import Any

import numpy as np
import onnxruntime
from jaxtyping import Float32, UInt8

from ferjax.data.datasets.synthetic import draw
from scripts.browser.chromium import ask


def main() -> int:
    """Parse the flags, run, print; 1 where a label differs, the file is too large, or a face takes too long."""
    parser = argparse.ArgumentParser(prog="check_browser", description=__doc__)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--runtime", type=pathlib.Path, required=True, help="onnxruntime-web's folder dist")
    parser.add_argument("--images", type=pathlib.Path, help="an npz with 'pixels'")
    parser.add_argument("--count", type=int, default=200, help="how many images")
    parser.add_argument("--threads", type=int, default=1, help="of the browser's runtime")
    found = parser.parse_args()
    images = read_images(found.images, found.count)
    answer = ask(found.model, found.runtime, images, found.threads)
    result = compare(found.model, images, answer)
    print(json.dumps(result, indent=1))
    return 0 if result["same_labels"] == len(images) and result["megabytes"] <= 8 and result["ms_a_face"] <= 50 else 1


def read_images(path: pathlib.Path | None, count: int) -> UInt8[np.ndarray, "n h w c"]:
    """Read the last `count` images of a file, or draw so many faces."""
    if path is None:
        return draw(count).images
    pixels: UInt8[np.ndarray, ...] = np.load(path)["pixels"][-count:]
    return pixels if pixels.ndim == 4 else pixels[..., None]


def compare(model: pathlib.Path, images: UInt8[np.ndarray, "n h w c"], answer: dict[str, Any]) -> dict[str, Any]:
    """Set the browser's answers beside those of onnxruntime for the same file."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    expected: Float32[np.ndarray, "n k"] = np.asarray(session.run(None, {"images": images})[0])
    given = np.asarray(answer["probabilities"], np.float32)
    together = np.asarray(answer["together"], np.float32).reshape(-1, expected.shape[1])
    return {
        "megabytes": round(model.stat().st_size / 1e6, 2),
        "images": len(images),
        "same_labels": int((given.argmax(1) == expected.argmax(1)).sum()),
        "largest_difference": float(np.abs(given - expected).max()),
        "largest_difference_in_a_batch": float(np.abs(together - expected[: len(together)]).max()),
        "ms_a_face": round(statistics.median(answer["ms"]), 2),
        "load_ms": round(answer["load_ms"]),
        "threads_allowed": answer["isolated"],
    }


if __name__ == "__main__":
    sys.exit(main())
