"""The drills' own parts, and a short form of each, by name."""

import asyncio
import concurrent.futures
import contextlib
import functools
import importlib
import importlib.util
import io
import multiprocessing
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
from PIL import Image, UnidentifiedImageError

import ferjax
from ferjax import serving
from ferjax.errors import UserError
from ferjax.keys import Choice, Range
from ferjax.serving.browser import RUNTIME_FILES
from ferjax.training import checksums
from ferjax.training.checkpoint import Checkpoints
from ferjax.training.places import Place
from scripts.drills import __main__ as driver
from scripts.drills import damage, fuzz, numerics_checks, saves, stages, supply, uploads, values, weights
from scripts.drills.drill import Failed, Skipped, expect
from scripts.drills.states import create_state
from tests.inference.conftest import SquareFinder


def test_every_drill_is_there():
    for name, (about, cases) in driver.DRILLS.items():
        drill = driver.load(name)
        assert (drill.about, drill.cases) == (about, cases)
        assert callable(drill.run)


@pytest.mark.parametrize(
    ("fault", "code", "said"), [(Failed("a bit"), 1, "FAILED: a bit"), (Skipped("root"), 0, "root")]
)
def test_what_does_not_hold_is_said_and_counts(monkeypatch, capsys, fault, code, said):
    def run(*_):
        yield "seen"
        raise fault

    monkeypatch.setattr(driver, "load", lambda _: driver.Drill("accidents", 3, run))
    assert driver.main(["damage"]) == code
    out = capsys.readouterr().out
    assert "  seen\n" in out
    assert said in out
    with pytest.raises(Failed, match="does not hold"):
        expect([], "it does not hold")


def test_mutations_are_drawn_from_the_seed():
    content = bytes(range(256)) * 4
    mutated = [fuzz.mutate(content, random.Random(seed)) for seed in range(60)]
    assert mutated == [fuzz.mutate(content, random.Random(seed)) for seed in range(60)]
    assert len(set(mutated)) > 40


def test_a_mutated_png_gets_right_checksums():
    file = io.BytesIO()
    Image.new("L", (9, 9)).save(file, "PNG")
    whole = file.getvalue()
    broken = whole.replace(b"IHDR\0\0\0\x09", b"IHDR\0\0\0\x08")
    assert fuzz.mend_png(whole) == whole
    assert fuzz.mend_png(whole[:40]) == whole[:40]
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(broken))
    assert Image.open(io.BytesIO(fuzz.mend_png(broken))).size == (8, 9)


def test_values_lie_within_and_beyond_a_range():
    chance = random.Random(0)
    drawn = [values.draw_value(Range(0, 1), 0.5, chance) for _ in range(300)]
    numbers = [value for value in drawn if type(value) is float]
    assert any(0 < value < 1 for value in numbers)
    assert any(value < 0 for value in numbers)
    assert any(value > 1 for value in numbers)
    assert "other" in [values.draw_value(Choice(("a",)), "a", chance) for _ in range(30)]


def test_a_checkpoint_is_damaged_in_every_way(tmp_path):
    said = set()
    for seed in range(40):
        checkpoint = tmp_path / f"{seed}" / "step_1"
        (checkpoint / "state").mkdir(parents=True)
        for name in "ab":
            (checkpoint / "state" / name).write_bytes(os.urandom(50))
        before = {path: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()}
        said.add(damage.damage(checkpoint, random.Random(seed)).partition(" ")[0])
        after = {path: path.read_bytes() for path in checkpoint.rglob("*") if path.is_file()}
        assert before != after
    assert said == {"flip", "cut", "remove", "zero", "swap"}


def test_a_moment_is_within_the_stage_that_it_is_drawn_from():
    timeline = [(0.0, "start"), (1.0, "training"), (2.0, "saving"), (5.0, "training"), (5.5, "report")]
    drawn = [stages.draw_moment("training", timeline, random.Random(seed)) for seed in range(40)]
    assert {moment.visit for moment in drawn} == {1, 2}
    assert all(0 <= moment.after_s <= (1.0 if moment.visit == 1 else 0.5) for moment in drawn)
    assert stages.draw_moment("data", timeline, random.Random(0)) is None


def test_the_checkpoint_that_is_being_saved_is_seen(tmp_path):
    assert stages.find_saving(tmp_path) == ""
    checkpoints = tmp_path / "quickstart" / "seed_0" / "checkpoints"
    (checkpoints / "step_5_validated").mkdir(parents=True)
    assert stages.find_saving(tmp_path) == ""
    (checkpoints / "step_9_validated.orbax-checkpoint-tmp").mkdir()
    assert stages.find_saving(tmp_path) == stages.SAVING_VALIDATED
    left = frozenset(stages._list_unfinished(tmp_path))
    assert stages.find_saving(tmp_path, left) == ""
    (checkpoints / "step_7.orbax-checkpoint-tmp").mkdir()
    assert stages.find_saving(tmp_path, left) == stages.SAVING


def test_a_kill_reaches_process_groups_of_their_own(tmp_path):
    script = f"set -m; sleep 60 & echo $! > {tmp_path}/pid; wait"
    process = subprocess.Popen(["bash", "-c", script], start_new_session=True)
    while not (pid := (tmp_path / "pid").read_text() if (tmp_path / "pid").exists() else ""):
        time.sleep(0.01)
    stages.kill_session(process)
    assert process.wait() == -signal.SIGKILL
    assert not stages._is_in(int(pid), process.pid)


def test_stages_are_noted_as_they_are_entered(tmp_path, monkeypatch):
    path = pathlib.Path(stages.__file__).parent / "site" / "sitecustomize.py"
    spec = importlib.util.spec_from_file_location("drill_site", path)
    site = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(site)
    for module, functions in site._STAGES.items():
        for name in functions:
            assert callable(functools.reduce(getattr, name.split("."), importlib.import_module(module)))
    assert set(stages.STAGES) >= {stage for functions in site._STAGES.values() for stage in functions.values()}
    monkeypatch.setenv("FERJAX_DRILL_STAGES", str(tmp_path / "notes"))
    inner = site._mark(lambda: 3, "first compilation")
    outer = site._mark(lambda: inner() + inner(), "training")
    assert outer() == 6
    assert stages._read(tmp_path / "notes") == ["training", "first compilation", "training", stages.ELSEWHERE]


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "eval(text)",
        "__import__('pickle')",
        "importlib.import_module('pickle')",
        "from torch import load",
        "pd.read_pickle(path)",
        "tf.keras.models.load_model(path)",
        "jax.experimental.serialize_executable.deserialize_and_load(x)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
    ],
)
def test_what_could_run_a_file_is_found(source):
    assert supply.find_faults(source)
    assert not supply.find_faults("np.load(path, allow_pickle=False); ast.literal_eval(text)")


def test_supply(tmp_path):
    assert list(supply.run(tmp_path, 1, random.Random(0)))
    assert {name for _, name in supply.find_digests()} == set(RUNTIME_FILES)


# Short forms, some seconds each. Those of `kill`, `locks`, `memory`, `processes` and `formats` are tests of their own
# rooms: tests/cli/test_main.py, tests/test_locks.py, tests/test_memory.py, tests/test_processes.py and
# tests/training/test_old_checkpoints.py.


@pytest.mark.slow
def test_short_damage(tmp_path, finished_run):
    intact = ferjax.load(finished_run)
    for seed in range(4):
        broken = tmp_path / f"{seed}"
        shutil.copytree(finished_run, broken)
        (checkpoint,) = (broken / "checkpoints").glob("step_*_validated")
        said = damage.damage(checkpoint, random.Random(seed))
        with contextlib.suppress(UserError):  # what is beside the arrays may be damaged and the network whole
            assert damage._equal(ferjax.load(broken), intact), said


def save_on_a_full_disk(folder):
    state = create_state()
    manager = Checkpoints(folder / "checkpoints")
    manager.save(Place(True, 1, True), state)
    manager.wait()
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    manager.save(Place(True, 2, True), state)
    try:
        manager.wait()
    except UserError as error:
        return str(error)
    return "nothing"


@pytest.mark.slow
def test_short_disk(tmp_path):
    # A process of its own: a save that failed leaves writers in threads, which complain later, in another test.
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        said = pool.submit(save_on_a_full_disk, tmp_path).result()
    assert re.search(r"File too large.*step_1_validated is intact", said)
    assert checksums.find_damage(tmp_path / "checkpoints" / "step_1_validated") is None


@pytest.mark.slow
def test_short_saves(tmp_path):
    assert len(list(saves.run(tmp_path, 12, random.Random(0)))) == 2


@pytest.mark.slow
def test_short_fuzz(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(fuzz, "create_weights", lambda _: {})
    assert len(list(fuzz.run(tmp_path, 5, random.Random(0)))) == 15


@pytest.mark.slow
def test_short_values(tmp_path):
    tried = [{}, {"train.batch_size": 2**31}, {"optim.learning_rate": float("nan")}, {"data.path": "\udc80"}]
    said = [values.try_case({**values._BASE, **overrides}, tmp_path / "run") for overrides in tried]
    assert said == ["used", "refused", "refused", "refused"]


@pytest.mark.slow
def test_short_uploads(network):
    app = serving.create(network, limits=uploads.LIMITS, detector=SquareFinder())
    assert asyncio.run(uploads.send_all(app, 0, range(60))).total() == 60


@pytest.mark.slow
@pytest.mark.parametrize("kind", weights.KINDS)
def test_short_weights(kind, tmp_path):
    assert weights.read_mutated(kind, 0, range(100), tmp_path).total() == 100


@pytest.mark.slow
def test_short_numerics(tmp_path, caplog):
    assert list(numerics_checks.check_order(0))
    assert list(numerics_checks.check_poison(tmp_path, ("gradient", "norm statistics", "infinite moment")))


# Whole drills with few cases start real commands, and take from half a minute to some minutes each.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("damage", 3),
        ("disk", 1),
        ("kill", 4),
        ("fuzz", 20),
        ("values", 10),
        ("uploads", 30),
        ("weights", 200),
        ("saves", 40),
        ("locks", 1),
        ("memory", 1),
        ("processes", 1),
        ("numerics", 1),
        ("formats", 2),
    ],
)
def test_drill(name, cases, tmp_path):
    assert driver.DRILLS
    assert driver.main([name, "--cases", str(cases), "--folder", str(tmp_path)]) == 0
    shutil.rmtree(tmp_path, ignore_errors=True)
