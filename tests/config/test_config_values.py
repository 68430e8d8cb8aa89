"""Values as a person types them, and as a program gives them."""

import pytest

from ferjax.config import KEYS, KeyMistake, create_default, override, parse_value


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("eval.mirror", "true", True),
        ("eval.mirror", "False", False),
        ("data.normalize", " FALSE ", False),
        ("train.epochs", "3", 3),
        ("train.epochs", "-3", -3),
        ("train.seed", " 7 ", 7),
        ("optim.learning_rate", "1e-3", 1e-3),
        ("optim.learning_rate", "3", 3.0),
        ("model.name", "vgg11", "vgg11"),
        ("data.path", "some folder/faces.csv", "some folder/faces.csv"),
        ("data.path", "a=b,c", "a=b,c"),
        ("init.pretrained", "none", "none"),
        ("data.scaling", "none", "none"),
        ("model.hidden", "(512, 256)", (512, 256)),
        ("model.hidden", "512,256", (512, 256)),
        ("model.hidden", "[512]", (512,)),
        ("model.hidden", "512", (512,)),
        ("model.hidden", "()", ()),
        ("model.hidden", "", ()),
        ("train.seeds", "0,1,2", (0, 1, 2)),
        ("optim.groups", "(('head.*', 1.0), ('.*', 'frozen'))", (("head.*", 1.0), (".*", "frozen"))),
        ("optim.groups", "('head.*', 1.0), ('.*', 0.1, 3)", (("head.*", 1.0), (".*", 0.1, 3))),
        ("optim.groups", "[('.*', 0.5)]", ((".*", 0.5),)),
    ],
)
def test_a_text_becomes_the_kind_of_value_that_its_key_holds(key, text, value):
    parsed = parse_value(key, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize("key", KEYS)
def test_the_default_of_every_key_comes_back_from_its_text(key):
    assert parse_value(key, str(KEYS[key].default)) == KEYS[key].default


@pytest.mark.parametrize(
    ("key", "text", "kind"),
    [
        ("eval.mirror", "yes", "true or false"),
        ("data.normalize", "", "true or false"),
        ("train.epochs", "3.0", "a whole number"),
        ("train.epochs", "many", "a whole number"),
        ("train.epochs", "", "a whole number"),
        ("train.epochs", "9" * 5000, "a whole number"),
        ("optim.learning_rate", "fast", "a number"),
        ("optim.learning_rate", "nan", "a number"),
        ("optim.learning_rate", "-inf", "a number"),
        ("model.hidden", "wide", "a tuple, such as (1, 2)"),
        ("model.hidden", "(512, 256", "a tuple, such as (1, 2)"),
        ("model.hidden", "{[]: 1}", "a tuple, such as (1, 2)"),
        ("model.hidden", "f(1)", "a tuple, such as (1, 2)"),
        ("optim.groups", "(('a', 1.0)", "a tuple, such as (1, 2)"),
    ],
)
def test_a_text_of_another_kind_is_one_sentence(key, text, kind):
    with pytest.raises(KeyMistake) as told:
        parse_value(key, text)
    assert str(told.value) == f"{key} takes {kind}, which {text!r} is not."


@pytest.mark.parametrize(
    ("key", "nearest"),
    [
        ("train.batchsize", "train.batch_size"),
        ("optim.learning_rat", "optim.learning_rate"),
        ("scaling", "input.scaling"),
        ("loss.gama", "loss.gamma"),
        ("optim.batch_size", "train.batch_size"),
        ("trian.batch_size", "train.batch_size"),
    ],
)
def test_an_unknown_key_names_the_nearest(key, nearest):
    for act in (lambda: parse_value(key, "1"), lambda: override(create_default(), {key: 1})):
        with pytest.raises(KeyMistake, match=r"there is no config key .*; did you mean \w+\.\w+\?$") as told:
            act()
        assert f"did you mean {nearest}?" in str(told.value)


@pytest.mark.parametrize("key", ["", "zzz", "head", "optim.lr"])
def test_a_key_that_is_like_none_is_not_taken_for_one(key):
    with pytest.raises(KeyMistake, match=rf"there is no config key {key}; 'ferjax configs --keys' lists all\."):
        parse_value(key, "1")


def test_overrides_leave_the_config_that_they_are_given_alone():
    config = create_default()
    changed = override(config, {"train.epochs": 3, "model.hidden": [8, 4], "optim.learning_rate": 1})
    assert (changed.train.epochs, changed.model.hidden, changed.optim.learning_rate) == (3, (8, 4), 1.0)
    assert config.train.epochs == KEYS["train.epochs"].default
    assert changed.is_locked


@pytest.mark.parametrize(
    ("key", "value", "kind"),
    [
        ("train.epochs", "3", "a whole number"),
        ("train.epochs", 2.5, "a whole number"),
        ("optim.learning_rate", "1e-3", "a number"),
        ("model.name", 19, "a word"),
        ("model.hidden", 512, "a tuple"),
        ("data.normalize", "no", "true or false"),
        ("data.scaling", 1, "a word"),
    ],
)
def test_an_override_of_another_kind_is_one_sentence(key, value, kind):
    with pytest.raises(KeyMistake) as told:
        override(create_default(), {key: value})
    assert str(told.value).startswith(f"{key} takes {kind}")
    assert str(told.value).endswith(f"which {value!r} is not.")


def test_a_config_with_a_key_too_many_or_too_few_is_refused():
    config = create_default()
    with config.unlocked():
        config.train.batchsize = 3
    with pytest.raises(KeyMistake, match=r"train\.batchsize; did you mean train\.batch_size"):
        override(config, {})
    with config.unlocked():
        del config.train["batchsize"], config.loss["gamma"], config["input"]
    with pytest.raises(KeyMistake, match=r"lacks input\.scaling, loss\.gamma: start from"):
        override(config, {})
