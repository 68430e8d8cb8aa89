"""The benchmark's pure parts, and its way of taking turns with a stand-in for a contender."""

import json
import pathlib
import shutil
import sys
import time

import numpy as np
import pytest

from scripts.benchmarks import __main__ as driver
from scripts.benchmarks import faces, figure, processes, results, tables, training_rows
from scripts.benchmarks.contenders import Contender

ROOT = pathlib.Path(__file__).parents[2]
ABOUT = {
    "when": "2026-01-02T03:04:05+00:00",
    "conditions": {
        "cpu": "abacus",
        "cores": 2,
        "memory_gb": 1,
        "python": "3.11",
        "versions": {"jax": "1"},
        "data": "synthetic",
    },
}
TRAIN = {
    "task": "train",
    "batch": 32,
    "unit": "images/s",
    "values": {
        "ferjax": [30.0, 28.0, 32.0],
        "PyTorch, eager": [20.0, 20.0, 26.0],
        "PyTorch, channels_last": [24.0, 25.0, 26.0],
        "Keras on TensorFlow": [15.0, 15.0, 15.0],
    },
    "failed": {"Keras on JAX": "no luck"},
    "peak_flops_per_s": [1e9, 2e9, 2e9],
    "flops_per_image": 50_000_000,
    "peak_source": "measured",
    **ABOUT,
}
PIPELINE = {
    "task": "pipeline",
    "batch": 32,
    "unit": "images/s",
    "values": {"ferjax": [29.0], "ferjax, bare step": [30.0]},
    **ABOUT,
}
LAUNCH = {
    "task": "launch",
    "batch": 32,
    "unit": "s",
    "values": {"ferjax": [20.0], "PyTorch, eager": [10.0]},
    "again": {"ferjax": [5.0], "PyTorch, eager": [10.0]},
    **ABOUT,
}


def same_work(ours, theirs):
    values = {"ferjax": ours, "PyTorch, eager": theirs, "PyTorch, channels_last": theirs}
    return {"task": "same_work", "batch": 32, "unit": "nats", "values": values, **ABOUT}


def test_ratios_are_of_medians_and_to_the_best_form():
    ratios = {ratio.label: ratio for ratio in results.compare([TRAIN, PIPELINE, LAUNCH])}
    assert ratios["train, batch 32: ferjax / PyTorch, channels_last"].value == 30 / 25
    assert ratios["train, batch 32: ferjax / PyTorch, channels_last"].met is False
    assert ratios["train, batch 32: ferjax / Keras on TensorFlow"].value == 2
    assert ratios["batch 32: ferjax's loop with augmentation / ferjax, bare step"].met is False
    assert ratios["second launch to the first step"].met is True
    assert len(ratios) == 4


def test_share_of_the_peak():
    assert results.find_utilizations(TRAIN)["ferjax"] == pytest.approx(50e6 * 30 / 2e9)
    assert results.find_utilizations({**TRAIN, "peak_flops_per_s": [None]}) == {}


def test_tables_say_medians_ranges_ratios_and_failures():
    text = tables.to_markdown([same_work([1.0], [1.5]), TRAIN, LAUNCH])
    assert "| ferjax | 30.0 (28.0 to 32.0) |" in text
    assert "| PyTorch, channels_last | 25.0 (24.0 to 26.0), 1.20x |" in text
    assert "| Keras on JAX | failed |" in text
    assert "| PyTorch, eager | 10.0, 0.50x | 10.0, 2.00x |" in text  # of seconds, fewer are better
    assert "abacus" in text
    assert "75 %" in text
    assert "5.0e-01 nats" in text
    lines = tables.to_csv([TRAIN, LAUNCH]).splitlines()
    assert lines[1] == "train,32,ferjax,1,30,images/s,2026-01-02T03:04:05+00:00"
    assert any(line.startswith("launch_again,32,ferjax,1,5,s") for line in lines)


@pytest.mark.parametrize("theirs", [2.0, 1.0 + 2e-4, float("nan")])
def test_other_work_fails(tmp_path, monkeypatch, theirs):
    path = tmp_path / "results" / "same_work_32.json"
    path.parent.mkdir()
    monkeypatch.setattr(sys, "argv", ["benchmark", "--table", "--out", str(tmp_path)])
    path.write_text(json.dumps(same_work([1.0, 1.0], [1.0, 1.0 + 2e-5])))
    assert driver.main() == 0
    path.write_text(json.dumps(same_work([1.0, 1.0], [1.0, theirs])))
    assert driver.main() == 1


def test_rounds_are_added_only_to_those_of_the_same():
    merged = results.merge(TRAIN, {**TRAIN, "values": {"ferjax": [1.0]}, "peak_flops_per_s": [3e9]})
    assert merged["values"]["ferjax"] == [30.0, 28.0, 32.0, 1.0]
    assert merged["values"]["PyTorch, eager"] == [20.0, 20.0, 26.0]
    assert merged["peak_flops_per_s"] == [1e9, 2e9, 2e9, 3e9]
    elsewhere = {**TRAIN, "conditions": {**ABOUT["conditions"], "cores": 4}, "values": {"ferjax": [1.0]}}
    assert results.merge(TRAIN, elsewhere)["values"] == {"ferjax": [1.0]}
    assert "Keras on JAX" in merged["failed"]
    mended = results.merge(TRAIN, {**TRAIN, "values": {"Keras on JAX": [1.0]}, "failed": {}})
    assert mended["failed"] == {}


def test_percentiles():
    assert results.find_quantile([float(i) for i in range(1, 101)], 0.99) == 99
    assert results.find_quantile([3.0, 1.0, 2.0], 0.5) == 2


def test_figure_is_written(tmp_path):
    figure.draw([TRAIN, PIPELINE], tmp_path / "benchmark.png")
    assert (tmp_path / "benchmark.png").stat().st_size > 10_000
    figure.draw([LAUNCH], tmp_path / "nothing.png")
    assert not (tmp_path / "nothing.png").exists()


def test_an_npz_becomes_the_competitions_file(tmp_path, monkeypatch):
    monkeypatch.setenv("FERJAX_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (140, 48, 48), np.uint8)
    emotion = np.arange(140, dtype=np.uint8) % 7
    np.savez(tmp_path / "fer.npz", pixels=pixels, emotion=emotion, usage=(np.arange(140) >= 120).astype(np.uint8))
    source, train = training_rows.write(str(tmp_path / "fer.npz"), tmp_path / "data")
    assert pathlib.Path(source).read_text().startswith("emotion,pixels,Usage\n0,")
    rows, labels = faces.load(str(train))
    known = {image.tobytes(): label for image, label in zip(pixels, emotion, strict=True)}
    assert len(rows) == 112
    assert all(known[image.tobytes()] == label for image, label in zip(rows, labels, strict=True))


# Counts as fast as it can beside the answers, as a library's waiting threads might.
STAND_IN = """
import threading
from collections.abc import Callable

count = 0

def spin():
    global count
    while True:
        count += 1

def create(form, task, batch, data, threads):
    threading.Thread(target=spin, daemon=True).start()
    return (lambda: None), (lambda _: None)

COMMANDS = {"count": lambda: {"count": count}}
"""


def used_ticks(pid):
    """Hundredths of a second of processor time, of all threads."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_a_contender_works_only_in_its_turn(tmp_path, monkeypatch):
    package = tmp_path / "scripts" / "benchmarks"
    shutil.copytree(ROOT / "scripts" / "benchmarks", package, ignore=shutil.ignore_patterns("__pycache__"))
    # A namespace package would yield to the real one, where ferjax is installed from a clone.
    (tmp_path / "scripts" / "__init__.py").touch()
    (package / "stand_in.py").write_text(STAND_IN)
    monkeypatch.setattr(processes, "ROOT", tmp_path)
    bench = processes.Bench({"main": sys.executable}, "", tmp_path / "none", tmp_path, 1)
    with processes.Worker(Contender("stand-in", "none", "stand_in"), bench) as worker:
        stepper = processes.Stepper(worker, "train", 1)
        assert stepper.prepare() > 0
        assert stepper.measure(3) >= 0
        if pathlib.Path("/proc/self/stat").exists():
            time.sleep(0.05)  # the stop arrives
            before = used_ticks(worker.process.pid)
            time.sleep(0.3)
            assert used_ticks(worker.process.pid) - before <= 1
        assert worker.ask("count")["count"] > 0
        worker.process.kill()
        with pytest.raises(processes.ContenderError):
            worker.ask("count")
