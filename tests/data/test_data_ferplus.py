"""FER+'s rules against their plain reading vote by vote, and its rows put beside the data set's."""

import dataclasses

import numpy as np
import pytest

from ferjax.data import load, read, split
from ferjax.data.datasets import ferplus
from ferjax.data.datasets.fer2013 import FORM, USAGES
from ferjax.data.datasets.ferplus import CLASSES, VOTES, read_table, take_distribution, take_majority
from ferjax.data.rows import UNLABELLED
from ferjax.errors import UserError
from ferjax.parallel import create_layout, place
from ferjax.workdir import describe_data

OWN = (6, 3, 5, 4, 0, 1, 2)  # FER-2013's numbers of FER+'s first seven classes
HEADER = ",".join(["Usage", "Image name", *VOTES])


def judge(votes, rule):
    """A row's ten shares by the published rule, read literally; zeros where the voters do not agree."""
    votes = [0 if vote < 2 else vote for vote in votes]
    total = sum(votes)
    if rule == "majority":
        return [float(vote == max(votes)) if 2 * max(votes) > total else 0.0 for vote in votes]
    taken, reached, stop = {}, 0, False
    while reached < 0.75 * total and len(taken) < 3 and not stop:
        best = max(votes)
        for at in [i for i, vote in enumerate(votes) if vote == best]:
            votes[at] = 0
            if at >= len(CLASSES):
                stop = True
                if not taken:
                    taken[at] = best
                break
            taken[at] = best
            reached += best
    if 2 * sum(taken.values()) <= total or len(taken) > 3:
        return [0.0] * 10
    return [taken.get(at, 0) / sum(taken.values()) for at in range(10)]


@pytest.fixture(scope="module")
def ballots():
    """Votes of ten people a row, from unanimous to scattered, with ties of every kind."""
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.full(10, 0.25), 6000)
    votes = np.stack([random.multinomial(10, share) for share in shares])
    return np.concatenate([votes, np.zeros((1, 10), np.int64), np.eye(10, dtype=np.int64) * 9 + 1])


@pytest.mark.parametrize(("rule", "take"), [("majority", take_majority), ("distribution", take_distribution)])
def test_the_rule_equals_its_plain_reading(ballots, rule, take):
    expected = np.array([judge(votes.tolist(), rule) for votes in ballots])
    np.testing.assert_allclose(take(ballots), expected, atol=1e-12)
    left_out = expected[:, : len(CLASSES)].sum(axis=1) == 0
    assert 0.1 < left_out.mean() < 0.9
    assert expected[:, len(CLASSES) :].any(axis=0).all()  # 'unknown' and 'not a face' win now and then


@pytest.mark.parametrize(
    ("votes", "majority", "distribution"),
    [
        ((4, 0, 0, 1, 3, 2, 0, 0, 0, 0), None, {0: 4 / 7, 4: 3 / 7}),  # a lone vote does not count; 7 of 9 are enough
        ((4, 0, 3, 0, 0, 3, 0, 0, 0, 0), None, {0: 0.4, 2: 0.3, 5: 0.3}),
        ((6, 0, 1, 1, 0, 0, 0, 0, 2, 0), 0, {0: 1}),
        ((5, 0, 0, 5, 0, 0, 0, 0, 0, 0), None, {0: 0.5, 3: 0.5}),
        ((2, 2, 2, 2, 2, 0, 0, 0, 0, 0), None, None),  # more than three emotions
        ((5, 0, 0, 0, 0, 0, 0, 0, 5, 0), None, None),  # half, then 'unknown'
        ((3, 0, 0, 3, 0, 0, 0, 0, 4, 0), None, None),  # 'unknown' has the most
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 10), None, None),
        ((0, 0, 0, 0, 0, 0, 6, 4, 0, 0), 6, {6: 0.6, 7: 0.4}),  # fear and contempt stay
        ((1, 1, 1, 1, 1, 1, 1, 1, 1, 1), None, None),
    ],
)
def test_rows_by_hand(votes, majority, distribution):
    row = np.array([votes], np.int64)
    found = take_majority(row)[0, :8]
    assert (found.argmax() if found.any() else None) == majority
    found = take_distribution(row)[0, :8]
    assert {i: pytest.approx(share) for i, share in enumerate(found) if share} == (distribution or {})


@pytest.fixture
def labelled():
    """60 rows in every usage, votes to go with them, and what the rules make of the rows: number modulo 10.

    0: not a face, 1: nobody agrees, 2: contempt, 3: unknown, 4: torn between its class and neutral,
    5: a majority for its class over neutral, else agreed.
    """
    random = np.random.default_rng(1)
    n = 180
    usage = random.permutation(np.arange(n) % 3).astype(np.uint8)
    label = random.integers(1, 7, n)
    emotion = np.array(OWN, np.int32)[label]
    votes = np.zeros((n, 10), np.int64)
    votes[np.arange(n), label] = 9
    votes[:, 8] = 1
    kind = np.arange(n) % 10
    votes[kind == 0] = np.eye(10, dtype=np.int64)[9] * 10
    votes[kind == 1] = [2, 2, 2, 2, 2, 0, 0, 0, 0, 0]
    votes[kind == 2] = np.eye(10, dtype=np.int64)[7] * 10
    votes[kind == 3] = np.eye(10, dtype=np.int64)[8] * 10
    torn = np.flatnonzero(kind == 4)
    votes[torn] = 0
    votes[torn, label[torn]] = votes[torn, 0] = 5
    votes[kind == 5, 0] = 4
    votes[kind == 5, label[kind == 5]] = 6
    pixels = random.integers(0, 256, (n, 48, 48), dtype=np.uint8)
    return FORM.create_rows(pixels[..., None], emotion, usage), votes, label, kind


@pytest.fixture
def write(tmp_path):
    """Write fer2013new.csv as FER+ has it: in blocks by usage."""

    def table(usage, votes, name="fer2013new.csv", unnamed=()):
        lines = [HEADER]
        for code in range(3):
            for row in np.flatnonzero(usage == code):
                image = "" if votes[row, 9] == 10 or row in unnamed else f"fer{row:07d}.png"
                lines.append(",".join([USAGES[code], image, *map(str, votes[row])]))
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return str(path)

    return table


@pytest.fixture
def data_set(tmp_path, labelled, csv_text):
    (tmp_path / "fer2013.csv").write_text(csv_text(labelled[0]))
    return str(tmp_path / "fer2013.csv")


def load_with(path, **keys):
    return load(
        **{"path": path, "split": "official", "split_seed": 0, "on_bad_row": "error", "synthetic_rows": 70} | keys
    )


def test_majority_labels(data_set, labelled, write):
    raw, votes, label, kind = labelled
    path = write(raw.usage, votes, unnamed=(5,))  # row 5 has a majority but, without an image, no face
    rows, splits = load_with(data_set, labels="ferplus_majority", ferplus_path=path)
    np.testing.assert_array_equal(rows.images, raw.images)  # rows keep their numbers
    assert rows.classes == CLASSES
    assert rows.targets is None
    kept = (kind == 2) | (kind > 4)
    kept[5] = False
    np.testing.assert_array_equal(rows.labels, np.where(kept, np.where(kind == 2, 7, label), UNLABELLED))
    for code, index in enumerate(splits.values()):
        np.testing.assert_array_equal(index, np.flatnonzero(kept & (raw.usage == code)))
    assert rows.notes[-1] == (
        "FER+'s majority rule leaves 73 of 180 rows out of every split: 19 are not a face, 18 are 'unknown', and on 36 "
        "the voters do not agree"
    )
    about = describe_data(rows, splits)
    assert about["classes"] == list(CLASSES)
    assert about["counts"]["train"] == np.bincount(rows.labels[splits["train"]]).tolist()
    without = describe_data(rows, {**splits, "train": splits["train"][:0]})
    assert without["counts"]["train"] == [0] * 8
    assert read(data_set).labels.tolist() == raw.labels.tolist()  # the cache keeps the file's own labels


@pytest.mark.parametrize("split", ["official", "stratified"])
def test_distribution_for_training_and_majority_for_the_rest(data_set, labelled, write, split):
    raw, votes, label, kind = labelled
    path = write(raw.usage, votes)
    rows, splits = load_with(data_set, labels="ferplus_distribution", ferplus_path=path, split=split)
    torn, agreed = kind == 4, (kind == 2) | (kind > 4)
    every = np.concatenate(list(splits.values()))
    assert len(np.unique(every)) == len(every)
    assert (torn | agreed)[splits["train"]].all()
    assert torn[splits["train"]].any()
    for name in ("validation", "test"):
        assert agreed[splits[name]].all()
        np.testing.assert_array_equal(rows.targets[splits[name]], np.eye(8)[rows.labels[splits[name]]])
    for row in splits["train"]:
        shares = {2: {7: 1.0}, 4: {0: 0.5, label[row]: 0.5}, 5: {0: 0.4, label[row]: 0.6}}
        expected = shares.get(kind[row], {label[row]: 1.0})
        assert {i: pytest.approx(share) for i, share in enumerate(rows.targets[row]) if share} == expected
    np.testing.assert_array_equal(rows.labels[splits["train"]], rows.targets[splits["train"]].argmax(axis=1))
    assert not rows.targets[np.setdiff1d(np.arange(180), every)].any()
    if split == "official":
        assert len(splits["train"]) == ((torn | agreed) & (raw.usage == 0)).sum()
    else:
        assert len(splits["test"]) + len(splits["validation"]) + len(splits["train"]) >= (torn | agreed).sum() - 18
    assert "distribution rule leaves 54 of 180 rows out of training: 18" in rows.notes[-2]
    assert "majority rule leaves 72 of 180 rows out of validation and test: 18" in rows.notes[-1]
    resident = place(rows, splits["train"], create_layout("mesh", 1))
    np.testing.assert_array_equal(resident.targets, rows.targets[splits["train"]])
    other = dataclasses.replace(rows, targets=rows.targets * np.float32(0.5))
    assert describe_data(rows, splits)["digest"] != describe_data(other, splits)["digest"]


def test_stratified_majority_splits_the_labelled_rows(data_set, labelled, write):
    raw, votes, _, kind = labelled
    path = write(raw.usage, votes)
    rows, splits = load_with(data_set, labels="ferplus_majority", ferplus_path=path, split="stratified")
    every = np.sort(np.concatenate(list(splits.values())))
    np.testing.assert_array_equal(every, np.flatnonzero((kind == 2) | (kind > 4)))
    held = np.bincount(rows.labels[splits["test"]], minlength=8)
    assert (np.abs(held - np.bincount(rows.labels[every], minlength=8) / 10) < 1).all()


def test_dedup_is_by_the_splits_of_the_kept_rows(tmp_path, labelled, csv_text, write):
    raw, votes, _, kind = labelled
    train = np.flatnonzero((raw.usage == 0) & (kind > 5))
    pixels = raw.images.copy()
    pixels[train[0]] = pixels[np.flatnonzero((raw.usage == 1) & (kind > 5))[0]]
    pixels[train[1]] = pixels[np.flatnonzero((raw.usage == 1) & (kind == 0))[0]]  # held out, but by FER+ not a face
    path = tmp_path / "copies.csv"
    path.write_text(csv_text(dataclasses.replace(raw, images=pixels)))
    keys = {"labels": "ferplus_majority", "ferplus_path": write(raw.usage, votes)}
    before, after = (load_with(str(path), dedup=dedup, **keys)[1]["train"] for dedup in ("none", "exact"))
    np.testing.assert_array_equal(np.setdiff1d(before, after), train[:1])


def test_a_data_set_without_private_test(tmp_path, labelled, csv_text, lines, write):
    raw, votes, _, _ = labelled
    path = tmp_path / "two.csv"
    text = csv_text(raw).splitlines()
    path.write_text("\n".join(line for line in text if "PrivateTest" not in line))
    rows, splits = load_with(str(path), labels="ferplus_majority", ferplus_path=write(raw.usage, votes))
    assert len(rows) == 120
    assert len(splits["test"]) == 0
    assert "left out FER+'s 60 PrivateTest rows, which the data set lacks" in rows.notes
    both = raw.usage < 2
    whole = load_with(
        write_csv(tmp_path, raw, csv_text), labels="ferplus_majority", ferplus_path=write(raw.usage, votes)
    )
    np.testing.assert_array_equal(rows.labels, whole[0].labels[both])


def write_csv(folder, rows, csv_text):
    (folder / "whole.csv").write_text(csv_text(rows))
    return str(folder / "whole.csv")


def test_an_image_folder_numbered_as_the_csv(tmp_path, labelled, image_files, write_tree, write):
    raw, votes, _, _ = labelled
    folder = write_tree(tmp_path / "faces", image_files(raw))
    path = write(raw.usage, votes)
    expected = ferplus.relabel(raw, split, labels="ferplus_majority", ferplus_path=path)[0]
    rows, _ = load_with(str(folder), labels="ferplus_majority", ferplus_path=path)
    np.testing.assert_array_equal(rows.labels, expected.labels)


def _error(path, **keys):
    with pytest.raises(UserError) as caught:
        load_with(path, **{"labels": "ferplus_majority"} | keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_that_do_not_match_are_refused(data_set, labelled, write):
    raw, votes, _, _ = labelled
    path = write(raw.usage, np.roll(votes, 1, axis=0))
    assert f"{path} agrees with the data set's own labels on only " in (said := _error(data_set, ferplus_path=path))
    assert "of the Training rows, where 68% is usual, so the rows are not in the same order" in said
    shuffled = votes.copy()
    test = np.flatnonzero(raw.usage == 2)
    shuffled[test] = votes[np.random.default_rng(0).permutation(test)]
    assert "of the PrivateTest rows" in _error(data_set, ferplus_path=write(raw.usage, shuffled))
    path = write(raw.usage[1:], votes[1:])
    said = _error(data_set, ferplus_path=path)
    assert f"{path} has 59 {USAGES[raw.usage[0]]} rows, and the data set 60" in said
    assert "data.on_bad_row=error" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: [lines[0].replace("NF", "nobody"), *lines[1:]], "lacks the columns NF in its first line"),
        (lambda lines: ["<html>"], "lacks the columns Usage, Image name, neutral,"),
        (lambda lines: [], "lacks the columns Usage,"),
        (lambda lines: lines[:1], "has a header but no rows"),
        (lambda lines: [*lines[:3], lines[3] + ",1"], "line 4: 13 fields instead of 12"),
        (
            lambda lines: [*lines[:2], "Test" + lines[2][8:]],
            "line 3: Usage is 'Test' instead of Training, PublicTest or",
        ),
        (lambda lines: [lines[0], "Training,a.png,x" + ",1" * 9], "line 2: neutral is 'x', not a number of votes"),
        (lambda lines: [lines[0], "Training,a.png" + ",1" * 9 + ",-1"], "line 2: NF is '-1', not a number of votes"),
        (lambda lines: [lines[0], "Training,a.png" + ",1" * 9 + ",1.5"], "line 2: NF is '1.5', not a number of votes"),
        (lambda lines: ["\0", "\xff"], "lacks the columns"),
    ],
)
def test_a_broken_csv_is_one_sentence(data_set, labelled, write, change, said):
    path = write(labelled[0].usage, labelled[1])
    with open(path) as file:
        text = file.read().splitlines()
    with open(path, "w") as file:
        file.write("\n".join(change(text)))
    found = _error(data_set, ferplus_path=path)
    assert found.startswith(path)
    assert said in found
    assert "download fer2013new.csv" in found


def test_bytes_that_are_no_text(tmp_path, data_set):
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    assert "cannot be read as a csv" in _error(data_set, ferplus_path=str(tmp_path / "image.png"))
    assert "cannot be read as a csv" in _error(data_set, ferplus_path=str(tmp_path))


def test_columns_in_any_order_quotes_and_blank_lines(tmp_path, labelled, write):
    plain = read_table(write(labelled[0].usage, labelled[1]))
    with open(write(labelled[0].usage, labelled[1])) as file:
        lines = [line.strip().split(",")[::-1] for line in file]
    (tmp_path / "other.csv").write_text("\ufeff" + "\r\n\r\n".join(",".join(f'"{f}"' for f in line) for line in lines))
    other = read_table(str(tmp_path / "other.csv"))
    for field in dataclasses.fields(plain):
        np.testing.assert_array_equal(getattr(plain, field.name), getattr(other, field.name))


def test_keys_that_do_not_go_together(data_set, labelled, write):
    assert "needs FER+'s fer2013new.csv: give data.ferplus_path" in _error(data_set)
    assert "There is no FER+ file at nowhere.csv" in _error(data_set, ferplus_path="nowhere.csv")
    assert "nobody voted on drawn faces" in _error("synthetic", ferplus_path="nowhere.csv")
    assert "data.labels='votes' is out of range: it must be 'fer2013', 'ferplus_majority'" in _error(
        data_set, labels="votes"
    )
    rows, _ = load_with(data_set, ferplus_path="nowhere.csv")
    assert "data.ferplus_path is not read, since data.labels is 'fer2013'" in rows.notes
    np.testing.assert_array_equal(rows.labels, labelled[0].labels)
