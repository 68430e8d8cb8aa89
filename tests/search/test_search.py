"""The search: every point trained once and by one worker, on validation alone, whatever stops it on the way."""

import csv
import itertools
import json
import logging
import os
import signal

import numpy as np
import pytest
from optuna.trial import TrialState

from configs import quickstart
from ferjax import networks, report, runtime
from ferjax.cli.search import main
from ferjax.config import resolve
from ferjax.documents.markdown import escape_markdown
from ferjax.errors import UserError
from ferjax.figures.search import draw_search
from ferjax.search import worker
from ferjax.search.results import create_rows, format_table, write_results
from ferjax.search.space import grid_points, name_folder, parse_space
from ferjax.search.trials import Queue, Rules
from ferjax.training.hooks import EpochTold, RunEpoch
from ferjax.training.loop import Loop
from ferjax.training.seed_run import SeedRun
from ferjax.workdir import Workdir
from tests.tiny import create_idle_loop

SMALL = {
    "data.synthetic_rows": 140,
    "model.width": 0.05,
    "train.batch_size": 24,
    "train.epochs": 2,
    "eval.batch_size": 16,
    "optim.schedule": "constant",
}


# With this and without augmentation two points compile one small program.
KEY = "early_stop_patience_epochs"


STILL = {f"augment.{key}": 0 for key in ("flip_prob", "rotation_deg", "shift_fraction", "zoom_fraction")}


RATES = ("optim.learning_rate=0.1,0.01", "train.seed=0,1")


def shrink(**changed):
    config = quickstart.get_config()
    config.update_from_flattened_dict({**SMALL, **changed})
    return resolve(config)


@pytest.fixture(autouse=True)
def _logger(monkeypatch):
    """What the command line does to the process is undone."""
    monkeypatch.setattr(runtime, "keep_compiled", lambda: None)
    logger = logging.getLogger("ferjax")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture
def trained(monkeypatch):
    """Training that costs nothing: learning_rate is the final accuracy, seed 9 fails; the list of what was trained."""
    calls = []

    def run(config, workdir, *, hooks):
        calls.append(workdir.name)
        seed_run = SeedRun.__new__(SeedRun)  # the hook only counts it
        if config.train.seed == 9:
            raise UserError("The loss is not a finite number at step 3.")
        workdir.mkdir(parents=True, exist_ok=True)
        path = workdir / "metrics.jsonl"
        if path.exists():  # a start cuts off the line that a killed process was writing
            path.write_text(path.read_text().rpartition("\n")[0] + "\n")
        for epoch in range(1, config.train.epochs + 1):
            scores = {"accuracy": config.optim.learning_rate * epoch / config.train.epochs, "loss": 1.0 / epoch}
            with path.open("a") as file:
                file.write(json.dumps({"step": epoch, "epoch": float(epoch), "split": "validation", **scores}) + "\n")
            for hook in hooks:
                told = {seed_run: RunEpoch({}, scores, 1.0, False)}
                hook.on_epoch(create_idle_loop(), EpochTold(epoch, epoch, told, {}, 1.0))
        return report.create_report(np.arange(7), np.eye(7, dtype=np.float32)[[3] * 7], config.eval.split)

    monkeypatch.setattr(worker.run, "run", run)
    monkeypatch.setattr(worker.gc, "collect", lambda: 0)  # nothing is on the device
    return calls


def search(folder, *texts, config=None, **rules):
    """One worker's whole search, without the command line: its rows."""
    config = config or shrink()
    rules = {"sampler": "grid", "trials": 99} | rules
    space = parse_space(texts or RATES, config, rules["sampler"])
    config, queue = worker.open_search(config, folder, space, Rules(**rules))
    worker.work(config, queue)
    return write_results(queue, config.train.best_metric), queue


def open_queue(folder, *texts, **rules):
    space = parse_space(texts or RATES, shrink(), "grid")
    folder.mkdir(exist_ok=True)
    return Queue(folder, space, Rules(**{"trials": 99} | rules), "maximize")


def test_a_stopped_search_goes_on_from_its_checkpoint(tmp_path, monkeypatch, capsys):
    """Two real runs; SIGTERM within the second, the same command again, and once more when all is finished."""
    take = Loop._take_steps
    monkeypatch.chdir(tmp_path)
    starts = []

    def take_then_signal(self, order):
        take(self, order)
        if self.runs[0].workdir.folder.name == f"{KEY}=6" and self.step == 7 and len(starts) == 1:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Loop, "_take_steps", take_then_signal)
    # One convolution: the loop is the real one, and its network compiles in seconds.
    create = networks.create
    monkeypatch.setattr(networks, "create", lambda **named: create(**named).clone(stages=((64,),)))
    overrides = [f"--config.{key}={value}" for key, value in (SMALL | STILL).items()]
    argv = ["--config", quickstart.__file__, "--workdir", "s", "--space", f"train.{KEY}=5,6", *overrides]
    starts.append(1)
    assert main(argv) == 143
    errors = capsys.readouterr().err
    assert "the test split is not read" in errors
    assert f"Saved step 7 in s/trials/{KEY}=6. The same command goes on" in errors.splitlines()[-1]

    starts.append(2)
    assert main(argv) == 0
    output, errors = capsys.readouterr()
    assert "from step 7 (epoch 1)" in errors
    assert f"{KEY}=5" not in errors
    rows = json.loads((tmp_path / "s" / "search.json").read_text())["trials"]
    assert sorted(row["values"][f"train.{KEY}"] for row in rows) == [5, 6]
    for row in rows:
        folder = tmp_path / "s" / row["folder"]
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        accuracies = [line["accuracy"] for line in lines if line["split"] == "validation"]
        assert list(row["scores"].values()) == accuracies
        assert row["score"] == max(accuracies)
        assert row["best_epoch"] == 1 + accuracies.index(max(accuracies))
        assert (row["state"], row["epochs"]) == ("finished", 2)
        found = json.loads((folder / "report.json").read_text())
        assert found["split"] == "validation"
        assert found["accuracy"] == pytest.approx(row["score"])
        assert row["share"] == max(np.sum(found["confusion"], axis=0)) / found["n"]
    assert [row["rank"] for row in rows] == [1, 2]
    assert f"best     --config.train.{KEY}={rows[0]['values'][f'train.{KEY}']}" in output
    assert (tmp_path / "s" / "figures" / "search.png").stat().st_size > 5000
    assert f"| rank | {escape_markdown(KEY)} | validation accuracy |" in (tmp_path / "s" / "search.md").read_text()

    monkeypatch.setattr(worker.run, "run", lambda *_, **__: pytest.fail("trained again"))
    monkeypatch.setattr(worker.data, "load", lambda *_, **__: pytest.fail("read again"))
    assert main(argv) == 0
    assert capsys.readouterr().out == output


def test_a_grid_in_order(tmp_path, trained):
    rows, _ = search(tmp_path / "s", trials=3)
    names = ["learning_rate=0.1,seed=0", "learning_rate=0.1,seed=1", "learning_rate=0.01,seed=0"]
    assert trained == names
    assert [(row["rank"], row["score"], row["best_epoch"]) for row in rows] == [(1, 0.1, 2), (2, 0.1, 2), (3, 0.01, 2)]
    assert (rows[0]["most_predicted"], rows[0]["share"]) == ("happy", 1.0)
    assert "happy 100.0%" in format_table(rows, "accuracy")
    # More of the same space is no other search, and trains only what is new.
    rows, _ = search(tmp_path / "s")
    assert trained == [*names, "learning_rate=0.01,seed=1"]
    with (tmp_path / "s" / "search.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(line["rank"], float(line["optim.learning_rate"])) for line in table][2:] == [("3", 0.01), ("4", 0.01)]


def test_the_loss_is_minimized(tmp_path, trained):
    rows, _ = search(tmp_path / "s", "train.epochs=1,2", config=shrink(**{"train.best_metric": "loss"}))
    assert [row["score"] for row in rows] == [0.5, 1.0]


def test_a_dead_workers_trial_is_taken_over_and_a_live_ones_is_not(tmp_path, trained):
    folder = tmp_path / "s"
    here, there = open_queue(folder), open_queue(folder)
    first, second = here.claim(), there.claim()
    assert [claim.point for claim in (first, second)] == list(itertools.islice(grid_points(here._space), 2))
    assert there.find_trials()[name_folder(first.point)].state == TrialState.RUNNING
    first.lease.release()  # as the kernel does for a killed process
    # A run in that folder that was started by hand is no dead one.
    first.folder.mkdir()
    with Workdir(first.folder).lock():
        other = there.claim()
        assert other.point not in (first.point, second.point)
    taken = there.claim()
    assert taken.point == first.point
    assert taken.trial.number != first.trial.number
    states = {trial.number: trial.state for trial in here._trials()}
    assert states[first.trial.number] == TrialState.FAIL
    assert [claim.lease.release() for claim in (second, other, taken)] == [None] * 3
    rows, _ = search(folder)
    assert [row["state"] for row in rows] == ["finished"] * 4
    assert len(trained) == 4


def test_a_resumed_trial_reports_its_earlier_epochs(tmp_path, trained):
    queue = open_queue(tmp_path / "s", RATES[0])
    claim = queue.claim()
    claim.folder.mkdir()
    lines = [
        {"step": 5, "epoch": 1.0, "split": "validation", "loss": 2.0, "accuracy": 0.75},
        {"epoch": 1.0, "split": "train"},
    ]
    (claim.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 6, "ep')
    claim.lease.release()
    rows, _ = search(tmp_path / "s", RATES[0])
    assert rows[0]["scores"]["1"] == 0.75


def test_a_trial_behind_the_others_is_pruned(tmp_path, trained):
    texts = ("optim.learning_rate=0.5,0.4,0.1,0.6",)
    rules = {"pruner": "median", "startup_trials": 2, "warmup_epochs": 1}
    rows, _ = search(tmp_path / "s", *texts, config=shrink(**{"train.epochs": 4}), **rules)
    assert [(row["score"], row["state"], row["epochs"]) for row in rows] == [
        (0.6, "finished", 4),
        (0.5, "finished", 4),
        (0.4, "finished", 4),
        (0.05, "pruned", 2),
    ]
    figure = draw_search(tmp_path / "s")
    assert "1 of them pruned" in figure.get_suptitle()
    assert [len(line.get_xdata()) for line in figure.axes[0].lines if line.get_marker() == "X"].count(1) == 1


def test_a_failed_trial_is_told_and_the_search_goes_on(tmp_path, trained):
    rows, _ = search(tmp_path / "s", "train.seed=9,1")
    assert [(row["rank"], row["state"]) for row in rows] == [(1, "finished"), (None, "failed")]
    assert "failed: trials/seed=9: The loss is not a finite number at step 3." in format_table(rows, "accuracy")
    _, queue = search(tmp_path / "s", "train.seed=9,1")
    assert trained == ["seed=9", "seed=1"]
    assert queue.retry_failed() == 1
    search(tmp_path / "s", "train.seed=9,1")
    assert trained == ["seed=9", "seed=1", "seed=9"]


def test_another_search_in_the_same_folder_is_refused(tmp_path, trained):
    search(tmp_path / "s")
    with pytest.raises(UserError, match=r"space\.train\.seed: \"0,1\" -> \"0,2\"; optim\.b1: 0\.9 -> 0\.8"):
        search(tmp_path / "s", RATES[0], "train.seed=0,2", config=shrink(**{"optim.b1": 0.8}))
    with pytest.raises(UserError, match="steps: 0 -> 1"):
        search(tmp_path / "s", config=shrink(**{"train.steps": 1}))
    with pytest.raises(UserError, match="pruner"):
        search(tmp_path / "s", pruner="median")
    with pytest.raises(UserError, match="test"):
        search(tmp_path / "t", config=shrink(**{"eval.split": "test"}))
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    with pytest.raises(UserError, match="folder of a run"):
        search(tmp_path / "run")
    # The rows are part of what was searched, wherever they lie.
    search(tmp_path / "data", trials=1)
    (tmp_path / "data" / "data_digest").write_text("another")
    with pytest.raises(UserError, match="other data"):
        search(tmp_path / "data", trials=2)


def test_no_data_is_no_trials_failure(tmp_path, trained):
    with pytest.raises(UserError, match="no data set at"):
        search(tmp_path / "s", config=shrink(**{"data.path": str(tmp_path / "none.csv")}))
    assert len(search(tmp_path / "s")[0]) == 4


def test_tpe_trains_no_point_twice(tmp_path, trained):
    texts = ("optim.learning_rate=0.5,0.4,0.1",)
    rows, queue = search(tmp_path / "s", *texts, sampler="tpe", trials=12)
    assert sorted(trained) == sorted(row["folder"].removeprefix("trials/") for row in rows)
    assert len(trained) == len(rows) <= 3
    assert len(queue._trials()) == 12
    values = {trial.params["optim.learning_rate"]: trial.value for trial in queue._trials()}
    assert all(rate == value for rate, value in values.items())


def test_tpe_goes_on_with_new_points(tmp_path, trained):
    texts = ("optim.learning_rate=log:1e-4..1e-1", "model.dropout=0.0..0.5")
    search(tmp_path / "s", *texts, sampler="tpe", trials=2)
    rows, _ = search(tmp_path / "s", *texts, sampler="tpe", trials=14)
    assert len(set(trained)) == 14
    rates = sorted(row["values"]["optim.learning_rate"] for row in rows)
    assert 1e-4 <= rates[0] < 1e-3 < rates[-1] <= 1e-1
    # One worker's search is the same search again.
    straight, _ = search(tmp_path / "t", *texts, sampler="tpe", trials=14)
    assert [row["values"] for row in straight] == [row["values"] for row in rows]


def test_a_half_written_journal_is_read_on(tmp_path, trained):
    queue = open_queue(tmp_path / "s")
    queue.claim().lease.release()
    with (tmp_path / "s" / "optuna.journal").open("a") as file:
        file.write('{"op_code":5,"wor')
    rows, _ = search(tmp_path / "s")
    assert [row["state"] for row in rows] == ["finished"] * 4


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (["--space=train.seed=1,x"], 2, "takes a whole number"),
        (["--space=train.seed=-1,1"], 1, "out of range"),
        (["--space=train.seed=1", "--sampler=tpe"], 2, "--trials is missing"),
        (["--space=train.seed=1", "--sampler=random"], 2, "sampler"),
        (["--space=train.seed=1", "--config.eval.split=test"], 1, "only the validation split"),
        (["--space=train.seed=1", "--config.train.epoch=3"], 2, "did you mean train.epochs?"),
    ],
)
def test_mistakes_at_the_command_line(tmp_path, monkeypatch, capsys, flags, code, sentence):
    argv = ["--config", quickstart.__file__, "--workdir", str(tmp_path / "s"), *flags]
    assert main(argv) == code
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("ferjax: ")
    assert sentence in errors[-1]
    assert not (tmp_path / "s" / "trials").exists()


def test_the_figure_of_a_search(tmp_path, trained):
    _, queue = search(tmp_path / "s", "optim.learning_rate=0.1,0.01,0.001", "model.pool=max,mean")
    assert len(create_rows(queue, "accuracy")) == 6
    rate, pool, curves = draw_search(tmp_path / "s").axes
    assert (rate.get_xscale(), pool.get_xscale()) == ("log", "linear")
    assert (rate.get_xlabel(), pool.get_xlabel()) == ("optim.learning_rate", "model.pool")
    assert [text.get_text() for text in pool.get_xticklabels()] == ["max", "mean"]
    assert rate.get_legend().get_title().get_text() == "model.pool"
    assert [text.get_text() for text in curves.get_legend().get_texts()] == ["0.001", "0.01", "0.1"]
    assert sum(len(line.get_xdata()) == 2 for line in curves.lines) == 6
    (tmp_path / "s" / "search.json").write_text("{}")
    with pytest.raises(UserError, match=r"search\.json cannot be read"):
        draw_search(tmp_path / "s")
