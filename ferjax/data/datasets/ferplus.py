"""FER+: ten people's votes on every row of FER-2013, as majority labels or as soft targets (fer2013new.csv).

Barsoum et al. 2016, arXiv 1608.01041, with the rules of the code published beside the votes (FERPlus, src/ferplus.py,
modes 'majority' and 'crossentropy'). In one point this follows the paper, and the comment in that code, instead of what
that code computes: only rows for which 'unknown' or 'not a face' has the most votes are left out, whereas the published
comparison would leave out fear and contempt as well.
"""

import csv
import dataclasses
import types
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float64, Int64, UInt8

from ferjax import paths
from ferjax.data.datasets.fer2013 import EMOTIONS, USAGES
from ferjax.data.rows import UNLABELLED, Rows
from ferjax.data.splits import Splits
from ferjax.errors import UserError
from ferjax.keys import TEXT, Choice, Key, Keys

# The keys of FER-2013 that choose its labels.
KEYS: Keys = types.MappingProxyType(
    {
        "labels": Key(
            "fer2013",
            Choice(("fer2013", "ferplus_majority", "ferplus_distribution")),
            "whose labels: 'fer2013' the data set's own, 'ferplus_majority' the class that most of FER+'s "
            "ten voters chose, 'ferplus_distribution' the shares of their votes, as soft targets of training",
            resume="never",
        ),
        "ferplus_path": Key(
            "", TEXT, "where the file fer2013new.csv of FER+ is, which both kinds of FER+ labels need", resume="free"
        ),
    }
)

CLASSES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
VOTES = (*CLASSES, "unknown", "NF")
_COLUMNS = ("Usage", "Image name", *VOTES)
_UNKNOWN, _NOT_A_FACE = VOTES.index("unknown"), VOTES.index("NF")
# FER-2013's own names of FER+'s classes; contempt has none.
_SAME = {
    "neutral": "neutral",
    "happiness": "happy",
    "surprise": "surprise",
    "sadness": "sad",
    "anger": "angry",
    "disgust": "disgust",
    "fear": "fear",
}
# With the rows in the right order FER+'s majority is FER-2013's label on 68 % of them; shifted by one row, on 18 %.
_LEAST_AGREEMENT = 0.5


@dataclasses.dataclass(frozen=True)
class Table:
    """The rows of fer2013new.csv: votes in the order of VOTES; `named` is False where FER+ has no face's image."""

    usage: UInt8[np.ndarray, " n"]
    named: Bool[np.ndarray, " n"]
    votes: Int64[np.ndarray, "n 10"]


def relabel(rows: Rows, split: Callable[[Rows], Splits], *, labels: str, ferplus_path: str) -> tuple[Rows, Splits]:
    """Return FER-2013's rows under the labels that are asked for, and the splits of those that the labels' rule keeps.

    `labels` is 'fer2013' (the rows' own), 'ferplus_majority' or 'ferplus_distribution'. With the last one training rows
    have soft targets; validation and test are, as in the published code, the rows that have a majority, which is then
    their label and their target. A row that a rule leaves out stays in the rows but is in no split; it is UNLABELLED if
    every rule leaves it out. Raises UserError for a file that is missing or broken, that has another number of rows for
    a usage, or whose rows are in another order.
    """
    if labels == "fer2013":
        if ferplus_path:
            note = f"data.ferplus_path is not read, since data.labels is '{labels}'"
            rows = dataclasses.replace(rows, notes=(*rows.notes, note))
        return rows, split(rows)
    if not ferplus_path:
        raise UserError(f"data.labels is '{labels}', which needs FER+'s fer2013new.csv: give data.ferplus_path")
    table, notes = _align(rows, read_table(ferplus_path), ferplus_path)
    majority = take_majority(table.votes)
    _check_order(rows, majority, ferplus_path)
    shares = {"majority": majority}
    if labels == "ferplus_distribution":
        shares["distribution"] = take_distribution(table.votes)
    kept: dict[str, Bool[np.ndarray, " n"]] = {}
    own = np.full(len(rows), UNLABELLED, np.int32)
    for rule in ("distribution", "majority"):  # where there is a majority, its label counts
        if rule in shares:
            kept[rule] = table.named & (shares[rule][:, : len(CLASSES)].sum(axis=1) > 0)
            own[kept[rule]] = shares[rule][kept[rule]].argmax(axis=1)
            notes.append(
                _describe_left_out(rule, shares[rule], table.named, with_training="distribution" not in shares)
            )
    rows = dataclasses.replace(rows, labels=own, classes=CLASSES, notes=rows.notes + tuple(notes))
    found = split(rows)
    if "distribution" not in shares:
        return rows, found
    rules = {name: "distribution" if name == "train" else "majority" for name in found}
    found = {name: index[kept[rules[name]][index]] for name, index in found.items()}
    targets = np.zeros((len(rows), len(CLASSES)), np.float32)
    for name, index in found.items():
        targets[index] = shares[rules[name]][index, : len(CLASSES)]
    return dataclasses.replace(rows, targets=targets), found


def read_table(path: str) -> Table:
    """Read fer2013new.csv; raises UserError, with the line, for what is not as FER+ has it."""
    place = paths.parse(path)
    remedy = "download fer2013new.csv of FER+ (FERPlus) again"
    usage, named, votes = [], [], []
    try:
        with open(place, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            header = [name.strip().lower() for name in next(reader, [])]
            missing = [name for name in _COLUMNS if name.lower() not in header]
            if missing:
                raise UserError(f"{place} lacks the columns {', '.join(missing)} in its first line: {remedy}")
            at = [header.index(name.lower()) for name in _COLUMNS]
            for fields in reader:
                if not fields:
                    continue
                reason = _find_fault(fields, at, len(header))
                if reason:
                    raise UserError(f"{place}, line {reader.line_num}: {reason}; {remedy}")
                usage.append(USAGES.index(fields[at[0]].strip()))
                named.append(bool(fields[at[1]].strip()))
                votes.append([int(fields[i]) for i in at[2:]])
    except FileNotFoundError:
        raise UserError(
            f"There is no FER+ file at {place}: download fer2013new.csv of FER+ (FERPlus), and name it with "
            "data.ferplus_path=PATH"
        ) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{place} cannot be read as a csv ({error}): {remedy}") from None
    if not votes:
        raise UserError(f"{place} has a header but no rows: {remedy}")
    return Table(np.array(usage, np.uint8), np.array(named), np.array(votes, np.int64))


def take_majority(votes: Int64[np.ndarray, "n 10"]) -> Float64[np.ndarray, "n 10"]:
    """Return one-hot rows for what has more than half of a row's votes, single votes not counted; else zeros.

    Mode 'majority' of the published code, which calls a row without a majority unknown.
    """
    counted = np.where(votes <= 1, 0, votes)
    won = 2 * counted.max(axis=1) > counted.sum(axis=1)
    return np.where(won[:, None], np.eye(len(VOTES))[counted.argmax(axis=1)], 0.0)


def take_distribution(votes: Int64[np.ndarray, "n 10"]) -> Float64[np.ndarray, "n 10"]:
    """Return the shares of the votes for the emotions that the voters agree on: 1 in all, or zeros if they disagree.

    Mode 'crossentropy' of the published code: single votes are not counted; emotions are taken from the most voted one
    down, ties together, until three are taken, or three quarters of the votes, or until the next one is 'unknown' or
    'not a face', which are taken only if they come first. The voters disagree where half of the votes or fewer are
    taken, or more than three emotions.
    """
    left = np.where(votes <= 1, 0, votes)
    total = left.sum(axis=1)
    taken = np.zeros_like(left)
    reached, count = np.zeros(len(left), np.int64), np.zeros(len(left), np.int64)
    going = total > 0
    while (going := going & (4 * reached < 3 * total) & (count < 3)).any():
        most = left.max(axis=1)
        tied = (left == most[:, None]) & going[:, None]
        emotions = tied.copy()
        emotions[:, _UNKNOWN:] = False
        taken += emotions * most[:, None]
        count += emotions.sum(axis=1)
        reached += emotions.sum(axis=1) * most
        faceless = tied[:, _UNKNOWN:].any(axis=1)
        first = faceless & ~taken.any(axis=1)
        where = np.where(tied[:, _UNKNOWN], _UNKNOWN, _NOT_A_FACE)
        taken[first, where[first]] = most[first]
        going &= ~faceless
        left[tied] = 0
    agreed = (2 * taken.sum(axis=1) > total) & (count <= 3)
    return np.where(agreed[:, None], taken / np.maximum(taken.sum(axis=1, keepdims=True), 1), 0.0)


def _find_fault(fields: list[str], at: list[int], count: int) -> str:
    """Return the reason why a line is bad, or ''."""
    if len(fields) != count:
        return f"{len(fields)} {'field' if len(fields) == 1 else 'fields'} instead of {count}"
    if fields[at[0]].strip() not in USAGES:
        return f"Usage is '{fields[at[0]][:20]}' instead of {', '.join(USAGES[:-1])} or {USAGES[-1]}"
    for name, i in zip(VOTES, at[2:], strict=True):
        text = fields[i].strip()
        if not (text.isascii() and text.isdecimal() and len(text) < 4):
            return f"{name} is '{text[:20]}', not a number of votes"
    return ""


def _align(rows: Rows, table: Table, path: str) -> tuple[Table, list[str]]:
    """Put the table's rows into the order of `rows`, both in file order within each usage; note those left over."""
    order, notes = np.empty(len(rows), np.int64), []
    for code, usage in enumerate(USAGES):
        wanted, found = np.flatnonzero(rows.usage == code), np.flatnonzero(table.usage == code)
        if not len(wanted) and len(found):
            notes.append(f"left out FER+'s {len(found)} {usage} rows, which the data set lacks")
        elif len(wanted) != len(found):
            raise UserError(
                f"{path} has {len(found)} {usage} rows, and the data set {len(wanted)}: FER+ is matched row by row, so "
                "use a complete fer2013.csv with data.on_bad_row=error, and a complete fer2013new.csv"
            )
        else:
            order[wanted] = found
    return Table(table.usage[order], table.named[order], table.votes[order]), notes


def _check_order(rows: Rows, majority: Float64[np.ndarray, "n 10"], path: str) -> None:
    """Raise UserError for a usage in which FER+'s majority is too rarely FER-2013's own label."""
    own = np.array([EMOTIONS.index(_SAME[name]) if name in _SAME else UNLABELLED for name in VOTES])
    label = np.where(majority.any(axis=1), own[majority.argmax(axis=1)], UNLABELLED)
    for code, usage in enumerate(USAGES):
        told = (label != UNLABELLED) & (rows.usage == code)
        agreement = (label[told] == rows.labels[told]).mean() if told.any() else 1.0
        if agreement < _LEAST_AGREEMENT:
            raise UserError(
                f"{path} agrees with the data set's own labels on only {agreement:.0%} of the {usage} rows, where 68% "
                "is usual, so the rows are not in the same order: use fer2013.csv itself, since image folders rarely "
                "keep its order"
            )


def _describe_left_out(
    rule: str, shares: Float64[np.ndarray, "n 10"], named: Bool[np.ndarray, " n"], *, with_training: bool
) -> str:
    """Write the note that counts what a rule leaves out of the splits it is for."""
    best, agreed = shares.argmax(axis=1), shares.any(axis=1)
    faceless = ~named | (agreed & (best == _NOT_A_FACE))
    unknown = ~faceless & agreed & (best == _UNKNOWN)
    apart = ~faceless & ~agreed
    whose = "training" if rule == "distribution" else "every split" if with_training else "validation and test"
    total = int(faceless.sum() + unknown.sum() + apart.sum())
    return (
        f"FER+'s {rule} rule leaves {total} of {len(shares)} rows out of {whose}: {faceless.sum()} are not a face, "
        f"{unknown.sum()} are 'unknown', and on {apart.sum()} the voters do not agree"
    )
