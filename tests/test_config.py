import importlib
import math
import pathlib
import re

import pytest

from configs import default
from ferjax.config import LEGAL, Anything, KeyMistake, check_keys, find_differences, flatten, validate
from ferjax.errors import UserError
from ferjax.optim.groups import parse

CONFIGS = sorted(path.stem for path in pathlib.Path(default.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_legal_and_has_just_the_known_keys(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    check_keys(config)
    validate(config)


def read_config(name):
    return importlib.import_module(f"configs.{name}").get_config()


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "no_augmentation",
            {f"augment.{k}" for k in ("flip_prob", "rotation_deg", "shift_fraction", "zoom_fraction", "shear_deg")},
        ),
        ("no_normalization", {"data.normalize"}),
        ("focal_gamma2", {"loss.name"}),
        ("focal_gamma5", {"loss.name", "loss.gamma"}),
        ("random_init", {"model.pretrained"}),
        ("frozen1", {"optim.groups"}),
        ("frozen3", {"optim.groups"}),
        ("frozen5", {"optim.groups"}),
        ("discriminative", {"optim.groups"}),
        ("gradual", {"optim.groups"}),
        ("batch2", {"train.batch_size", "eval.split"}),
        ("batch32", {"eval.split"}),
        ("batch2048", {"train.batch_size", "eval.split"}),
        ("lr_1e_3", {"optim.learning_rate", "eval.split"}),
        ("lr_3e_4", {"optim.learning_rate", "eval.split"}),
        ("lr_3e_5", {"optim.learning_rate", "eval.split"}),
        ("lr_1e_5", {"optim.learning_rate", "eval.split"}),
    ],
)
def test_an_experiment_changes_its_keys_of_optimal_and_no_others(name, changes):
    optimal, config = dict(flatten(read_config("optimal"))), dict(flatten(read_config(name)))
    assert {key for key, value in config.items() if value != optimal[key]} == changes
    if "eval.split" in changes:
        assert config["eval.split"] == "validation"
    if "optim.learning_rate" in changes:
        assert f"{config['optim.learning_rate']:.0e}".replace("e-0", "e-") == name[3:].replace("_", "-")
    if "train.batch_size" in changes:
        assert name == f"batch{config['train.batch_size']}"


def assign_groups(name):
    """The group of each block of VGG19 and of its head."""
    layers = [
        f"block{block}_{layer}/{leaf}"
        for block in range(1, 6)
        for layer, leaf in (("conv1", "kernel"), ("norm1", "scale"))
    ]
    groups = parse(read_config(name).optim.groups).assign([*layers, "head/output/kernel"])
    assert all(groups[one] == groups[other] for one, other in zip(layers[::2], layers[1::2], strict=True))
    return [groups[layer] for layer in [*layers[::2], "head/output/kernel"]]


@pytest.mark.parametrize("k", [1, 3, 5])
def test_frozen_configs_freeze_the_first_k_blocks(k):
    assert [group.start_epoch for group in assign_groups(f"frozen{k}")] == [math.inf] * k + [0] * (6 - k)


def test_discriminative_rates_fall_from_the_head_to_the_first_block():
    multipliers = [group.multiplier for group in assign_groups("discriminative")]
    assert multipliers == pytest.approx([2.6**-n for n in (5, 4, 3, 2, 1, 0)])


def test_gradual_unfreezes_from_the_head_down():
    assert [group.start_epoch for group in assign_groups("gradual")] == [5, 4, 3, 2, 1, 0]


def test_default_documents_every_range():
    source = pathlib.Path(default.__file__).read_text()
    for key, legal in LEGAL.items():
        line = re.search(rf"\.{key.split('.')[1]} = .*#(.*)", source[source.index(f"config.{key.split('.')[0]} = ") :])
        assert line, f"{key} has no comment"
        if not isinstance(legal, Anything) and key not in ("model.name", "train.best_metric", "optim.plateau_metric"):
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
        ("eval.mirror", None, "True or False"),
        ("model.pretrained", None, "text"),
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
