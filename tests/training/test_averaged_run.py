"""A run that averages its weights: what it validates, and that it goes on bit for bit."""

import pytest

from ferjax.interrupt import InterruptedRun
from ferjax.training import run
from tests.tiny import interrupt_after, read_bits, read_metrics, shrink


@pytest.mark.slow
def test_killed_and_resumed_equals_straight_bit_for_bit(tmp_path, monkeypatch):
    config = shrink(**{"optim.average_decay": 0.9, "train.epochs": 2})
    straight = run.run(config, tmp_path / "straight")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 8)
        with pytest.raises(InterruptedRun):
            run.run(config, tmp_path / "resumed")
    assert run.run(config, tmp_path / "resumed") == straight
    leaves = read_bits(tmp_path / "straight")
    assert read_bits(tmp_path / "resumed") == leaves
    assert read_metrics(tmp_path / "resumed") == read_metrics(tmp_path / "straight")
    # The average is in the checkpoint, beside the last weights.
    average, last = (leaves[f"{part}params.head.output.kernel"] for part in ("average.", ""))
    assert average != last
    plain = run.run(shrink(**{"train.epochs": 2}), tmp_path / "plain")
    # The same steps, but another network is validated.
    steps, plain_steps = (read_metrics(tmp_path / name, "train_step") for name in ("straight", "plain"))
    assert [line["loss"] for line in steps][:3] == [line["loss"] for line in plain_steps][:3]
    assert straight["loss"] != plain["loss"]
