import importlib
import pathlib
import re

import pytest

from configs import default
from ferjax.config import LEGAL, Anything, KeyMistake, check_keys, find_differences, flatten, validate
from ferjax.errors import UserError

CONFIGS = sorted(path.stem for path in pathlib.Path(default.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_legal_and_has_just_the_known_keys(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    check_keys(config)
    validate(config)


def test_default_documents_every_range():
    source = pathlib.Path(default.__file__).read_text()
    for key, legal in LEGAL.items():
        line = re.search(rf"\.{key.split('.')[1]} = .*#(.*)", source[source.index(f"config.{key.split('.')[0]} = ") :])
        assert line, f"{key} has no comment"
        if not isinstance(legal, Anything) and key != "model.name":
            for part in getattr(legal, "words", (str(getattr(legal, "member", legal)),)):
                assert part in line[1], f"the comment of {key} does not say {part}"


def test_a_key_that_nobody_reads_names_the_nearest():
    config = default.get_config()
    with config.unlocked():
        config.train.batchsize = 3
    with pytest.raises(KeyMistake, match=r"train\.batchsize.*did you mean train\.batch_size"):
        check_keys(config)


def test_a_missing_key_is_named():
    config = default.get_config()
    with config.unlocked():
        del config.loss["gamma"]
    with pytest.raises(KeyMistake, match=r"lacks loss\.gamma"):
        check_keys(config)


@pytest.mark.parametrize(
    ("key", "value", "range_"),
    [
        ("optim.learning_rate", 0.0, "> 0"),
        ("optim.learning_rate", float("nan"), "> 0"),
        ("augment.flip_prob", 1.5, r"0\.\.1"),
        ("model.name", "vgg20", "'vgg19'"),
        ("model.hidden", (10, 0), "each >= 1"),
        ("model.hidden", (10.5,), "each >= 1"),
        ("optim.learning_rate", float("inf"), "> 0"),
        ("train.seed", -1, r"0\.\."),
    ],
)
def test_a_value_out_of_range_names_key_and_range(key, value, range_):
    config = default.get_config()
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=rf"--config\.{key}=.*{range_}"):
        validate(config)


def test_differences_leave_out_what_no_step_reads():
    one, other = (dict(default.get_config().to_dict()) for _ in range(2))
    other["train"] = {**other["train"], "steps": 5, "seed": 1}
    other["model"] = {**other["model"], "hidden": [5]}
    assert list(find_differences(one, other).values()) == ["model.hidden: [] -> [5]", "train.seed: 0 -> 1"]
    assert dict(flatten(one))["model.hidden"] == []
