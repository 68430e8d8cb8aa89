"""macOS and Windows, simulated: what they lack is taken away, and what they have instead is put there."""

import ctypes
import os
import pathlib
import re
import signal
import subprocess
import sys

import jax
import pytest

from ferjax import machine, runtime
from ferjax.interrupt import Interrupt, InterruptedRun
from ferjax.parallel import memory

SOURCES = pathlib.Path(machine.__file__).parent
# What is not on every system; `signal.SIGINT` and `SIGTERM` are.
UNEVEN = re.compile(
    r"sys\.platform\b|import (fcntl|resource|termios|pwd)\b|os\.(getuid|fork|killpg|nice|sched_)|signal\.(SIG(HUP|XCPU"
    r"|PIPE|ALRM|KILL)|alarm)\b|[\"'](/proc|/sys|/dev)/|start_new_session|mallopt\("
)


@pytest.fixture
def windows(monkeypatch):
    """Take away what Windows lacks, as far as ferjax asks for it."""
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.delattr(os, "getuid")
    for name in ("SIGHUP", "SIGXCPU", "SIGPIPE", "SIGALRM"):
        monkeypatch.delattr(signal, name)
    monkeypatch.setattr(signal, "CTRL_BREAK_EVENT", 1, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(machine, "_read_kib", lambda *_: None)


@pytest.fixture
def macos(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(machine, "_read_kib", lambda *_: None)


def test_nothing_else_asks_what_differs_between_systems():
    found = [
        f"{path.relative_to(SOURCES)}:{number}: {line.strip()}"
        for path in sorted(SOURCES.rglob("*.py"))
        if path.name != "machine.py"
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if UNEVEN.search(line)
    ]
    assert not found, "ask ferjax/machine.py"


def test_windows_has_fewer_signals_and_one_of_its_own(windows, monkeypatch):
    assert machine.list_interrupts() == (signal.SIGINT, signal.SIGTERM)
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    assert machine.list_interrupts()[-1] == signal.SIGUSR1
    assert not machine.is_ignored_hangup(1)
    monkeypatch.setattr("ferjax.interrupt.SIGNALS", machine.list_interrupts())
    with pytest.raises(InterruptedRun), Interrupt():
        signal.raise_signal(signal.SIGUSR1)


def test_windows_tells_a_process_by_ctrl_break(windows):
    sent, process = [], subprocess.Popen.__new__(subprocess.Popen)
    process.returncode = 0  # there is no such process
    process.send_signal = sent.append
    machine.pass_on(process, signal.SIGTERM)
    assert sent == [1]
    assert machine.detach() == {"creationflags": 0x200}


def test_windows_has_users_without_numbers(windows, monkeypatch, tmp_path):
    monkeypatch.setattr("getpass.getuser", lambda: "A. Übel\\x")
    assert machine.name_user() == "A__Übel_x"
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(OSError))
    assert machine.name_user() == "user"
    assert machine.is_mine(tmp_path)


def test_windows_says_nothing_of_memory(windows):
    assert machine.find_peak_memory() is None
    assert memory.describe_peak() == "Peak memory: unknown here."
    assert memory.estimate_batch(2000, "allocating 4.00GiB", machine.find_free_memory()) in (None, 2000)


def test_macos_counts_bytes(macos):
    import resource

    assert machine.find_peak_memory() == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, rel=0.1)
    assert machine.detach() == {"start_new_session": True}
    assert signal.SIGHUP in machine.list_interrupts()


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_only_glibc_is_told_to_keep_memory(platform, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: pytest.fail("there is no such library"))
    runtime.keep_memory()


def test_musl_has_no_mallopt(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    machine.keep_freed_memory()


def test_each_system_has_its_cameras(monkeypatch):
    found = {}
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        found[platform] = machine.find_camera(1)
    assert found["linux"][:2] == ("/dev/video1", "v4l2")
    assert found["darwin"][:2] == ("1", "avfoundation")
    assert found["win32"] is None


def test_only_the_processors_that_this_process_may_use_count(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert machine.count_processors() == 2
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    assert machine.count_processors() == 8


@pytest.mark.parametrize(
    ("wanted", "flags", "asked"),
    [(1, "", []), (2, "", [2]), (8, "", [4]), (2, "--xla_force_host_platform_device_count=3", [])],
)
def test_the_cpu_is_divided_in_no_more_devices_than_processors(monkeypatch, wanted, flags, asked):
    numbers = []
    monkeypatch.setattr(machine, "count_processors", lambda: 4)
    monkeypatch.setattr(jax.config, "update", lambda name, value: numbers.append((name, value)))
    monkeypatch.setenv("XLA_FLAGS", flags)
    runtime.divide_cpu(wanted)
    assert numbers == [("jax_num_cpu_devices", number) for number in asked]
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "3")
    runtime.divide_cpu(wanted)
    assert len(numbers) == len(asked)


def test_the_devices_of_a_program_in_which_jax_has_begun_stay(monkeypatch):
    monkeypatch.setattr(machine, "count_processors", lambda: 4)
    monkeypatch.setenv("XLA_FLAGS", "")
    before = jax.device_count()
    runtime.divide_cpu(2)
    assert jax.device_count() == before


def test_here_everything_is_known():
    assert machine.find_peak_memory() > 10**7
    assert machine.find_free_memory() > 0
    assert machine.name_user() == str(os.getuid())
    assert re.fullmatch(r"Peak memory: [\d,]+ MB of the process\.", memory.describe_peak())


def test_what_was_freed_and_is_kept_counts_as_free():
    code = (
        "import ctypes; from ferjax import machine; machine.keep_freed_memory(); c = ctypes.CDLL(None)\n"
        "c.malloc.restype = ctypes.c_void_p; p = c.malloc(ctypes.c_size_t(3 * 10**8))\n"
        "before = machine.find_kept_memory(); c.free(ctypes.c_void_p(p)); print(machine.find_kept_memory() - before)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(found.stdout) in (0, pytest.approx(3e8, rel=0.1))  # 0 where the C library is another


@pytest.mark.parametrize(
    ("flags", "fast"), [("fma avx512_bf16 sse", True), ("amx_bf16 amx_tile", True), ("fma avx2 avx512f", False)]
)
def test_a_cpu_says_whether_it_multiplies_bfloat16(flags, fast, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(machine.pathlib, "Path", lambda _: tmp_path / "cpuinfo")
    assert machine.read_cpu_flags() == set(flags.split())
    assert runtime.has_fast_bfloat16() == fast
