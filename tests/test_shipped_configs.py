import importlib
import math
import os
import pathlib
import subprocess
import sys

import pytest

from configs import default
from ferjax.config import check, flatten, list_configs, load_config, resolve, validate
from ferjax.errors import UserError
from ferjax.optim.groups import parse


@pytest.mark.parametrize("name", list_configs())
def test_every_config_is_legal_and_has_just_the_known_keys(name):
    assert load_config(name) == check(importlib.import_module(f"configs.{name}").get_config())


def test_configs_of_another_project_in_this_folder_are_not_ferjaxs(tmp_path):
    (tmp_path / "configs").mkdir()
    for name in ("__init__", "default", "optimal"):
        (tmp_path / "configs" / f"{name}.py").write_text("raise RuntimeError('of another project')")
    program = "from ferjax.config import load_config; print(load_config('optimal').optim.name)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "adam\n"), done.stderr


def read_config(name):
    return load_config(name)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        (
            "no_augmentation",
            {f"augment.{k}" for k in ("flip_prob", "rotation_deg", "shift_fraction", "zoom_fraction", "shear_deg")},
        ),
        ("no_normalization", {"input.scaling"}),
        ("focal_gamma2", {"loss.name"}),
        ("focal_gamma5", {"loss.name", "loss.gamma"}),
        ("random_init", {"init.pretrained"}),
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


@pytest.mark.parametrize(
    ("key", "value", "range_"),
    [
        ("optim.learning_rate", 0.0, "> 0"),
        ("optim.learning_rate", float("nan"), "> 0"),
        ("augment.flip_prob", 1.5, r"0\.\.1"),
        ("model.name", "vgg20", "'vgg19'"),
        ("model.exact_convolution", None, "True or False"),
        ("init.pretrained", None, "text"),
        ("model.hidden", (10, 0), "each >= 1"),
        ("model.hidden", (10.5,), "each >= 1"),
        ("optim.learning_rate", float("inf"), "> 0"),
        ("train.seed", -1, r"0\.\."),
    ],
)
def test_a_value_out_of_range_names_key_and_range(key, value, range_):
    config = resolve(default.get_config())
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=rf"^{key}=.*{range_}"):
        validate(config)
