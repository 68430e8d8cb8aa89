"""What long runs and large studies are measured by."""

from ferjax.figures.style import save
from scripts.long_runs import figures, study, training
from scripts.long_runs.training import Seen


def test_a_run_that_grows_or_slows_down_is_told(tmp_path):
    (tmp_path / "tensorboard").mkdir()
    (tmp_path / "tensorboard" / "events").write_bytes(bytes(400))
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "epoch": 1, "split": "train", "loss": 1, "accuracy": 1}\n' * 2)
    flat = [Seen(step, 300.0 if step else 100.0, 9, 50.0, 40.0) for step in range(0, 300, 10)]
    summary = training.summarize(flat, tmp_path)
    assert (summary.growth_mb, summary.more_files, summary.speed, summary.faults) == (0, 0, 1, [])
    assert summary.bytes_an_event == 100
    dipped = [one._replace(memory_mb=200.0) if i == 15 else one for i, one in enumerate(flat)]
    assert training.summarize(dipped, tmp_path).growth_mb == 0
    crept = [one._replace(memory_mb=200.0 + i) if i > 9 else one for i, one in enumerate(flat)]
    assert training.summarize(crept, tmp_path).growth_mb == 17
    worse = [*flat[:-6], *(Seen(step, 330.0, 12, 20.0, 10.0) for step in range(300, 360, 10))]
    assert training.summarize(worse, tmp_path).faults == [
        "memory grew by 30 MB",
        "3 more files are open",
        "the last tenth runs at 40% of the first",
    ]
    save(figures.draw_training(flat), tmp_path / "training.png")


def test_a_drawn_study_is_one_that_is_evaluated(tmp_path):
    from ferjax.study import load_study

    study.write_study(tmp_path, settings=2, seeds=2, images=40)
    assert [len(summary.seeds) for summary in load_study([tmp_path]).summaries] == [2, 2]
    save(figures.draw_study([study.Measured(20, 5.0, 4.0, 300.0)]), tmp_path / "study.png")
