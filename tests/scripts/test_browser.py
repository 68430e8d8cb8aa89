"""An exported network in onnxruntime-web in headless Chromium."""

import os
import pathlib
import shutil
import subprocess

import pytest

from ferjax.data.datasets.synthetic import draw
from ferjax.export import export
from scripts.browser.__main__ import compare
from scripts.browser.chromium import ask, find_chromium


@pytest.fixture(scope="module")
def runtime(tmp_path_factory):
    """onnxruntime-web's folder: ONNXRUNTIME_WEB, or what npm fetches."""
    if "ONNXRUNTIME_WEB" in os.environ:
        return pathlib.Path(os.environ["ONNXRUNTIME_WEB"])
    folder = tmp_path_factory.mktemp("npm")
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    fetched = subprocess.run(["npm", "pack", "--silent", "onnxruntime-web@1.30.0"], cwd=folder, capture_output=True)
    if fetched.returncode:
        pytest.skip("npm does not reach onnxruntime-web")
    shutil.unpack_archive(next(folder.glob("*.tgz")), folder)
    return folder / "package" / "dist"


@pytest.mark.slow
@pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium")
def test_the_browser_gives_the_same_labels(finished_run, runtime, tmp_path):
    export(finished_run, tmp_path, ["onnx"])
    images = draw(100, seed=4).images
    found = compare(tmp_path / "model.onnx", images, ask(tmp_path / "model.onnx", runtime, images))
    assert found["same_labels"] == 100
    assert max(found["largest_difference"], found["largest_difference_in_a_batch"]) <= 1e-4
    assert found["megabytes"] <= 8
    assert found["ms_a_face"] <= 50
