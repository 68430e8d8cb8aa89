"""Several seeds in one program: each one's folder and figures as if it had been run alone."""

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.interrupt import InterruptedRun
from ferjax.training import build, run
from ferjax.training.places import list_places
from tests.cli.test_main import ONE_DEVICE, ROOT, SMALL
from tests.tiny import interrupt_after, read_checkpoint, read_metrics, shrink

# Adam's epsilon keeps its updates in proportion to the gradients, so that rounding errors stay as small as they are.
SMALLER = {"train.epochs": 2, "optim.eps": 1.0, "optim.learning_rate": 0.5, "augment.rotation_deg": 0.0}
SMALLER |= {"augment.shift_fraction": 0.0, "augment.zoom_fraction": 0.0}
IN_TURN = {"parallel.seeds": "in_turn", "parallel.devices": 1}
ONE_A_DEVICE = {"parallel.seeds": "in_turn", "parallel.devices": 2}
VMAPPED = {"parallel.seeds": "together", "parallel.devices": 1}
# Three seeds on two devices have four slots, two on each.
SPREAD = {"parallel.seeds": "together", "parallel.devices": 2}


def choose(seeds=(0, 1), **changed):
    return shrink(**{**SMALLER, "train.seeds": tuple(seeds), **changed})


def read_files(workdir):
    return sorted(str(path.relative_to(workdir)) for path in workdir.iterdir())


def assert_same_run(one, other, *, exactly):
    """Two folders hold the same run: checkpoint, metrics and predictions, to the bit or to rounding."""
    assert read_files(one) == read_files(other)
    states, metrics = (
        [read_checkpoint(folder) for folder in (one, other)],
        [read_metrics(folder) for folder in (one, other)],
    )
    assert states[0].keys() == states[1].keys()
    if exactly:
        bits = [{name: leaf.tobytes() for name, leaf in state.items()} for state in states]
        assert bits[0] == bits[1]
        assert metrics[0] == metrics[1]
        assert (one / "predictions.csv").read_bytes() == (other / "predictions.csv").read_bytes()
        return
    for name, leaf in states[0].items():
        np.testing.assert_allclose(leaf, states[1][name], rtol=1e-3, atol=1e-5, err_msg=name)
    assert len(metrics[0]) == len(metrics[1])
    for line, twin in zip(*metrics, strict=True):
        assert (line.pop("split"), line.keys()) == (twin.pop("split"), twin.keys())
        assert line == pytest.approx(twin, rel=1e-3)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of a run with `train.seed`, started once for all tests; and its report."""
    folder = tmp_path_factory.mktemp("alone")

    @functools.cache
    def train(seed):
        return folder / str(seed), run.run(shrink(**SMALLER, **{"train.seed": seed}), folder / str(seed))

    return train


@pytest.mark.parametrize(
    ("way", "seeds"),
    [
        pytest.param(IN_TURN, (0, 1), id="in turn"),
        pytest.param(ONE_A_DEVICE, (0, 1), id="one a device", marks=pytest.mark.slow),
        pytest.param(SPREAD, (0, 1, 2), id="several a device"),
    ],
)
def test_each_seed_equals_its_run_alone(alone, tmp_path, programs, way, seeds):
    reports = run.run_seeds(choose(seeds, **way), tmp_path)
    assert [compiled.count_compilations() for compiled in programs] == [1]
    assert list(reports) == list(seeds)
    assert len({report["loss"] for report in reports.values()}) == len(seeds)
    assert read_files(tmp_path) == [f"seed_{seed}" for seed in seeds]
    for seed in (0, 1):
        workdir, report = alone(seed)
        assert_same_run(tmp_path / f"seed_{seed}", workdir, exactly=way is IN_TURN)
        assert reports[seed]["loss"] == pytest.approx(report["loss"], rel=1e-3)
        config = json.loads((tmp_path / f"seed_{seed}" / "config.json").read_text())
        assert (config["train"]["seed"], config["train"]["seeds"]) == (seed, [])


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """The folder of two seeds that trained side by side on one device."""
    folder = tmp_path_factory.mktemp("together")
    run.run_seeds(choose(**VMAPPED), folder)
    return folder


def test_interrupted_together_and_resumed_together_or_alone(together, tmp_path, monkeypatch):
    resumed, parted = tmp_path / "resumed", tmp_path / "parted"
    with monkeypatch.context() as patch:
        interrupt_after(patch, 7)
        with pytest.raises(InterruptedRun, match=r"Saved step 7 in .*seed_0, .*seed_1\. The same") as stopped:
            run.run_seeds(choose(**VMAPPED), resumed)
    assert stopped.value.signum == signal.SIGTERM
    shutil.copytree(resumed, parted)
    run.run_seeds(choose(**VMAPPED), resumed)
    # A run of one seed goes on in its folder too.
    run.run(shrink(**SMALLER, **{"train.seed": 1}), parted / "seed_1")
    assert_same_run(parted / "seed_1", together / "seed_1", exactly=False)
    for seed in ("seed_0", "seed_1"):
        assert_same_run(resumed / seed, together / seed, exactly=True)


def test_a_kill_between_two_saves_is_made_good(together, tmp_path):
    shutil.copytree(together, tmp_path, dirs_exist_ok=True)
    # The last save reached the disk for seed 0 only, which then is ahead.
    checkpoints = tmp_path / "seed_1" / "checkpoints"
    shutil.rmtree(checkpoints / list_places(checkpoints)[-1].name)
    run.run_seeds(choose(**VMAPPED), tmp_path)
    for seed in ("seed_0", "seed_1"):
        assert_same_run(tmp_path / seed, together / seed, exactly=True)


def test_a_seed_added_later_trains_beside_a_finished_one(alone, tmp_path):
    shutil.copytree(alone(0)[0], tmp_path / "seed_0")
    before = read_checkpoint(tmp_path / "seed_0")
    reports = run.run_seeds(choose(**VMAPPED), tmp_path)
    assert_same_run(tmp_path / "seed_1", alone(1)[0], exactly=False)
    np.testing.assert_equal(read_checkpoint(tmp_path / "seed_0"), before)
    assert reports[0]["loss"] == pytest.approx(alone(0)[1]["loss"], rel=1e-3)


def script_validation(monkeypatch, losses):
    """Let validation's loss decide as `losses[seed, epoch]` has it, whatever it really is."""
    create, table = build.make_finish_epoch, np.asarray(losses, np.float32)

    def make(*arguments, **named):
        finish = create(*arguments, **named)

        def finish_scripted(state, sums):
            loss = jnp.asarray(table)[state.seed.astype(jnp.int32), state.epoch]
            return finish(state, sums.replace(loss=loss * sums.count))

        return finish_scripted

    monkeypatch.setattr(build, "make_finish_epoch", make)


def test_each_seed_stops_early_for_itself(tmp_path, monkeypatch):
    # With a patience of one, seed 0 stops after epoch 2 and seed 1 after epoch 4. Seed 0 would have improved later.
    script_validation(monkeypatch, [[3, 4, 1, 1, 1], [3, 2, 1, 4, 4]])
    changed = {
        **VMAPPED,
        "train.early_stop_patience_epochs": 1,
        "train.best_metric": "loss",
        "train.epochs": 5,
        "eval.split": "validation",
    }
    reports = run.run_seeds(choose(**changed), tmp_path)
    for seed, (epochs, best) in enumerate([(2, 1), (4, 3)]):
        workdir = tmp_path / f"seed_{seed}"
        state = read_checkpoint(workdir)
        assert (int(state["epoch"]), int(state["best.epoch"]), int(state["step"])) == (epochs, best, [10, 19][seed])
        validated = read_metrics(workdir, "validation")
        assert [line["epoch"] for line in validated] == list(range(1, epochs + 1))
        assert read_metrics(workdir)[-1] == validated[-1]
        # What is evaluated at the end are the parameters of the best epoch, which later ones of the other seed spare.
        assert reports[seed]["loss"] == pytest.approx(validated[best - 1]["loss"], rel=1e-4)


def break_seed(monkeypatch, seed, step):
    """From `step` on, the parameters of one seed are no numbers."""
    create = build.make_train_step

    def make(*arguments):
        train_step = create(*arguments)

        def broken_step(state, *rest, **named):
            new, sums, told = train_step(state, *rest, **named)
            broken = (state.seed == seed) & (new.step == step)
            params = jax.tree.map(lambda leaf: jnp.where(broken, jnp.nan, leaf), new.params)
            return new.replace(params=params), sums, told

        return broken_step

    monkeypatch.setattr(build, "make_train_step", make)


@pytest.mark.parametrize("way", [IN_TURN, VMAPPED], ids=["in turn", "together"])
def test_a_seed_that_breaks_does_not_stop_the_others(alone, tmp_path, monkeypatch, way):
    break_seed(monkeypatch, seed=0, step=6)
    words = r"^The loss of seed 0 is not a finite number at step 7 \(epoch 2\); the checkpoint of step 5 is intact"
    with pytest.raises(UserError, match=words):
        run.run_seeds(choose(**way), tmp_path)
    assert_same_run(tmp_path / "seed_1", alone(1)[0], exactly=False)
    broken = tmp_path / "seed_0"
    assert not (broken / "predictions.csv").exists()
    state = read_checkpoint(broken)
    assert int(state["step"]) == 5
    assert all(np.isfinite(leaf).all() for leaf in state.values())
    assert read_metrics(broken)[-1]["step"] == 6


@pytest.mark.parametrize(
    ("seeds", "sentence"),
    [
        ((0, 1, 0), r"names a seed twice"),
        ((0, -1), r"train\.seeds"),
        ((2**32,), r"train\.seeds"),
        (("a",), r"train\.seeds"),
    ],
)
def test_seeds_that_cannot_be_are_a_sentence(tmp_path, seeds, sentence):
    with pytest.raises(UserError, match=sentence):
        run.run_seeds(choose(seeds), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_of_one_seed_refuses_several(tmp_path):
    with pytest.raises(UserError, match="leave it empty here"):
        run.run(choose(), tmp_path)


def test_another_config_in_one_seed_s_folder_is_refused(alone, tmp_path):
    shutil.copytree(alone(1)[0], tmp_path / "seed_1")
    with pytest.raises(UserError, match=r"seed_1 was made with another config \(loss\.name"):
        run.run_seeds(choose(**{"loss.name": "focal"}), tmp_path)


@pytest.mark.slow
def test_the_command_line_reports_each_seed_and_all(tmp_path):
    command = [sys.executable, "-m", "ferjax.main", "--config", "configs/quickstart.py", "--workdir", str(tmp_path)]
    command += [*SMALL, "--config.train.seeds=(0,1)", "--config.train.steps=2"]
    environment = os.environ | {"XLA_FLAGS": ONE_DEVICE}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^1 device \(cpu\); 2 seeds, one after the other, which on CPU is faster .*\(parallel\.seeds\)\.$",
        done.stderr,
        re.MULTILINE,
    )
    for seed in (0, 1):
        assert f"report   {tmp_path}/seed_{seed}/report.md" in done.stdout
        assert (tmp_path / f"seed_{seed}" / "report.json").exists()
    assert f"figures  {tmp_path}/figures" in done.stdout
    assert re.search(r"^setting .* seeds ", done.stdout, re.MULTILINE)
