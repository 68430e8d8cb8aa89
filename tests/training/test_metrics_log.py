import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ferjax.errors import UserError
from ferjax.training.metrics_log import MetricsLog
from ferjax.training.progress import Progress


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_and_an_event_for_each_value(tmp_path):
    writer = MetricsLog(tmp_path, 0, 0)
    writer.write(step=3, epoch=0.5, split="train", loss=1.25, accuracy=0.5)
    writer.close()
    assert read(tmp_path / "metrics.jsonl") == [
        {"step": 3, "epoch": 0.5, "split": "train", "loss": 1.25, "accuracy": 0.5}
    ]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(3, 1.25)]


def test_reopening_drops_what_was_computed_past_the_checkpoint(tmp_path):
    writer = MetricsLog(tmp_path, 0, 0)
    for step in (1, 2, 3):
        writer.write(step=step, epoch=0.1 * step, split="train_step", loss=float(step))
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "los')
    writer = MetricsLog(tmp_path, 2, 0)
    writer.write(step=3, epoch=0.3, split="train_step", loss=30.0)
    writer.close()
    assert [(line["step"], line["loss"]) for line in read(tmp_path / "metrics.jsonl")] == [
        (1, 1.0),
        (2, 2.0),
        (3, 30.0),
    ]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train_step/loss")] == [(1, 1.0), (2, 2.0), (3, 30.0)]


def test_epoch_lines_after_the_checkpoint_go_too(tmp_path):
    # A checkpoint of step 4 from before the epoch's validation.
    writer = MetricsLog(tmp_path, 0, 0)
    writer.write(step=4, epoch=1.02, split="train_step", loss=1.0)
    writer.write(step=4, epoch=1.0, split="validation", loss=2.0)
    writer.close()
    MetricsLog(tmp_path, 4, 0).close()
    assert [line["split"] for line in read(tmp_path / "metrics.jsonl")] == ["train_step"]


@pytest.mark.parametrize("text", ["not json", '{"step": 1}', '"x"'])
def test_a_damaged_line_is_named(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1, "epoch": 0.1, "split": "train_step"}}\n{text}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 cannot be read"):
        MetricsLog(tmp_path, 2, 0)


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 100.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("time.monotonic", clock)
    return clock


def test_images_per_second_leave_pauses_out(clock):
    progress = Progress(total_steps=10, step=0, batch_size=32)
    clock.now += 50  # compilation
    progress.restart(1)
    clock.now += 2
    assert progress.measure(5) == pytest.approx(4 * 32 / 2)
    with progress.pause():
        clock.now += 30  # validation
    clock.now += 1
    assert progress.measure(6) == pytest.approx(32)
    progress.close()


def test_plain_lines_say_loss_accuracy_rate_and_eta(clock, caplog):
    caplog.set_level("INFO", logger="ferjax")
    progress = Progress(total_steps=10, step=0, batch_size=32)
    clock.now += 20
    rate = progress.measure(5)
    progress.show(5, epoch=1, loss=1.5, accuracy=0.25, images_per_s=rate)
    clock.now += 1
    progress.show(6, epoch=1, loss=1.4, accuracy=0.25, images_per_s=rate)  # too soon for another line
    progress.close()
    assert caplog.messages == ["epoch 1, step 5 of 10: loss 1.5000, accuracy 25.0%, 8 images/s, ETA 00:20"]


def test_a_terminal_gets_a_bar(clock, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = Progress(total_steps=10, step=0, batch_size=32)
    clock.now += 20
    progress.show(5, epoch=1, loss=1.5, accuracy=0.25, images_per_s=8.0)
    progress.say("epoch 1: done")
    progress.close()
    bar = capsys.readouterr().err
    assert "50%" in bar
    assert "loss 1.5000, accuracy 25.0%, 8 images/s" in bar
