"""Two real processes that train one run together, on loopback: killed, signalled, and equal to one process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from configs import quickstart
from ferjax.training import run
from tests.cli.test_main import ONE_DEVICE, ROOT
from tests.tiny import read_bits, read_metrics

pytestmark = pytest.mark.slow

CHANGED = {
    "data.synthetic_rows": 140,
    "model.width": 0.06,  # all layers of the network, here and there
    "model.dropout": 0.2,
    "augment.erase_prob": 0.3,
    "optim.schedule": "constant",
    # Small steps in proportion to the gradients: larger ones make much of every rounding error.
    "optim.eps": 1.0,
    "optim.learning_rate": 0.01,
    "train.batch_size": 25,  # 13 rows for one process, 12 and one of padding for the other
    "train.log_every_steps": 1,
    "train.early_stop_patience_epochs": 0,
    # So long that the signals arrive in time.
    "train.epochs": 1000,
}


def find_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Pair:
    """Processes 0 and 1 of a run in `workdir`."""

    def __init__(self, workdir, **changed):
        self.metrics = workdir / "metrics.jsonl"
        command = [sys.executable, "-m", "ferjax.main", "--config", "configs/quickstart.py", "--workdir", str(workdir)]
        command += [f"--config.{key}={value}" for key, value in {**CHANGED, **changed}.items()]
        command += [f"--coordinator_address=127.0.0.1:{find_port()}", "--process_count=2"]
        self.processes = [
            subprocess.Popen(
                [*command, f"--process_index={index}"],
                cwd=ROOT,
                env=os.environ | {"XLA_FLAGS": ONE_DEVICE},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for index in (0, 1)
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait()

    def wait_for_step(self, step):
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and all(process.poll() is None for process in self.processes):
            if self.metrics.exists() and max(read_steps(self.metrics), default=0) >= step:
                return
            time.sleep(0.05)
        raise AssertionError([process.communicate(timeout=10) for process in self.processes if process.poll()])

    def finish(self, timeout_s):
        """Exit code, stdout and stderr of both; what the library of the collectives prints is left out."""
        ended = []
        for process in self.processes:
            output, errors = process.communicate(timeout=timeout_s)
            output = "".join(line for line in output.splitlines(keepends=True) if not line.startswith("[Gloo]"))
            ended.append((process.returncode, output, errors))
        return ended


def read_steps(metrics):
    """The steps of the whole lines that a run has written so far."""
    whole = metrics.read_text().rpartition("\n")[0]
    return [line["step"] for line in map(json.loads, whole.splitlines()) if line["split"] == "train_step"]


def test_two_processes_killed_and_signalled_equal_one(tmp_path):
    workdir = tmp_path / "two"
    with Pair(workdir, **{"train.checkpoint_interval_s": 0.001}) as pair:
        pair.wait_for_step(8)
        pair.processes[1].send_signal(signal.SIGKILL)
        (code, _, errors), _ = pair.finish(60)
        # Where both were at work on a save, JAX's own abort may come before ours, when the heart was silent for long.
        assert code in (1, -signal.SIGABRT), errors
        assert code != 1 or "Another process of this run is gone" in errors.splitlines()[-1]

    # Only one is signalled, and says nothing but that; both have saved the same step.
    with Pair(workdir, **{"parallel.mode": "pmap"}) as pair:
        pair.wait_for_step(20)
        pair.processes[1].send_signal(signal.SIGTERM)
        ended = pair.finish(60)
    assert [code for code, _, _ in ended] == [143, 143], ended
    assert "Resumed " in ended[0][2]
    assert "each batch's rows spread over them (pmap)" in ended[0][2]
    assert ended[1][1] == ""
    assert ended[1][2].splitlines()[-1] == ended[0][2].splitlines()[-1]
    saved = max(read_steps(workdir / "metrics.jsonl"))
    assert f"Saved step {saved} in {workdir}" in ended[0][2]

    steps = saved + 3
    with Pair(workdir, **{"train.steps": steps}) as pair:
        (code, output, errors), other = pair.finish(100)
    assert code == 0, errors
    assert other == (0, "", "")
    assert f"Resumed {workdir} from step {saved}" in errors
    assert "macro F1" in output

    config = quickstart.get_config()
    config.update_from_flattened_dict({**CHANGED, "train.steps": steps, "parallel.devices": 2})
    report = run.run(config, tmp_path / "one")
    together, alone = (read_metrics(tmp_path / folder) for folder in ("two", "one"))
    assert [(line["split"], line["step"]) for line in together] == [(line["split"], line["step"]) for line in alone]
    for one, other in zip(together, alone, strict=True):
        assert one["epoch"] == other["epoch"]
        # Rounding errors grow; other rows, draws or gradients than one process has are far beyond both tolerances.
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4 if one["step"] <= 5 else 3e-2)
    written = json.loads((workdir / "report.json").read_text())
    assert written["loss"] == pytest.approx(report["loss"], rel=3e-2)
    # Only the first process describes a start: three of them.
    assert len(json.loads((workdir / "versions.json").read_text())) == 3
    assert len(list((workdir / "tensorboard").iterdir())) == 3


def test_what_two_processes_saved_goes_on_in_one_and_back(tmp_path):
    workdir = tmp_path / "run"
    with Pair(workdir, **{"train.steps": 8}) as pair:
        (code, _, errors), _ = pair.finish(100)
    assert code == 0, errors
    saved = read_bits(workdir)

    # In this process, on one device: it begins with what was saved, and goes on as one that always was alone.
    config = quickstart.get_config()
    config.update_from_flattened_dict({**CHANGED, "train.steps": 8, "parallel.devices": 1})
    run.run(config, workdir)
    assert read_bits(workdir) == saved
    for steps, folder in ((12, workdir), (12, tmp_path / "alone")):
        config.train.steps = steps
        run.run(config, folder)
    together, alone = (read_metrics(folder, "train_step") for folder in (workdir, tmp_path / "alone"))
    assert [line["step"] for line in together] == [line["step"] for line in alone]
    assert together[-1]["loss"] == pytest.approx(alone[-1]["loss"], rel=3e-2)

    alone_saved = read_bits(workdir)
    with Pair(workdir, **{"train.steps": 12}) as pair:
        (code, _, errors), _ = pair.finish(100)
    assert code == 0, errors
    assert f"Resumed {workdir} from step 12" in errors
    assert read_bits(workdir) == alone_saved
