"""The scripts that run a study, with a stand-in for python that says what it was asked for and costs nothing."""

import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SWEEP, STUDY = ROOT / "scripts" / "sweep_seeds.sh", ROOT / "scripts" / "run_report.sh"

# Called as python is: -m ferjax.main --config FILE --workdir DIR --config.train.seed=N FLAGS.
PYTHON = """#!/usr/bin/env bash
trap 'echo "signal $*" >>"$CALLS"; exit 143' TERM
trap 'echo "signal $*" >>"$CALLS"; exit 130' INT
echo "begin ${CUDA_VISIBLE_DEVICES-none} $*" >>"$CALLS"
echo "what the run says"
if [[ " $* " == *" --config.train.seed=$FAIL "* ]]; then echo "ferjax: No luck." >&2; exit 7; fi
for ((i = 0; i < ${SLEEPS:-0}; i++)); do sleep 0.1 & wait $!; done
echo "end ${CUDA_VISIBLE_DEVICES-none} $*" >>"$CALLS"
"""


@pytest.fixture(autouse=True)
def heard_signals():
    """Bash cannot trap what is ignored as it starts, and tests in the background or under nohup inherit that."""
    ignored = [number for number in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@pytest.fixture
def place(tmp_path):
    """A folder with two configs, the stand-in, and the environment that has the scripts use it."""
    for name, text in (("python", PYTHON), ("nvidia-smi", "#!/bin/sh\necho 'GPU 0: A'\necho 'GPU 1: A'\n")):
        (tmp_path / "bin").mkdir(exist_ok=True)
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(f"# {name}\n")
    return tmp_path


def environment(place, **changed):
    kept = {key: value for key, value in os.environ.items() if key not in ("CUDA_VISIBLE_DEVICES", "WORKDIR", "JOBS")}
    own = {"PYTHON": place / "bin" / "python", "CALLS": place / "calls", "FAIL": "none", "WORKDIR": "runs"}
    return kept | {key: str(value) for key, value in (own | changed).items()}


def start(place, script, *arguments, **changed):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    own = {"cwd": place, "env": environment(place, **changed), "text": True, "start_new_session": True}
    return subprocess.Popen(["bash", script, *map(str, arguments)], **pipes, **own)


def run(place, script, *arguments, **changed):
    process = start(place, script, *arguments, **changed)
    output, _ = process.communicate(timeout=60)
    return process.returncode, output


def calls(place):
    return (place / "calls").read_text().splitlines() if (place / "calls").exists() else []


def begun(place):
    """The folders of the runs that were begun, in order."""
    return [line.split("--workdir ")[1].split(" ")[0] for line in calls(place) if line.startswith("begin")]


def test_a_failed_run_is_told_and_the_finished_are_skipped(place):
    command = (place, SWEEP, "one.py", 0, 1, 2, "--", "--config.data.path=a b.csv")
    code, output = run(*command, FAIL="1")
    assert code == 1
    assert begun(place) == [f"runs/one/seed_{seed}" for seed in (0, 1, 2)]
    assert calls(place)[0] == (
        "begin none -m ferjax.main --config one.py --workdir runs/one/seed_0 --config.train.seed=0 "
        "--config.data.path=a b.csv"
    )
    assert "ran 2, skipped 0, failed 1, of 3 in runs" in output
    assert "failed with 7: runs/one/seed_1.log: ferjax: No luck." in output
    log = (place / "runs/one/seed_1.log").read_text()
    assert "== 20" in log
    assert "--config.data.path=a\\ b.csv" in log
    assert "what the run says" in log

    code, output = run(*command)
    assert code == 0
    assert "one, seed 0: skipped, finished" in output
    assert "ran 1, skipped 2, failed 0" in output
    assert begun(place)[3:] == ["runs/one/seed_1"]
    assert (place / "runs/one/seed_1.log").read_text().startswith(log)

    # Asked for something else, by flag or in the config, a finished run is up to ferjax again.
    _, output = run(place, SWEEP, "one.py", 0, "--", "--config.train.epochs=9")
    assert "ran 1, skipped 0" in output
    (place / "one.py").write_text("# changed\n")
    _, output = run(place, SWEEP, "one.py", 0, "--", "--config.train.epochs=9")
    assert "ran 1, skipped 0" in output


def test_a_run_that_was_killed_is_not_finished(place):
    assert run(place, SWEEP, "one.py", 0, FAIL="0")[0] == 1
    assert not (place / "runs/one/seed_0/.finished").exists()
    assert "ran 1, skipped 0" in run(place, SWEEP, "one.py", 0)[1]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_every_run_once_and_starts_none(place, number, code):
    process = start(place, SWEEP, "one.py", 0, 1, 2, JOBS=2, SLEEPS=150)
    deadline = time.monotonic() + 30
    while len(begun(place)) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    # A terminal signals the whole group of the script, in which the runs must not be; kill signals the script alone.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == code
    assert sorted(line.split("--workdir ")[1].split(" ")[0] for line in calls(place) if line.startswith("signal")) == [
        "runs/one/seed_0",
        "runs/one/seed_1",
    ]
    assert len(begun(place)) == 2
    assert "the same command goes on" in output
    assert "sweep_seeds.sh one.py 0 1 2" in output
    assert run(place, SWEEP, "one.py", 0, 1, 2)[1].splitlines()[-1] == "ran 3, skipped 0, failed 0, of 3 in runs"


def test_every_gpu_has_its_runs_one_after_another(place):
    path = f"{place / 'bin'}:{os.environ['PATH']}"
    code, _ = run(place, SWEEP, "one.py", *range(4), PATH=path, SLEEPS=2)
    assert code == 0
    on = {"0": 0, "1": 0}
    both = False
    for line in calls(place):
        event, gpu, *_ = line.split(" ")
        on[gpu] += 1 if event == "begin" else -1
        assert on[gpu] in (0, 1)
        both = both or all(on.values())
    assert both
    assert {line.split(" ")[1] for line in calls(place)} == {"0", "1"}
    (place / "calls").unlink()
    # What is set already is respected, and JOBS is how many at a time.
    run(place, SWEEP, "two.py", 0, 1, 2, PATH=path, CUDA_VISIBLE_DEVICES="3", JOBS=2, SLEEPS=2)
    assert {line.split(" ")[1] for line in calls(place)} == {"3"}
    assert [line.split(" ")[0] for line in calls(place)][:2] == ["begin", "begin"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Which config?"),
        (["none.py", 1], "There is no config file none.py"),
        (["one.py"], "Which seeds?"),
        (["one.py", "1.5"], "which '1.5' is not"),
        (["one.py", -1], "which '-1' is not"),
        (["one.py", 3, 4, 3], "seed 3"),
        (["one.py", 3, "--", "--workdir=x"], "--workdir is set by this script"),
        (["one.py", 3, "--", "x"], "What is 'x'?"),
    ],
)
def test_wrong_arguments_are_told_with_the_usage(place, arguments, sentence):
    code, output = run(place, SWEEP, *arguments)
    assert code == 2
    assert sentence in output.splitlines()[0]
    assert "Usage: scripts/sweep_seeds.sh CONFIG SEED..." in output
    assert not calls(place)


def test_the_study_shares_the_devices_and_evaluates_what_there_is(place):
    command = {"CONFIGS": "one.py two.py", "SEEDS": "0 1", "JOBS": 2}
    code, output = run(place, STUDY, "--", "--config.train.epochs=1", **command, FAIL="1", SLEEPS=10)
    assert code == 1
    assert sorted(begun(place)[:2]) == ["runs/one/seed_0", "runs/one/seed_1"]
    # The second setting begins while the first one's slow run goes on.
    lines = [" ".join(line.split(" ")[:1] + line.split(" ")[7:8]) for line in calls(place)]
    assert lines.index("begin runs/two/seed_0") < lines.index("end runs/one/seed_0")
    assert calls(place)[-1].startswith("end none -m ferjax.evaluate --workdir runs")
    assert "failed 2, of 4 in runs" in output
    assert "2 of 4 runs failed" in output.splitlines()[-1]
    code, output = run(place, STUDY, "--", "--config.train.epochs=1", **command)
    assert code == 0
    assert "ran 2, skipped 2, failed 0" in output


def test_what_trains_as_optimal_does_begins_from_a_copy_of_it(place):
    run(place, STUDY, CONFIGS="optimal", SEEDS="0 1")
    (place / "runs" / "optimal" / "seed_0" / "checkpoint").write_text("trained")
    (place / "runs" / "optimal" / "seed_1" / ".finished").unlink()
    code, output = run(place, STUDY, CONFIGS="batch32", SEEDS="0 1")
    assert code == 0
    assert "[1/2] batch32, seed 0: trains as runs/optimal/seed_0 did" in output
    assert "seed 1: trains as" not in output
    assert (place / "runs" / "batch32" / "seed_0" / "checkpoint").read_text() == "trained"
    assert "runs/batch32/seed_0" in begun(place)
    # Other flags would have trained otherwise, and another file of that name may be any config.
    (place / "batch32.py").write_text("# mine\n")
    for config, flags in (("batch32", ["--", "--config.train.epochs=1"]), ("batch32.py", [])):
        shutil.rmtree(place / "runs" / "batch32")
        assert "trains as" not in run(place, STUDY, *flags, CONFIGS=config, SEEDS="0")[1]


def test_a_change_of_what_a_config_builds_on_runs_it_again(place):
    run(place, SWEEP, "one.py", 0)
    assert "skipped 1" in run(place, SWEEP, "one.py", 0)[1]
    (place / "two.py").write_text("# changed\n")
    assert "ran 1, skipped 0" in run(place, SWEEP, "one.py", 0)[1]


def test_a_lost_terminal_stops_the_runs_too(place):
    process = start(place, SWEEP, "one.py", 0, 1, SLEEPS=100)
    while not calls(place):
        time.sleep(0.05)
    process.send_signal(signal.SIGHUP)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 129
    assert [line.split(" ")[0] for line in calls(place)] == ["begin", "signal"]
    assert f"WORKDIR=runs PYTHON={place / 'bin' / 'python'}" in output.splitlines()[-1]


def test_the_study_is_the_reports(place):
    code, output = run(place, STUDY, SEEDS="0", FAIL="0")
    assert code == 1
    names = [folder.split("/")[1] for folder in begun(place) if "/" in folder]
    assert names[0] == "optimal"
    assert {"focal_gamma5", "frozen3", "batch2048", "lr_1e_5", "discriminative"} <= set(names)
    assert len(names) == 17
    assert "failed 17, of 17" in output
    code, output = run(place, STUDY, CONFIGS="nothing")
    assert code == 2
    assert "configs/nothing.py" in output
