"""The command line as a person meets it, in real processes; its mistakes in this one but for some."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

from ferjax import machine, runtime
from ferjax.cli import search, train
from ferjax.training.places import list_places

ROOT = pathlib.Path(__file__).parents[2]
SMALL = [
    "--config.data.synthetic_rows=140",
    "--config.model.width=0.05",
    "--config.train.batch_size=24",
    "--config.train.epochs=2",
    "--config.train.log_every_steps=1",
]


# What compiles fast, as in conftest.py, without its four devices.
ONE_DEVICE = " ".join(flag for flag in os.environ["XLA_FLAGS"].split() if "device_count" not in flag)


def start(*arguments, folder=ROOT):
    command = [sys.executable, "-m", "ferjax.main", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=os.environ | {"XLA_FLAGS": ONE_DEVICE}, text=True, **pipes)


@pytest.fixture
def run_here(monkeypatch, capsys):
    """The same as `run`, without the seconds that a process takes to start."""
    monkeypatch.setattr(runtime, "keep_compiled", lambda: None)
    monkeypatch.setattr(runtime, "keep_memory", lambda: None)

    def run_here(*arguments):
        code = train.main([*map(str, arguments)])
        return code, *capsys.readouterr()

    return run_here


def run(*arguments, folder=ROOT):
    process = start(*arguments, folder=folder)
    output, errors = process.communicate(timeout=240)
    return process.returncode, output, errors


@pytest.fixture
def quickstart(tmp_path):
    return ["--config", ROOT / "configs" / "quickstart.py", "--workdir", tmp_path / "run", *SMALL]


def start_and_signal(arguments, metrics, lines, signum):
    """Run until metrics.jsonl has `lines` lines, then signal; the exit code and stderr."""
    process = start(*arguments)
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and not (metrics.exists() and metrics.read_text().count("\n") >= lines):
        time.sleep(0.05)
    process.send_signal(signum)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


class _DividedError(Exception):
    pass


@pytest.mark.parametrize(("command", "flags"), [(train, []), (search, ["--space", "optim.learning_rate=1e-3,1e-4"])])
def test_commands_that_train_divide_the_cpu_before_they_look_for_devices(command, flags, tmp_path, monkeypatch):
    def divide(parts):
        raise _DividedError(parts)

    monkeypatch.setattr(runtime, "keep_compiled", lambda: None)
    monkeypatch.setattr(runtime, "keep_memory", lambda: None)
    monkeypatch.setattr(runtime, "find_devices", lambda: pytest.fail("it looked already"))
    monkeypatch.setattr(runtime, "divide_cpu", divide)
    with pytest.raises(_DividedError, match="3"):
        command.main(
            ["--config=quickstart", f"--workdir={tmp_path / 'run'}", "--config.parallel.cpu_devices=3", *flags]
        )


@pytest.mark.slow
@pytest.mark.skipif(machine.count_processors() < 2, reason="one processor is one device")
def test_a_run_divides_the_cpu_as_its_config_says(quickstart, tmp_path):
    code, _, errors = run(*quickstart, "--config.train.steps=2", "--config.parallel.cpu_devices=2")
    assert code == 0
    assert "2 devices (cpu), each batch's rows spread over them (mesh)." in errors
    (begun,) = json.loads((tmp_path / "run" / "versions.json").read_text())
    assert begun["numbers_depend_on"]["devices of a batch"] == "2"


@pytest.mark.slow
def test_kill_resume_evaluate(quickstart, tmp_path):
    """SIGKILL amid saves loses little, SIGTERM saves and leaves with 143, and the same command goes on to the end."""
    metrics = tmp_path / "run" / "metrics.jsonl"
    # So long that the signals arrive in time; saving after every step, so that the kill meets a save.
    long = [*quickstart, "--config.train.epochs=200", "--config.train.checkpoint_interval_s=0.001"]
    code, _ = start_and_signal(long, metrics, 8, signal.SIGKILL)
    assert code == -signal.SIGKILL
    code, errors = start_and_signal(long, metrics, 20, signal.SIGTERM)
    assert code == 143
    assert re.search(r"Resumed .* from step", errors)
    assert "Saved step" in errors.splitlines()[-1]
    assert "same command goes on" in errors.splitlines()[-1]

    steps = json.loads(metrics.read_text().splitlines()[-1])["step"] + 2
    more = ["--config.train.epochs=200", f"--config.train.steps={steps}"]
    code, output, errors = run(*quickstart, *more, folder=tmp_path)
    assert code == 0, errors
    assert re.search(r"Resumed .* from step", errors)
    assert "macro F1" in output
    for name in ("curves", "confusion", "class_distribution", "worst_mistakes"):
        assert f"figure   {tmp_path}/run/figures/{name}.png" in output
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert {"accuracy", "macro_f1", "per_class"} <= set(report)

    evaluate = [sys.executable, "-m", "ferjax.evaluate", "--workdir", str(tmp_path / "run")]
    again = subprocess.run(evaluate, capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert again.stdout == output
    assert "report   " in output

    checkpoints = tmp_path / "run" / "checkpoints"
    *_, older, newest = list_places(checkpoints)
    for path in (checkpoints / newest.name / "state").glob("**/d/*"):
        os.truncate(path, 20)
    code, _, errors = run(*quickstart, *more, folder=tmp_path)
    assert code == 0
    assert f"Checkpoint {checkpoints / newest.name} is damaged" in errors
    assert f"so the one before it is used, {older.name}" in errors
    for place in list_places(checkpoints):
        for path in (checkpoints / place.name / "state").glob("**/d/*"):
            os.truncate(path, 20)
    code, _, errors = run(*quickstart, *more, folder=tmp_path)
    assert code == 1
    assert "ferjax: Checkpoint" in errors
    assert "and there is no older one" in errors


@pytest.mark.parametrize(
    ("where", "arguments", "code", "sentence"),
    [
        ("run", ["--config.train.batchsize=3"], 2, "did you mean train.batch_size?"),
        ("run", ["--config.data.path=nowhere.csv"], 1, "There is no data set at nowhere.csv"),
        ("run_here", ["--config.data.path=nowhere.csv"], 1, "There is no data set at nowhere.csv"),
        ("run_here", ["--config.train.batch_size=many"], 2, "batch_size"),
        ("run_here", ["--wordkir=x"], 2, "wordkir"),
        ("run_here", ["configs/optimal.py"], 2, "--flag"),
        ("run_here", ["--config.train.epochs=-1"], 1, "must be >= 1"),
    ],
)
def test_mistakes_are_one_sentence_and_a_code(request, quickstart, where, arguments, code, sentence):
    run_there = run if where == "run" else request.getfixturevalue(where)
    returned, output, errors = run_there(*quickstart, *arguments)
    assert returned == code, errors
    assert errors.startswith("ferjax: ")
    assert sentence in errors
    assert errors.count("\n") == 1
    assert not output


@pytest.mark.parametrize(
    "content", ["config = 1", "def get_config():\n    return {}['a']", "import nothing_of_that_name"]
)
def test_a_broken_config_file_is_a_sentence(tmp_path, run_here, content):
    path = tmp_path / "broken.py"
    path.write_text(content)
    code, _, errors = run_here("--config", path)
    assert code == 2
    assert str(path) in errors
    assert errors.count("\n") == 1


def test_a_missing_config(tmp_path, run_here):
    assert run_here()[0] == 2
    code, _, errors = run_here("--config", tmp_path / "none.py")
    assert code == 2
    assert "none.py" in errors
    assert errors.count("\n") == 1


def test_import_is_light():
    program = "import sys, ferjax, ferjax.cli.train, ferjax.training.run; print([m for m in %r if m in sys.modules])"
    heavy = ["tensorflow", "torch", "matplotlib", "tensorflow_datasets", "keras"]
    output = subprocess.run([sys.executable, "-c", program % heavy], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
