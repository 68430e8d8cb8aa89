import json
import multiprocessing.synchronize
import threading
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from ferjax.errors import UserError
from ferjax.training.metrics_log import MetricsLog
from ferjax.workdir import Workdir


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_line_and_an_event_for_each_value(tmp_path):
    writer = MetricsLog(Workdir(tmp_path), 0, 0)
    writer.write(step=3, epoch=0.5, split="train", loss=1.25, accuracy=0.5)
    writer.close()
    assert read(tmp_path / "metrics.jsonl") == [
        {"step": 3, "epoch": 0.5, "split": "train", "loss": 1.25, "accuracy": 0.5}
    ]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(3, 1.25)]


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), ImportError("no sem_open")])
def test_without_semaphores_there_are_no_events_and_all_else(tmp_path, monkeypatch, caplog, error):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(multiprocessing.synchronize.SemLock, "__init__", refuse)
    writer = MetricsLog(Workdir(tmp_path), 0, 0)
    writer.write(step=3, epoch=0.5, split="train", loss=1.25)
    writer.close()
    assert read(tmp_path / "metrics.jsonl") == [{"step": 3, "epoch": 0.5, "split": "train", "loss": 1.25}]
    assert "No events for TensorBoard" in caplog.text
    assert "may you write to /dev/shm?" in caplog.text


def test_a_folder_of_events_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(NotADirectoryError):
        MetricsLog(Workdir(tmp_path), 0, 0)


def test_reopening_drops_what_was_computed_past_the_checkpoint(tmp_path):
    writer = MetricsLog(Workdir(tmp_path), 0, 0)
    for step in (1, 2, 3):
        writer.write(step=step, epoch=0.1 * step, split="train_step", loss=float(step))
    writer.close()
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "los')
    writer = MetricsLog(Workdir(tmp_path), 2, 0)
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
    writer = MetricsLog(Workdir(tmp_path), 0, 0)
    writer.write(step=4, epoch=1.02, split="train_step", loss=1.0)
    writer.write(step=4, epoch=1.0, split="validation", loss=2.0)
    writer.close()
    MetricsLog(Workdir(tmp_path), 4, 0).close()
    assert [line["split"] for line in read(tmp_path / "metrics.jsonl")] == ["train_step"]


@pytest.mark.parametrize("text", ["not json", '{"step": 1}', '"x"'])
def test_a_damaged_line_is_named(tmp_path, text):
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1, "epoch": 0.1, "split": "train_step"}}\n{text}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl, line 2 cannot be read"):
        MetricsLog(Workdir(tmp_path), 2, 0)


def test_a_full_disk_under_tensorboards_events_stops_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    log = MetricsLog(Workdir(tmp_path), 0, 0)
    log._events.file_writer.event_writer._event_queue.put("no event")  # ends the thread, as a refused write does
    deadline_s = time.monotonic() + 20
    while log._can_write_events() and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not log._can_write_events()
    for step in range(1, 30):  # more than its queue holds
        log.write(step=step, epoch=0.0, split="train_step", loss=1.0)
    log.close()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 29
