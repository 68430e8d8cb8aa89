"""A run goes on from a checkpoint of a ferjax whose sums had no confusion matrix."""

import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax.errors import UserError
from ferjax.interrupt import InterruptedRun
from ferjax.training import checkpoint, old_checkpoints, run
from tests.tiny import interrupt_after, read_bits, read_metrics, shrink


def to_old(parts):
    """What the older ferjax would have written in the place of these leaves."""
    parts = {part: dict(leaves) for part, leaves in parts.items()}
    score = parts["best"].pop("best.score")
    # The score that does not choose the best epoch is never read.
    parts["best"] |= {"best.accuracy": score, "best.loss": score}
    for sums in ("epoch_sums", "window_sums"):
        confusion = jax.device_get(parts["state"].pop(f"{sums}.confusion"))
        totals = {"correct": confusion.trace(), "count": confusion.sum()}
        parts["state"] |= {f"{sums}.{name}": np.asarray(total) for name, total in totals.items()}
    return parts


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_a_run_goes_on_from_an_old_checkpoint_as_if_there_had_been_no_change(tmp_path, monkeypatch, caplog, metric):
    config = shrink(**{"train.best_metric": metric, "train.epochs": 2})
    straight = run.run(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        split = checkpoint.split_state
        patch.setattr(checkpoint, "split_state", lambda state: to_old(split(state)))
        interrupt_after(patch, 8)  # in the middle of the second epoch, and of a logged window
        with pytest.raises(InterruptedRun):
            run.run(config, tmp_path / "resumed")
    with caplog.at_level(logging.WARNING, logger="ferjax"):
        assert run.run(config, tmp_path / "resumed") == straight
    assert [record.message for record in caplog.records if "only loss and accuracy are right" in record.message]
    assert read_bits(tmp_path / "resumed") == read_bits(tmp_path / "straight")
    for one, other in zip(read_metrics(tmp_path / "resumed"), read_metrics(tmp_path / "straight"), strict=True):
        if one["split"] == "train" and one["epoch"] == 2:
            one, other = ({name: line[name] for name in ("step", "loss", "accuracy")} for line in (one, other))
        assert one == other


def test_the_score_that_chose_the_best_epoch_is_its_score():
    both = ("epoch_sums", "window_sums")
    state = {f"{sums}.{name}": jnp.float32(0) for sums in both for name in ("correct", "count")}
    like = {f"{sums}.confusion": jnp.zeros((3, 3)) for sums in both}
    for metric, value in (("accuracy", 0.25), ("loss", 1.5)):
        saved = {**state, "best.accuracy": jnp.float32(0.25), "best.loss": jnp.float32(1.5)}
        assert float(old_checkpoints.convert(saved, like, metric)["best.score"]) == value


def test_another_score_cannot_take_over_a_run(tmp_path):
    run.run(shrink(**{"train.steps": 2}), tmp_path)
    for key in ("train.best_metric", "optim.plateau_metric"):
        with pytest.raises(UserError, match=rf"go on with this one .*{key}"):
            run.run(shrink(**{"train.steps": 2, key: "macro_f1"}), tmp_path, allow_config_change=True)
