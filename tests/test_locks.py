import subprocess
import sys

import pytest
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from ferjax.locks import hold, is_held, take, try_take

HOLDER = """
import pathlib, sys, time
from ferjax.locks import take
lock = take(pathlib.Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process, which holds the lock on tmp_path/lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "lock")], stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_killed_process_holds_its_lock_no_longer(tmp_path, holder):
    path = tmp_path / "lock"
    assert is_held(path)
    assert try_take(path) is None
    holder.kill()
    holder.wait()
    assert not is_held(path)
    take(path).release()


def test_whoever_waits_gets_the_lock_when_it_is_given_back(tmp_path, holder):
    code = HOLDER.replace("time.sleep(60)", "")
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(0.5)
        holder.kill()
        assert waiting.stdout.readline() == b"held\n"


def test_one_process_cannot_take_a_lock_twice(tmp_path):
    path = tmp_path / "lock"
    with hold(path):
        assert is_held(path)
        assert try_take(path) is None
    assert not is_held(path)


def test_to_ask_for_a_lock_makes_no_file(tmp_path):
    assert not is_held(tmp_path / "lock")
    assert list(tmp_path.iterdir()) == []


def test_optunas_journal_still_takes_a_lock_of_ours(tmp_path):
    calls = []

    class Lock(JournalFileOpenLock):
        def __init__(self):
            pass

        def acquire(self):
            calls.append("acquire")
            return True

        def release(self):
            calls.append("release")

    JournalFileBackend(str(tmp_path / "journal"), lock_obj=Lock()).append_logs([{}])
    assert calls == ["acquire", "release"], (
        "Optuna no longer calls acquire and release of lock_obj around each write: see what JournalFileBackend asks of "
        "a lock now, and change ferjax/search/journal.py to that."
    )
