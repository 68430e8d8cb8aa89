"""A run that averages its weights: what it validates, and that it goes on bit for bit."""

import pytest

from ferjax.interrupt import InterruptedRun
from ferjax.training import run as train
from tests.training.test_train import interrupt_after, read_leaves, read_metrics, shrink


def test_killed_and_resumed_equals_straight_bit_for_bit(tmp_path, monkeypatch):
    config = shrink(**{"optim.average_decay": 0.9, "train.epochs": 2})
    straight = train.run(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 8)
        with pytest.raises(InterruptedRun):
            train.run(config, tmp_path / "resumed")
    assert train.run(config, tmp_path / "resumed") == straight
    leaves = read_leaves(tmp_path / "straight")
    assert read_leaves(tmp_path / "resumed") == leaves
    assert read_metrics(tmp_path / "resumed") == read_metrics(tmp_path / "straight")
    # The average is in the checkpoint, beside the last weights.
    average, last = (leaves[f"{part}params.head.output.kernel"] for part in ("average.", ""))
    assert average != last
    plain = train.run(shrink(**{"train.epochs": 2}), tmp_path / "plain")
    # The same steps, but another network is validated.
    steps, plain_steps = (read_metrics(tmp_path / run, "train_step") for run in ("straight", "plain"))
    assert [line["loss"] for line in steps][:3] == [line["loss"] for line in plain_steps][:3]
    assert straight["loss"] != plain["loss"]
