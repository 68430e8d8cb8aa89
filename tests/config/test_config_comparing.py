"""Two configs side by side: what an old one lacks, and what counts as a difference."""

import copy
import json

import pytest

from ferjax.config import KEYS, create_default, find_differences, flatten, nest, resolve, upgrade
from ferjax.keys import Choice, Each, Range
from ferjax.study.runs import load_run
from ferjax.workdir import Workdir
from tests.written_runs import write_run

KINDS = ("free", "ask", "never")


def change(value, legal):
    """Another legal value than this one."""
    if isinstance(legal, Choice):
        return next(word for word in legal.words if word != value)
    if isinstance(legal, Each):
        return (5,)
    if isinstance(legal, Range):
        others = (value + 1, value - 1) if legal.whole else (1.0, 2.0, 0.5, 0.25)
        return next(other for other in others if other in legal and other != value)
    return {str: "another", bool: not value}.get(legal.kind, ((".*", 0.5),))


@pytest.mark.parametrize("key", KEYS)
def test_a_difference_in_a_key_counts_by_its_kind_alone(key):
    spec = KEYS[key]
    config = resolve(create_default())
    saved = json.loads(config.to_json())
    group, name = key.split(".")
    new = change(spec.default, spec.legal)
    config[group][name] = new
    said = f"{key}: {json.dumps(spec.default)} -> {json.dumps(new)}"
    for kind in KINDS:
        assert find_differences(saved, config, resume=(kind,)) == ({key: said} if kind == spec.resume else {})
    assert find_differences(saved, config) == ({} if spec.resume == "free" else {key: said})


def test_every_kind_of_key_occurs_where_it_must():
    kinds = {key: spec.resume for key, spec in KEYS.items()}
    assert kinds["data.path"] == kinds["train.steps"] == kinds["train.seeds"] == kinds["eval.split"] == "free"
    assert kinds["train.seed"] == kinds["train.batch_size"] == kinds["data.split"] == "never"
    assert kinds["optim.learning_rate"] == kinds["train.epochs"] == kinds["loss.name"] == "ask"


@pytest.mark.parametrize("key", KEYS)
def test_a_saved_config_without_a_key_is_one_with_its_default(key):
    saved = json.loads(resolve(create_default()).to_json())
    lacking = copy.deepcopy(saved)
    group, name = key.split(".")
    del lacking[group][name]
    assert upgrade(lacking) == upgrade(saved)
    assert find_differences(lacking, saved, resume=KINDS) == {}


def test_a_saved_config_without_whole_groups_too(tmp_path):
    saved = json.loads(resolve(create_default()).to_json())
    old = {group: keys for group, keys in saved.items() if group not in ("input", "parallel", "init")}
    assert find_differences(old, saved, resume=KINDS) == {}
    (tmp_path / "config.json").write_text(json.dumps(old))
    assert Workdir(tmp_path).read_config() == dict(flatten(saved))
    assert nest(upgrade(old)) == saved


def test_a_study_compares_an_old_run_with_a_new_one(tmp_path):
    old, new = (load_run(write_run(tmp_path / name, 0)) for name in ("old", "new"))
    assert find_differences(old.config, new.config, resume=KINDS) == {}
    path = tmp_path / "old" / "config.json"
    saved = json.loads(path.read_text())
    del saved["optim"]["average_decay"], saved["input"]
    path.write_text(json.dumps(saved))
    assert find_differences(load_run(tmp_path / "old").config, new.config, resume=KINDS) == {}


def test_what_nobody_knows_counts_as_a_difference_to_ask_about():
    saved = nest({**upgrade({}), "optim.of_the_future": 1})
    assert find_differences(saved, upgrade({}), resume=("ask",)) == {
        "optim.of_the_future": "optim.of_the_future: 1 -> null"
    }
    assert find_differences(saved, upgrade({}), resume=("free", "never")) == {}


def test_tuples_are_lists_as_json_has_them():
    config = resolve(create_default())
    config.optim.groups = (("head.*", 1.0), (".*", "frozen"))
    saved = json.loads(config.to_json())
    assert dict(flatten(config))["optim.groups"] == [["head.*", 1.0], [".*", "frozen"]]
    assert find_differences(saved, config, resume=KINDS) == {}
