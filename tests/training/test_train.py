"""The loop on a tiny network and drawn faces: exact resume, one compilation, signals, and what stops it."""

import contextlib
import json
import os
import re
import shutil
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ferjax import data
from ferjax.data.datasets.fer2013 import EMOTIONS
from ferjax.data.datasets.synthetic import draw
from ferjax.errors import UserError
from ferjax.interrupt import InterruptedRun
from ferjax.parallel import create_layout, place
from ferjax.training import run
from ferjax.training.build import build, describe_task
from ferjax.training.loop import Loop
from ferjax.training.start import describe_parameters
from ferjax.training.stopwatch import Stopwatch
from ferjax.workdir import Workdir
from tests.tiny import create_parts, interrupt_after, read_bits, read_metrics, shrink


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("straight")
    summary = run.run(shrink(), workdir)
    return workdir, summary


# The step compiles once in each start, and not at all behind the last step, which is the fourteenth.
@pytest.mark.parametrize(("kills", "compiled"), [((2, 9), [1, 1, 1]), ((14,), [1, 0])])
def test_killed_and_resumed_equals_straight_bit_for_bit(straight, tmp_path, monkeypatch, programs, kills, compiled):
    for step in kills:
        with monkeypatch.context() as patch:
            interrupt_after(patch, step)
            with pytest.raises(InterruptedRun, match=f"Saved step {step} in .* same command") as stopped:
                run.run(shrink(), tmp_path)
        assert stopped.value.signum == signal.SIGTERM
    summary = run.run(shrink(), tmp_path)
    assert [program.count_compilations() for program in programs] == compiled
    assert summary == straight[1]
    assert read_bits(tmp_path) == read_bits(straight[0])
    assert read_metrics(tmp_path) == read_metrics(straight[0])
    assert (tmp_path / "predictions.csv").read_bytes() == (straight[0] / "predictions.csv").read_bytes()


def test_a_kill_without_a_save_resumes_from_the_last_checkpoint(straight, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    take = Loop._take_steps

    def take_or_die(self, order):
        if self.step == 11:
            raise Killed
        take(self, order)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_take_steps", take_or_die)
        with pytest.raises(Killed):
            run.run(shrink(), tmp_path)
    assert read_metrics(tmp_path)[-1]["step"] == 10
    assert run.run(shrink(), tmp_path) == straight[1]
    assert read_bits(tmp_path) == read_bits(straight[0])
    assert read_metrics(tmp_path) == read_metrics(straight[0])


def test_stopping_by_steps_and_going_on_equals_straight(straight, tmp_path):
    short = run.run(shrink(**{"train.steps": 7}), tmp_path)
    assert short["n"] == straight[1]["n"]
    assert run.run(shrink(), tmp_path) == straight[1]
    assert read_bits(tmp_path) == read_bits(straight[0])


def test_a_finished_run_only_evaluates_again(straight, monkeypatch):
    workdir, summary = straight
    monkeypatch.setattr(Loop, "_take_steps", None)
    (workdir / "predictions.csv").unlink()
    assert run.run(shrink(), workdir) == summary
    assert (workdir / "predictions.csv").exists()


def test_the_workdir_holds_the_run(straight):
    workdir, summary = straight
    config = json.loads((workdir / "config.json").read_text())
    assert config["train"]["batch_size"] == 24
    *_, versions = json.loads((workdir / "versions.json").read_text())
    assert versions["packages"]["jax"] == jax.__version__
    counts = json.loads((workdir / "data.json").read_text())["counts"]
    assert sum(map(sum, counts.values())) == 140
    assert summary["split"] == "test"
    assert list(summary["per_class"]) == list(EMOTIONS)
    epochs = [line["epoch"] for line in read_metrics(workdir, "validation")]
    assert epochs == [1.0, 2.0, 3.0]
    assert list((workdir / "tensorboard").iterdir())


def test_the_best_epoch_is_evaluated(tmp_path):
    # At so high a rate the second epoch ends worse than the first.
    rate = {"optim.learning_rate": 0.03, "optim.plateau_patience_epochs": 0}
    config = shrink(**rate, **{"train.epochs": 2, "train.best_metric": "loss", "eval.split": "validation"})
    summary = run.run(config, tmp_path)
    losses = [line["loss"] for line in read_metrics(tmp_path, "validation")]
    assert losses[-1] > min(losses)
    assert summary["loss"] == pytest.approx(min(losses), rel=1e-5)


# Epoch 1 trains the head, epoch 2 also the last block, the others never train.
GRADUAL = (("block2_.*", 0.5, 1), ("block.*", "frozen"), (".*", 1.0))


@pytest.mark.slow
def test_gradual_unfreezing_resumes_bit_for_bit(tmp_path, monkeypatch, caplog):
    config = shrink(**{"optim.groups": GRADUAL, "train.epochs": 2})
    with caplog.at_level("INFO", logger="ferjax"):
        run.run(config, tmp_path / "straight")
    assert "block2_.*: 174 parameters, 0.5 times the learning rate after 1 frozen epochs" in caplog.text
    for step in (3, 5):  # before the head's epoch ends, and as it ends
        with monkeypatch.context() as patch:
            interrupt_after(patch, step)
            with pytest.raises(InterruptedRun):
                run.run(config, tmp_path / "resumed")
    run.run(config, tmp_path / "resumed")
    assert read_bits(tmp_path / "straight") == read_bits(tmp_path / "resumed")
    assert read_metrics(tmp_path / "straight") == read_metrics(tmp_path / "resumed")
    assert re.search(r"from epoch 2 on 223 of [\d,]+ parameters train", caplog.text)
    # Adam's second moment is there from the start, and moves from the second epoch on.
    moments = [name for name in read_bits(tmp_path / "resumed") if "nu" in name and "block2_conv1" in name]
    assert len(moments) == 1
    assert any(read_bits(tmp_path / "resumed")[moments[0]])


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        (((".*norm.*", 1.0),), "no pattern for block1_conv1/kernel.*and .* more"),
        ((("head/.*", 1.0, 2), (".*", 1.0, 1)), "trains nothing in epoch 1"),
        (((".*", "frozen"),), "trains nothing"),
        (((".*", 0.0),), "optim.groups, entry 1, is"),
        ((("(", 1.0),), "no regular expression"),
        (None, "optim.groups is None"),
    ],
)
def test_groups_that_cannot_be_are_a_sentence(tmp_path, groups, words):
    with pytest.raises(UserError, match=words):
        run.run(shrink(**{"optim.groups": groups}), tmp_path)


def test_a_group_that_never_comes_to_train_is_told(caplog):
    groups = (("block1_conv1/.*", 1.0, 3), ("nothing", "frozen"), (".*", 1.0))
    describe_parameters(create_parts(**{"optim.groups": groups}))
    assert "after 3 frozen epochs, which never comes, since the run has at most 3 epochs" in caplog.text
    assert "The pattern 'nothing' of optim.groups (frozen) is the first match of no parameter" in caplog.text


@pytest.mark.slow
def test_what_goes_on_has_no_results_until_it_ends(tmp_path, monkeypatch):
    run.run(shrink(**{"train.steps": 1}), tmp_path)
    assert (tmp_path / "predictions.csv").exists()
    interrupt_after(monkeypatch, 2)
    with pytest.raises(InterruptedRun):
        run.run(shrink(), tmp_path)
    assert not (tmp_path / "predictions.csv").exists()


def test_a_signal_before_the_loop_stops_at_once(tmp_path, monkeypatch):
    def load(**_):
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("went on")

    monkeypatch.setattr(data, "load", load)
    with pytest.raises(InterruptedRun, match="before the first step") as stopped:
        run.run(shrink(), tmp_path)
    assert stopped.value.signum == signal.SIGINT


def test_an_implicit_copy_in_the_loop_fails(tmp_path, monkeypatch):
    def take_with_host_data(self, _):
        jax.jit(jnp.negative)(np.ones(3, np.float32))

    monkeypatch.setattr(Loop, "_take_steps", take_with_host_data)
    with pytest.raises(Exception, match=r"[Dd]isallowed host-to-device"):
        run.run(shrink(), tmp_path)


def test_nan_stops_at_its_step_and_spares_the_checkpoint(straight, tmp_path):
    shutil.copytree(straight[0], tmp_path, dirs_exist_ok=True)
    before = read_bits(tmp_path)
    config = shrink(**{"optim.learning_rate": 1e36, "train.epochs": 9})
    with pytest.raises(UserError, match=r"not a finite number at step 1[5-9] .*checkpoint of step 14 is intact"):
        run.run(config, tmp_path, allow_config_change=True)
    assert read_bits(tmp_path) == before


def test_another_config_is_refused_with_the_differing_keys(straight):
    workdir, _ = straight
    with pytest.raises(UserError, match=r"loss\.name: \"cross_entropy\" -> \"focal\".*--allow_config_change"):
        run.run(shrink(**{"loss.name": "focal"}), workdir)
    # What a checkpoint can't go on without is refused even then.
    with pytest.raises(UserError, match="the data set: synthetic -> synthetic"):
        run.run(shrink(**{"data.synthetic_rows": 141}), workdir, allow_config_change=True)
    with pytest.raises(UserError, match=r"train\.batch_size: 24 -> 12"):
        run.run(shrink(**{"train.batch_size": 12}), workdir, allow_config_change=True)


def test_a_mistake_before_the_first_checkpoint_leaves_the_workdir_usable(tmp_path):
    with pytest.raises(UserError, match="class_weights"):
        run.run(shrink(**{"loss.class_weights": "1,2"}), tmp_path)
    run.run(shrink(**{"train.steps": 1}), tmp_path)


def test_a_workdir_in_use_is_refused(tmp_path):
    with Workdir(tmp_path).lock(), pytest.raises(UserError, match="Another process"):
        run.run(shrink(), tmp_path)


def test_saves_within_an_epoch_and_keeps_no_trash(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def die(self):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_finish_epoch", die)
        with pytest.raises(Killed):
            run.run(shrink(**{"train.checkpoint_interval_s": 1e-9}), tmp_path)
    checkpoints = tmp_path / "checkpoints"
    assert sorted(path.name for path in checkpoints.iterdir()) == ["step_4", "step_5"]


def test_validation_that_is_not_finite_is_not_saved(tmp_path, monkeypatch):
    finish = Loop._finish_epoch

    def break_then_finish(self):
        if self.epoch == 1:
            with jax.transfer_guard("allow"):
                self.state = self.state.replace(params=jax.tree.map(lambda leaf: leaf * np.nan, self.state.params))
        return finish(self)

    monkeypatch.setattr(Loop, "_finish_epoch", break_then_finish)
    fetch, pause, paused, fetched = Loop._fetch, Stopwatch.pause, [], []

    @contextlib.contextmanager
    def note_pause(self):
        with pause(self):
            paused.append(True)
            yield
            paused.pop()

    def note_fetch(self):
        fetched.append(bool(paused))
        fetch(self)

    monkeypatch.setattr(Stopwatch, "pause", note_pause)
    monkeypatch.setattr(Loop, "_fetch", note_fetch)
    with pytest.raises(UserError, match=r"validation loss is not a finite number at step 10 .*checkpoint of step 5"):
        run.run(shrink(), tmp_path)
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"step_5_validated"}
    # Steps that are still in flight at an epoch's end are training: the stopwatch pauses behind them.
    assert len(fetched) == 10
    assert not any(fetched)


def test_another_network_in_the_workdir_is_a_sentence(straight):
    workdir, _ = straight
    with pytest.raises(UserError, match=r"another network or optimizer \(.* has shape"):
        run.run(shrink(**{"model.width": 0.1}), workdir, allow_config_change=True)


@pytest.mark.slow
def test_early_stopping_keeps_the_best(tmp_path):
    config = shrink(
        **{
            "train.epochs": 30,
            "train.early_stop_patience_epochs": 2,
            "optim.learning_rate": 1e-12,
            "eval.split": "validation",
            "train.best_metric": "accuracy",
        }
    )
    summary = run.run(config, tmp_path)
    scores = [line["accuracy"] for line in read_metrics(tmp_path, "validation")]
    best = scores.index(max(scores)) + 1
    assert len(scores) == best + 2 < 30
    assert summary["accuracy"] == pytest.approx(max(scores), abs=1e-6)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"train.batch_size": 113}, "more than the 112 training rows"),
        ({"train.epochs": 0}, r"train.epochs=0 is out of range: it must be >= 1"),
        ({"loss.class_weights": "1,2"}, "loss.class_weights"),
        ({"optim.schedule": "cosine", "optim.warmup_epochs": 3.0}, "warmup_epochs"),
        ({"data.path": "nowhere.csv"}, "quickstart.sh"),
    ],
)
def test_mistakes_are_sentences(tmp_path, changed, sentence):
    with pytest.raises(UserError, match=sentence):
        run.run(shrink(**changed), tmp_path)


def test_a_signal_during_validation_saves_too(straight, tmp_path, monkeypatch):
    finish = Loop._finish_epoch

    def signal_then_finish(self):
        if self.epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return finish(self)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "_finish_epoch", signal_then_finish)
        with pytest.raises(InterruptedRun):
            run.run(shrink(), tmp_path)
    assert len(read_metrics(tmp_path, "validation")) == 1
    assert run.run(shrink(), tmp_path) == straight[1]
    assert read_bits(tmp_path) == read_bits(straight[0])


def test_a_second_signal_leaves_at_once(tmp_path, monkeypatch):
    take = Loop._take_steps

    def signal_twice(self, order):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        take(self, order)

    monkeypatch.setattr(Loop, "_take_steps", signal_twice)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(InterruptedRun, match="Left at once"):
        run.run(shrink(), tmp_path)
    assert signal.getsignal(signal.SIGINT) is before


# One other value for each key that a step reads; the program of the step must differ.
STEP_KEYS = {
    "input.scaling": "imagenet_torch",
    "augment.flip_prob": 0.1,
    "augment.rotation_deg": 0.0,
    "augment.shift_fraction": 0.0,
    "augment.zoom_fraction": 0.0,
    "augment.shear_deg": 1.0,
    "augment.erase_prob": 0.5,
    "augment.mixup_alpha": 0.2,
    "model.pool": "mean",
    "model.dropout": 0.0,
    "model.dtype": "bfloat16",
    "loss.name": "focal",
    "loss.label_smoothing": 0.1,
    "loss.class_weights": "balanced",
    "optim.name": "sgd",
    "optim.learning_rate": 1e-3,
    "optim.b1": 0.8,
    "optim.b2": 0.9,
    "optim.eps": 1e-3,
    "optim.weight_decay": 0.1,
    "optim.clip_norm": 1.0,
    "optim.groups": ((".*", 0.5),),
    "optim.schedule": "cosine",
    "optim.warmup_epochs": 1.0,
    "optim.average_decay": 0.9,
    "train.batch_size": 12,
}


@pytest.fixture(scope="module")
def trace_step():
    """The program of a run's step as text, traced behind that of its first state and without compiling either."""
    rows, layout = draw(140), create_layout("mesh", 1)
    splits = data.split(rows, "official")
    task, train_split = describe_task(rows, splits), place(rows, splits["train"], layout)

    def trace(**changed):
        parts = build(shrink(**changed), task)
        compiled = run.compile_parts(parts, train_split, layout)

        def take_first_step(seed):
            state = parts.create_state(seed, parts.create_variables(seed))
            return compiled.train(state, compiled.order(state), 0, 1)

        step = jax.make_jaxpr(take_first_step)(jnp.uint32(3)).eqns[-1]
        assert step.params["name"] == "train_many"
        return str(step)

    return trace


@pytest.fixture(scope="module")
def plain_step(trace_step):
    return trace_step()


def test_an_unchanged_config_traces_the_same_step(trace_step, plain_step):
    assert trace_step(**{"train.epochs": 4}) == plain_step


@pytest.mark.parametrize("key", STEP_KEYS)
def test_every_key_reaches_the_step(trace_step, plain_step, key):
    assert trace_step(**{key: STEP_KEYS[key]}) != plain_step


@pytest.mark.parametrize(
    ("needed", "key", "value"),
    [
        ({"loss.name": "focal"}, "loss.gamma", 3.0),
        ({"loss.name": "focal"}, "loss.alpha", 0.5),
        ({"augment.erase_prob": 0.5}, "augment.erase_px", 5),
        ({"optim.name": "sgd"}, "optim.momentum", 0.5),
    ],
)
def test_keys_that_another_key_switches_on(trace_step, needed, key, value):
    one, other = (trace_step(**needed, **changed) for changed in ({}, {key: value}))
    assert one != other


def test_mirror_and_split_reach_the_evaluation(tmp_path):
    tests = [run.run(shrink(**{"train.steps": 1}), tmp_path)]
    change = {"train.steps": 1, "eval.views": "mirror"}
    tests.append(run.run(shrink(**change), tmp_path, allow_config_change=True))
    assert tests[0]["loss"] != tests[1]["loss"]
    assert run.run(shrink(**change, **{"eval.split": "validation"}), tmp_path)["split"] == "validation"


def write_ferplus(folder, rows):
    """The rows as a csv, and votes on them: nine for the class of the same number, one for contempt or not-a-face."""
    usages = np.asarray(rows.usages)[rows.usage]
    lines = [
        f"{e},{' '.join(map(str, p.ravel()))},{u}" for e, p, u in zip(rows.labels, rows.images, usages, strict=True)
    ]
    (folder / "fer.csv").write_text("emotion,pixels,Usage\n" + "\n".join(lines) + "\n")
    # FER+'s order: neutral, happiness, surprise, sadness, anger, disgust, fear, contempt, unknown, not-a-face.
    votes = np.eye(10, dtype=int)[np.array([4, 5, 6, 1, 3, 2, 0])[rows.labels]] * 8
    votes[:, 7] = 2
    votes[0] = [0] * 9 + [10]
    lines = [f"{u},fer{n:07}.png,{','.join(map(str, v))}" for n, (u, v) in enumerate(zip(usages, votes, strict=True))]
    header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    (folder / "fer2013new.csv").write_text("\n".join([header, *lines]) + "\n")


def test_ferplus_trains_on_eight_classes_with_soft_targets(tmp_path):
    write_ferplus(tmp_path, draw(140))
    paths = {"data.path": str(tmp_path / "fer.csv"), "data.ferplus_path": str(tmp_path / "fer2013new.csv")}
    report = run.run(shrink(**paths, **{"data.labels": "ferplus_distribution", "train.epochs": 1}), tmp_path / "run")
    assert list(report["per_class"])[:2] == ["neutral", "happiness"]
    assert report["per_class"]["contempt"]["support"] == 0
    header = (tmp_path / "run" / "predictions.csv").read_text().splitlines()[0]
    assert header.endswith("p_fear,p_contempt")
    about = json.loads((tmp_path / "run" / "data.json").read_text())
    assert sum(map(sum, about["counts"].values())) == 139  # one row is not a face
