"""Every declared key: its text, its default, the ends of its range, and the page that lists it."""

import math
import pathlib

import pytest
from ml_collections import ConfigDict

from ferjax.config import GROUPS, KEYS, create_default, document, flatten, nest, validate
from ferjax.config.moved import MOVED
from ferjax.errors import UserError
from ferjax.keys import Anything, Choice, Each, Range

ROOT = pathlib.Path(__file__).parents[2]


def change(key, value):
    """A config of defaults but for one value, of any kind: no type check of ConfigDict comes before."""
    return ConfigDict(nest({name: spec.default for name, spec in KEYS.items()} | {key: value}))


def find_ends(legal):
    """Values at the ends of a range, and one just beyond each end; of a tuple's range, tuples."""
    if isinstance(legal, Each):
        inside, outside = find_ends(legal.member)
        return [(value,) for value in inside] + [(), tuple(inside)], [(value,) for value in outside]
    if isinstance(legal, Choice):
        return list(legal.words), ["no such word", "", legal.words[0].upper(), None, 0]
    if isinstance(legal, Range):
        step = 1 if legal.whole else 1e-9
        low = legal.low + step if legal.open else legal.low
        outside = [legal.low if legal.open else legal.low - step, math.nan, -math.inf, math.inf, True, "1", None]
        inside = [low, 10**6 if legal.high == math.inf else legal.high]
        if legal.high != math.inf:
            outside.append(legal.high + step)
        if legal.whole:
            outside.append(legal.low + 1.5)
        return inside, outside
    assert isinstance(legal, Anything)
    return {str: (["", "any"], [1, None]), bool: ([True, False], [1, None])}.get(legal.kind, ([], []))


def test_the_page_of_keys_is_as_the_declarations_have_it():
    written = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert written == document.to_markdown(), "write it anew: python -m ferjax.config > docs/config.md"


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_on_the_page_and_in_the_help_with_default_range_and_text(key):
    spec = KEYS[key]
    row = next(line for line in document.to_markdown().splitlines() if line.startswith(f"| `{key}` |"))
    for part in (f"`{spec.default!r}`", str(spec.legal), spec.text):
        assert part.replace("|", "\\|") in row
    said = {"free": "| yes |", "ask": "| with --allow_config_change |", "never": "| no |"}[spec.resume]
    assert row.endswith(said)
    # The help is folded, and broken within words that are longer than a line nowhere.
    assert " ".join(f"{key}={spec.default} {spec.text}; {spec.legal}".split()) in " ".join(document.to_help().split())


@pytest.mark.parametrize("key", KEYS)
def test_every_key_has_a_text_of_one_line_and_a_legal_default(key):
    spec = KEYS[key]
    assert spec.text
    assert "\n" not in spec.text
    assert not spec.text.endswith(".")
    assert spec.default in spec.legal
    assert create_default()[key.split(".")[0]][key.split(".")[1]] == spec.default


def test_the_groups_hold_every_key_once_and_say_what_they_are_about():
    assert sorted(key for key, _ in flatten(create_default()) if key not in MOVED) == sorted(KEYS)
    for about, keys in GROUPS.values():
        assert about.endswith(".")
        assert keys
    assert not set(MOVED) & set(KEYS)
    assert {moved.now for moved in MOVED.values()} <= set(KEYS)


@pytest.mark.parametrize("key", [key for key in KEYS if key != "optim.groups"])
def test_the_ends_of_every_range_are_legal_and_one_beyond_is_refused(key):
    inside, outside = find_ends(KEYS[key].legal)
    assert inside
    assert outside
    for value in inside:
        validate(change(key, value))
    for value in outside:
        with pytest.raises(UserError) as told:
            validate(change(key, value))
        said = [list(value)] if isinstance(value, tuple) else [value]
        assert str(told.value) == f"{key}={said[0]!r} is out of range: it must be {KEYS[key].legal}."


@pytest.mark.parametrize(
    ("key", "value", "end"),
    [
        ("train.epochs", 2**31, "it must be >= 1, and at most 2147483647."),
        ("optim.eps", 1e39, "it must be > 0, and at most 3.4028234e+38."),
        ("model.hidden", (2**31,), "it must be a tuple of numbers, each >= 1, and at most 2147483647."),
        ("eval.batch_size", 10**6, "it must be 1..65536."),
    ],
)
def test_numbers_that_devices_do_not_have_are_refused(key, value, end):
    with pytest.raises(UserError) as told:
        validate(change(key, value))
    assert str(told.value).endswith(end)


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        ("all", "optim.groups is 'all'; it must be a list"),
        ((".*",), "entry 1, is '.*'"),
        (((".*", 0.0),), "entry 1"),
        (((".*", "frozen"),), "trains nothing"),
        ((("(", 1.0),), "no regular expression"),
        ((("a", 1.0), (".*", 1.0, -1)), "entry 2"),
        ((("a", 1.0), (1, 1.0)), "entry 2"),
    ],
)
def test_groups_that_cannot_be_read_are_refused_before_data_are(entries, sentence, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"optim.groups") as told:
        validate(change("optim.groups", entries))
    assert sentence in str(told.value)
    assert "\n" not in str(told.value)

    from ferjax.training import run

    def read(**_):
        raise AssertionError("the data were read")

    monkeypatch.setattr(run.data, "load", read)
    with pytest.raises(UserError, match=r"optim.groups"):
        run.run(change("optim.groups", entries), tmp_path / "run")
    assert not (tmp_path / "run").exists()
