"""Official and stratified splits hold what they promise, for any mixture of classes."""

import dataclasses

import numpy as np
import pytest

from ferjax.data import load, select, split
from ferjax.data.datasets.fer2013 import FORM
from ferjax.errors import UserError


def _labelled(emotion, usage=None):
    n = len(emotion)
    usage = np.zeros(n) if usage is None else usage
    return FORM.create_rows(
        np.zeros((n, 48, 48, 1), np.uint8), np.asarray(emotion, np.int32), np.asarray(usage, np.uint8)
    )


def _check_partition(found, n):
    np.testing.assert_array_equal(np.sort(np.concatenate(list(found.values()))), np.arange(n))
    assert all((np.diff(index) > 0).all() for index in found.values())
    assert all(index.dtype == np.int64 for index in found.values())


def test_official_follows_usage(rows):
    found = split(rows, "official")
    assert list(found) == ["train", "validation", "test"]
    for code, index in enumerate(found.values()):
        np.testing.assert_array_equal(index, np.flatnonzero(rows.usage == code))
    _check_partition(found, len(rows))


def test_official_without_private_test_has_an_empty_test_split():
    found = split(_labelled([0, 1, 2], [0, 0, 1]))
    assert len(found["test"]) == 0
    np.testing.assert_array_equal(select(found, "validation"), [2])
    with pytest.raises(UserError, match=r"no test rows.*eval\.split=validation, or data\.split=strat"):
        select(found, "test")


@pytest.mark.parametrize(("usage", "lack"), [([1, 2], "no Training rows"), ([0, 2], "no PublicTest rows")])
def test_official_without_train_or_validation(usage, lack):
    with pytest.raises(UserError, match=f"{lack}.*data.split=stratified"):
        split(_labelled([0, 1], usage))


@pytest.mark.parametrize("seed", range(25))
def test_stratified_shares_are_right_to_one_row(seed):
    random = np.random.default_rng(seed)
    counts = random.integers(0, 90, 7) * (random.random(7) < 0.8) + (seed == 0)
    emotion = random.permutation(np.repeat(np.arange(7), counts))
    if len(emotion) < 2:
        return
    found = split(_labelled(emotion), "stratified", seed)
    _check_partition(found, len(emotion))
    for name, share in {"train": 0.8, "validation": 0.1, "test": 0.1}.items():
        assert abs(len(found[name]) - share * len(emotion)) < 1
        held = np.bincount(emotion[found[name]], minlength=7)
        assert (np.abs(held - share * counts) < 1).all()


def test_stratified_is_fixed_by_its_seed_alone():
    emotion = np.arange(700) % 7
    usage = np.arange(700) % 3
    first = split(_labelled(emotion), "stratified", 3)
    again = split(_labelled(emotion, usage), "stratified", 3)
    other = split(_labelled(emotion), "stratified", 4)
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["test"] != other["test"]).any()
    # These rows are for good: a change would move test rows into training for everyone who resumes a run.
    assert first["test"][:8].tolist() == [1, 8, 18, 30, 38, 45, 47, 48]


def test_too_few_rows_and_unknown_mode():
    with pytest.raises(UserError, match="1 rows, too few"):
        split(_labelled([3]), "stratified")
    with pytest.raises(UserError, match=r"data\.split is 'random': choose one of official, stratified"):
        split(_labelled([3]), "random")


def test_load_reads_and_splits(tmp_path, rows, csv_text, same):
    path = tmp_path / "fer2013.csv"
    path.write_text(csv_text(rows))
    keys = {"split_seed": 0, "on_bad_row": "error", "synthetic_rows": 140}
    found, splits = load(path=str(path), split="official", **keys)
    same(rows, found)
    assert [len(index) for index in splits.values()] == [50, 50, 50]
    drawn, splits = load(path="synthetic", split="stratified", **keys)
    assert len(drawn) == 140
    assert [len(index) for index in splits.values()] == [112, 14, 14]


def test_auto_is_official_as_far_as_there_is_one():
    whole = _labelled([0, 1] * 10, [0] * 16 + [1] * 2 + [2] * 2)
    for name, index in split(whole, "auto").items():
        np.testing.assert_array_equal(index, split(whole, "official")[name])
    none = dataclasses.replace(_labelled([0, 1] * 50), usage=None)
    for name, index in split(none, "auto", 3).items():
        np.testing.assert_array_equal(index, split(none, "stratified", 3)[name])


def test_auto_holds_validation_rows_out_where_there_are_none():
    rows = _labelled([0, 1, 2, 0] * 50, [0] * 160 + [2] * 40)
    found = split(rows, "auto", 1)
    _check_partition(found, 200)
    np.testing.assert_array_equal(found["test"], np.arange(160, 200))
    np.testing.assert_allclose(np.bincount(rows.labels[found["validation"]]), [8, 4, 4], atol=1)
    assert split(rows, "auto", 2)["validation"].tolist() != found["validation"].tolist()
    with pytest.raises(UserError, match="too few training rows"):
        split(_labelled([0, 1], [0, 2]), "auto")
