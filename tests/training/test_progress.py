"""What the person who waits is told, and how images/s are measured."""

import pytest

from ferjax.training.progress import Progress
from ferjax.training.stopwatch import Stopwatch


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
    stopwatch = Stopwatch(0, 32)
    clock.now += 50  # compilation
    stopwatch.restart(1)
    clock.now += 2
    assert stopwatch.measure(5) == pytest.approx(4 * 32 / 2)
    with stopwatch.pause():
        clock.now += 30  # validation
    clock.now += 1
    assert stopwatch.measure(6) == pytest.approx(32)
    assert stopwatch.measure_epoch(6) == pytest.approx(5 * 32 / 3)
    assert stopwatch.measure_epoch(6) == 0


def test_plain_lines_say_loss_accuracy_rate_and_eta(clock, caplog):
    caplog.set_level("INFO", logger="ferjax")
    stopwatch = Stopwatch(0, 32)
    progress = Progress(total_steps=10, step=0, stopwatch=stopwatch)
    clock.now += 20
    rate = stopwatch.measure(5)
    progress.show(5, epoch=1, loss=1.5, accuracy=0.25, images_per_s=rate)
    clock.now += 1
    progress.show(6, epoch=1, loss=1.4, accuracy=0.25, images_per_s=rate)  # too soon for another line
    progress.close()
    assert caplog.messages == ["epoch 1, step 5 of 10: loss 1.5000, accuracy 25.0%, 8 images/s, ETA 00:20"]


def test_a_terminal_gets_a_bar(clock, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    stopwatch = Stopwatch(0, 32)
    progress = Progress(total_steps=10, step=0, stopwatch=stopwatch)
    clock.now += 20
    progress.show(5, epoch=1, loss=1.5, accuracy=0.25, images_per_s=8.0)
    progress.say("epoch 1: done")
    progress.close()
    bar = capsys.readouterr().err
    assert "50%" in bar
    assert "loss 1.5000, accuracy 25.0%, 8 images/s" in bar
