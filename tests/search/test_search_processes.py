import os
import signal
import sys
import time

import pytest

from ferjax.errors import UserError
from ferjax.interrupt import InterruptedRun
from ferjax.search import processes

WORKER = """#!/usr/bin/env bash
trap 'echo "signal" >>"$CALLS"; exit 143' TERM
echo "$CUDA_VISIBLE_DEVICES $XLA_PYTHON_CLIENT_MEM_FRACTION $*" >>"$CALLS"
for ((i = 0; i < SLEEPS; i++)); do sleep 0.05; done
if [ -n "$FAILS" ]; then echo "ferjax: No luck." >&2; exit 1; fi
"""


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """A stand-in for the interpreter that workers are started with; the file of its calls."""
    path = tmp_path / "python"
    path.write_text(WORKER)
    path.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(path))
    for name, value in {"CALLS": tmp_path / "calls", "SLEEPS": 0, "FAILS": "", "CUDA_VISIBLE_DEVICES": "4,6"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    return tmp_path / "calls"


def test_workers_have_a_gpu_each(stub, tmp_path, monkeypatch):
    processes.run_workers(["--config=a"], 3, tmp_path, lambda: None)
    own = "-m ferjax.search --config=a --workers=1 --noretry_failed"
    assert sorted(stub.read_text().splitlines()) == [f"4 0.450 {own}", f"4 0.450 {own}", f"6  {own}"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert processes.list_gpus() == []
    monkeypatch.setenv("FAILS", "1")
    with pytest.raises(
        UserError, match=r"2 of 2 workers failed: .*worker_0\.log ends with code 1 and 'ferjax: No luck"
    ):
        processes.run_workers(["search"], 2, tmp_path, lambda: None)


def test_workers_are_told_of_a_signal_once(stub, tmp_path, monkeypatch):
    monkeypatch.setenv("SLEEPS", "200")
    sent = []

    def watch():
        if not sent and stub.exists() and stub.read_text().count("\n") == 2:
            time.sleep(0.1)
            sent.append(os.kill(os.getpid(), signal.SIGTERM))

    with pytest.raises(InterruptedRun, match="same command goes on") as raised:
        processes.run_workers(["search"], 2, tmp_path, watch)
    assert raised.value.signum == signal.SIGTERM
    assert stub.read_text().splitlines()[2:] == ["signal", "signal"]
