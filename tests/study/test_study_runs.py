import json

import pytest
from written_runs import edit_json

from ferjax.errors import UserError
from ferjax.study.study import load_study


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", None, r"config\.json cannot be read"),
        ("config.json", "{", r"config\.json cannot be read"),
        ("config.json", "[]", r"config\.json is not a run's config"),
        ("config.json", '{"train": {}}', r"config\.json is not a run's config"),
        ("data.json", None, r"data\.json cannot be read"),
        ("data.json", "{}", r"data\.json lacks the digest"),
        ("data.json", "[]", r"data\.json lacks the digest"),
        ("predictions.csv", "", r"predictions\.csv, line 1"),
    ],
)
def test_a_broken_file_is_named(setting, name, content, message):
    path = setting / "seed_0" / name
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=message):
        load_study([setting])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("train", 3),
        ("train.seed", "0"),
        ("train.steps", None),
        ("train.steps", 1.5),
        ("train.epochs", True),
        ("model.name", 3),
        ("model.width", "wide"),
        ("init.pretrained", 3),
        ("data.split", []),
    ],
)
def test_a_config_with_another_kind_of_value_is_named(setting, key, value):
    path = setting / "seed_0" / "config.json"
    config = json.loads(path.read_text())
    *groups, name = key.split(".")
    holder = config.setdefault(groups[0], {}) if groups else config
    holder[name] = value
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"{path} is not a run's config, for .*{key}.*: train again .* leave that run"):
        load_study([setting])


@pytest.mark.parametrize("key", ["train.seed", "model.name", "data.split"])
def test_a_config_that_lacks_what_every_version_saved_is_named(setting, key):
    path = setting / "seed_0" / "config.json"
    config = json.loads(path.read_text())
    group, name = key.split(".")
    del config[group][name]
    path.write_text(json.dumps(config))
    with pytest.raises(UserError, match=rf"{path} is not a run's config, for it lacks {key}: train again"):
        load_study([setting])


def test_a_key_that_a_config_lacks_has_its_default(setting):
    path = setting / "seed_0" / "config.json"
    config = json.loads(path.read_text())
    del config["train"]["epochs"], config["model"]["width"]
    path.write_text(json.dumps(config))
    (group,) = load_study([setting]).groups
    assert group.members[0].setting.config["model"]["width"] == 1.0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("path", 3),
        ("counts", [3]),
        ("counts", {"train": 3}),
        ("counts", {"train": ["x"]}),
        ("skipped", 3),
        ("copies", {"test": ["x"]}),
        ("copies", {"test": 3}),
        ("copies", {"test": [1.5]}),
        ("copies", 3),
    ],
)
def test_a_description_of_the_data_that_is_broken_is_named(setting, key, value):
    edit_json(setting / "seed_0" / "data.json", **{key: value})
    with pytest.raises(UserError, match=rf"data\.json.*{key}.*: train again .* or leave that run out"):
        load_study([setting])


@pytest.mark.parametrize("key", ["path", "counts", "skipped", "digest"])
def test_a_description_of_the_data_that_lacks_a_key_is_named(setting, key):
    path = setting / "seed_0" / "data.json"
    path.write_text(json.dumps({name: value for name, value in json.loads(path.read_text()).items() if name != key}))
    with pytest.raises(UserError, match=rf"data\.json.*{key}.*: train again"):
        load_study([setting])
