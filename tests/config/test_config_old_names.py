"""Names that keys had in older versions, wherever a config can come from."""

import json
import logging

import pytest

import ferjax
from ferjax.cli.flags import Parser
from ferjax.config import KeyMistake, create_default, find_differences, load_config, nest, resolve, upgrade, validate
from ferjax.workdir import Workdir

# The old key and its value, and the new one and its.
CASES = [
    ("data.scaling", "imagenet_caffe", "input.scaling", "imagenet_caffe"),
    ("data.normalize", False, "input.scaling", "none"),
    ("data.normalize", True, "input.scaling", "minmax"),
    ("model.pretrained", "keras", "init.pretrained", "keras"),
    ("eval.mirror", True, "eval.views", "mirror"),
    ("eval.mirror", False, "eval.views", "none"),
]


def read(config, key):
    group, name = key.split(".")
    return config[group][name]


def write_config(folder, *lines):
    path = folder / "mine.py"
    head = ["from configs import default", "def get_config():", "    config = default.get_config()"]
    path.write_text("\n".join([*head, *(f"    config.{line}" for line in lines), "    return config", ""]))
    return path


@pytest.mark.parametrize(("old", "value", "new", "now"), CASES)
def test_an_old_name_in_a_config_file(tmp_path, old, value, new, now, caplog):
    with caplog.at_level(logging.INFO, logger="ferjax"):
        config = load_config(write_config(tmp_path, f"{old} = {value!r}"))
    assert read(config, new) == now
    assert old.split(".")[1] not in config[old.split(".")[0]]
    said = [record.message for record in caplog.records]
    assert len(said) == (0 if (old, value) == ("data.normalize", True) else 1)
    assert all(line.startswith(old) and line.endswith("the old name is still accepted.") for line in said)


@pytest.mark.parametrize(("old", "value", "new", "now"), CASES)
def test_an_old_name_at_the_command_line(old, value, new, now):
    parser = Parser("ferjax train", None, takes_config=True)
    found = parser.parse(["--config", "default", f"--config.{old}={str(value).lower()}"])
    assert read(found.config, new) == now
    validate(found.config)


@pytest.mark.parametrize(("old", "value", "new", "now"), CASES)
def test_an_old_name_in_a_saved_config(tmp_path, old, value, new, now):
    flat = {key: spec for key, spec in upgrade({}).items() if key != new}
    saved = nest({**flat, old: value})
    assert upgrade(saved) == {**upgrade({}), new: now}
    today = resolve(create_default())
    today.update_from_flattened_dict({new: now})
    assert find_differences(saved, today, resume=("free", "ask", "never")) == {}
    (tmp_path / "config.json").write_text(json.dumps(saved))
    assert Workdir(tmp_path).read_config() == {**upgrade({}), new: now}


def test_normalize_leaves_a_scaling_alone_unless_it_says_no():
    saved = nest({"data.scaling": "imagenet_torch", "data.normalize": True})
    assert upgrade(saved)["input.scaling"] == "imagenet_torch"
    assert upgrade(nest({"data.scaling": "imagenet_torch", "data.normalize": False}))["input.scaling"] == "none"


@pytest.mark.parametrize("resolved", [False, True])
@pytest.mark.parametrize(("old", "value", "new", "now"), CASES)
def test_an_old_name_in_train(tmp_path, monkeypatch, old, value, new, now, resolved):
    from ferjax import report
    from ferjax.training import run

    seen = []
    monkeypatch.setattr(run, "run", lambda config, *_, **__: seen.append(config))
    monkeypatch.setattr(report, "report_run", lambda folder: None)
    monkeypatch.setattr(report, "write_report", lambda folder, written: None)
    config = create_default()
    ferjax.train(resolve(config) if resolved else config, tmp_path, {old: value})
    if not resolved:
        config.update_from_flattened_dict({old: value})
        ferjax.train(config, tmp_path)
    ferjax.train("default", tmp_path, {old: value})
    assert [read(config, new) for config in seen] == [now] * (2 if resolved else 3)
    for config in seen:
        validate(config)


def test_what_is_said_at_the_command_line_goes_over_an_old_name_in_the_file(tmp_path):
    path = write_config(tmp_path, "data.normalize = False", "eval.mirror = True")
    assert load_config(path).input.scaling == "none"
    config = load_config(path, {"input.scaling": "imagenet_torch", "eval.views": "crops"})
    assert (config.input.scaling, config.eval.views) == ("imagenet_torch", "crops")
    assert load_config(path, {"data.normalize": True}).input.scaling == "minmax"
    assert load_config(path, {"eval.mirror": False}).eval.views == "none"


@pytest.mark.parametrize(("key", "value"), [("data.normalize", 1), ("data.scaling", 3), ("eval.mirror", "often")])
def test_an_old_name_keeps_its_kind(tmp_path, key, value):
    with pytest.raises(KeyMistake, match="cannot be used"):
        load_config(write_config(tmp_path, f"{key} = {value!r}"))
    with pytest.raises(KeyMistake, match=f"{key} takes"):
        load_config("default", {key: value})
