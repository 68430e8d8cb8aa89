"""What single hooks do, on a loop that only looks like one."""

from types import SimpleNamespace
from unittest.mock import MagicMock

import jax
import jax.numpy as jnp
import pytest

from ferjax.training import flops
from ferjax.training.hooks import EarlyStop, EpochTold, Log, NotFinite, RunEpoch, Save, Speed, StepTold, speed
from ferjax.training.seed_run import SeedRun
from tests.tiny import create_first_state, create_idle_loop, create_parts


@pytest.fixture(scope="module")
def state():
    """The first state of a run that averages its weights."""
    return create_first_state(create_parts(**{"optim.average_decay": 0.9}))


@pytest.fixture
def seed_run():
    """A run without files."""
    run = SeedRun.__new__(SeedRun)
    run.seed, run.failure, run.epochs_since_best, run._log = 0, None, 0, None
    return run


def create_loop(**config):
    loop = create_idle_loop()
    loop.parts.config.train = SimpleNamespace(**config)
    loop.alone, loop.step = True, 7
    return loop


@pytest.mark.parametrize(
    ("metric", "shown"), [("accuracy", "accuracy 50.00%, the"), ("macro_f1", "accuracy 50.00%, macro_f1 25.00%, the")]
)
def test_an_epochs_line_has_the_score_that_picks_the_best(seed_run, metric, shown):
    loop = create_loop(best_metric=metric)
    scores = {"loss": 1.5, "accuracy": 0.5, "macro_f1": 0.25}
    Log(10).on_epoch(loop, EpochTold(1, 7, {seed_run: RunEpoch(scores, scores, 1.0, True)}, {}, 2.5))
    (line,) = loop.progress.say.call_args_list[0].args
    assert f"validation loss 1.5000, {shown} best so far" in line


@pytest.mark.parametrize(
    ("loss", "norm", "name"), [(1.0, 1.0, None), (float("nan"), 1.0, "loss"), (1.0, float("inf"), "update's norm")]
)
def test_a_number_that_is_not_finite_fails_its_run(seed_run, loss, norm, name):
    loop = create_loop()
    NotFinite().on_step(loop, StepTold(3, {seed_run: {"loss": loss, "update_norm": norm}}, None))
    assert [call.args for call in loop.fail.call_args_list] == ([] if name is None else [(seed_run, 3, name)])
    NotFinite().on_validated(loop, {seed_run: {"loss": loss}})
    assert loop.fail.call_count == (2 if name == "loss" else int(name is not None))


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("params", "parameter block"),
        ("batch_stats", "batch statistics block"),
        ("opt_state", "optimizer's from_epoch_0"),
        ("average", "averaged network's batch_stats"),
        ("best", "best epoch's params"),
    ],
)
def test_what_is_not_finite_is_not_saved(seed_run, state, part, name):
    spoil = lambda leaf: jnp.full_like(leaf, jnp.inf)  # noqa: E731
    whole = getattr(state, part)
    spoilt = whole.replace(params=jax.tree.map(spoil, whole.params)) if part == "best" else jax.tree.map(spoil, whole)
    loop = create_loop()
    seed_run.step, seed_run.save, seed_run.checkpoints = 7, MagicMock(), MagicMock()
    loop.runs, loop.is_validated = [seed_run], False
    loop.present.return_value = [seed_run]
    loop.compiled.take.return_value = state.replace(**{part: spoilt})
    Save().on_end(loop)
    (run, step, said) = loop.fail.call_args.args
    assert (run, step) == (seed_run, 7)
    assert said.startswith(name)
    seed_run.save.assert_not_called()
    loop.compiled.take.return_value = state
    Save().on_end(loop)
    seed_run.save.assert_called_once_with(state, validated=False)


def test_patience_ends_a_run_and_0_never_does(seed_run):
    seed_run.epochs_since_best = 3
    assert [EarlyStop(patience).has_enough(seed_run) for patience in (0, 2, 3, 4)] == [False, True, True, False]


@pytest.mark.parametrize("rates", [(10.0, 10.0, 9.0), (10.0, 12.0, 11.0)])
def test_a_peak_that_was_measured_on_a_busy_machine_is_measured_again(monkeypatch, seed_run, rates):
    loop = create_loop(precision="default")
    loop.stopwatch.measure_epoch.side_effect = rates
    peaks = iter((1.0, 2.0, 40.0, 40.0, 40.0))
    monkeypatch.setattr(speed, "_count_step", lambda *_: 1)
    monkeypatch.setattr(flops, "find_peak", lambda *_: flops.Peak(next(peaks), "measured", True))
    monkeypatch.setattr(flops, "find_utilization", lambda cost, rate, peak, _: cost * rate / peak.flops_per_s)
    hook, used = Speed(), []
    for epoch in (1, 2, 3):
        told = EpochTold(epoch, 7, {seed_run: RunEpoch({}, {}, 1.0, True)}, {}, 1.0)
        hook.on_epoch(loop, told)
        used.append(told.speed["model_flop_utilisation"])
    assert used[0] > 1, "the machine was busy at both measurements beside the first epoch"
    assert all(share < 1 for share in used[1:])
    said = [call.args[0] for call in loop.progress.say.call_args_list if " is of " in call.args[0]]
    assert said[0].startswith("Utilisation is of 1e-09 GFLOP/s")
    assert len(said) > 1
    assert all(
        line.startswith("Measured again, since an epoch did more: from here on utilisation is") for line in said[1:]
    )
