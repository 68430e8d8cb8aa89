"""Several networks that answer together: means of their probabilities, beside what each of them answers alone."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int

from ferjax import report
from ferjax.documents.aligned_text import to_text
from ferjax.documents.markdown import to_markdown
from ferjax.documents.table import Table
from ferjax.errors import UserError
from ferjax.evaluation import Evaluation, evaluate
from ferjax.files import write_json, write_text
from ferjax.network import load
from ferjax.scores.calibration import calibrate
from ferjax.scores.folds import split_folds

FILES = ("ensemble.md", "ensemble.json")

Labels = Int[np.ndarray, " n"]
Members = Float64[np.ndarray, "m n k"]
Probabilities = Float64[np.ndarray, "n k"]
Weights = Float64[np.ndarray, " m"]


@dataclasses.dataclass(frozen=True)
class Mean:
    """A way to make one distribution of several, and how its weights are fitted to answers with known labels."""

    combine: Callable[[Members, Weights], Probabilities]
    fit: Callable[[Members, Labels], Weights]


def _combine_arithmetic(members: Members, weights: Weights) -> Probabilities:
    """Return the weighted mean of the members' probabilities."""
    return np.tensordot(weights, members, 1)


def _fit_arithmetic(members: Members, labels: Labels) -> Weights:
    """Return the weights, which sum to 1, of the least mean negative log-likelihood, by expectation maximisation."""
    of_truth = members[:, np.arange(len(labels)), labels]
    weights = np.full(len(members), 1 / len(members))
    for _ in range(500):
        shares = weights[:, None] * of_truth
        weights = (shares / shares.sum(0)).mean(1)
    return weights


def _combine_geometric(members: Members, weights: Weights) -> Probabilities:
    """Return the softmax of the weighted sum of the members' log probabilities (Hinton 1999, products of experts)."""
    logits = np.tensordot(weights, np.log(members), 1)
    powers = np.exp(logits - logits.max(1, keepdims=True))
    total: Probabilities = powers / powers.sum(1, keepdims=True)
    return total


def _fit_geometric(members: Members, labels: Labels) -> Weights:
    """Return the weights, none below 0, of the least mean negative log-likelihood, in which it is convex.

    Their sum is a temperature's inverse, so that the mean is calibrated too.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    logs = np.log(members)
    rows = np.arange(len(labels))

    def find_loss(weights: Weights) -> tuple[float, Weights]:
        combined = _combine_geometric(members, weights)
        loss = -float(np.log(combined[rows, labels]).mean())
        return loss, (combined * logs).sum(2).mean(1) - logs[:, rows, labels].mean(1)

    start = np.full(len(members), 1 / len(members))
    found = minimize(find_loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(members))
    weights: Weights = found.x
    return weights


MEANS: Mapping[str, Mean] = MappingProxyType(
    {
        "arithmetic": Mean(_combine_arithmetic, _fit_arithmetic),
        "geometric": Mean(_combine_geometric, _fit_geometric),
    }
)


@dataclasses.dataclass(frozen=True)
class Row:
    """A member alone, or a mean with its weights, and its scores: shares in 0..1, the loss in nats."""

    name: str
    weights: tuple[float, ...]
    accuracy: float
    macro_f1: float
    loss: float
    calibration_error: float


@dataclasses.dataclass(frozen=True)
class Ensemble:
    """What several networks answer for one split: each alone, and every mean, with equal and with fitted weights.

    `together` is the arithmetic mean with equal weights, for which nothing was fitted. `note` says to which images the
    other means' weights were fitted.
    """

    together: Evaluation
    rows: tuple[Row, ...]
    note: str

    def tabulate(self) -> Table:
        """Return the table of all rows, shares in percent."""
        cells = tuple(
            (
                row.name,
                *(f"{100 * share:.2f}" for share in (row.accuracy, row.macro_f1)),
                f"{row.loss:.4f}",
                f"{100 * row.calibration_error:.2f}",
                " ".join(f"{weight:.2f}" for weight in row.weights),
            )
            for row in self.rows
        )
        header = ("network", "accuracy %", "macro F1 %", "NLL", "ECE %", "weights")
        return Table(header, cells, words=("network", "weights"))

    def describe(self) -> str:
        """Return the table and the note as text for the terminal."""
        n, split = len(self.together.labels), self.together.split
        return f"{split} split, {n:,} images\n\n{to_text(self.tabulate())}\n\n{self.note}"

    def write(self, folder: pathlib.Path) -> None:
        """Write ensemble.md, ensemble.json, and what `together` writes: predictions.csv and the report's files."""
        self.together.write(folder)
        lead = f"{len(self.together.labels):,} images of the {self.together.split} split. {self.note}"
        write_text(folder / FILES[0], f"# An ensemble\n\n{lead}\n\n{to_markdown(self.tabulate())}\n")
        rows = [dataclasses.asdict(row) for row in self.rows]
        write_json(folder / FILES[1], {"split": self.together.split, "note": self.note, "rows": rows}, indent=2)


def create_ensemble(
    paths: Sequence[str | pathlib.Path],
    data_options: Mapping[str, Any] | None = None,
    *,
    split: str = "auto",
    views: str | None = None,
) -> Ensemble:
    """Score the networks at `paths`, which `load` finds there, alone and together; the options are those of `evaluate`.

    The fitted weights have the least negative log-likelihood on the validation split of each network's own run. Where
    that is the split that is scored, they are cross-fitted: each fifth of the images is answered with the weights of
    the others. Raises UserError for fewer than two networks, and for networks that cannot answer for the same images.
    """
    if len(paths) < 2:
        raise UserError("An ensemble has at least two networks: name the folders of two runs or more.")
    scored = [evaluate(load(path), data_options, split=split, views=views) for path in paths]
    for path, other in zip(paths, scored, strict=True):
        _check_same(scored[0], other, paths[0], path)
    first, members = scored[0], _stack(scored)
    is_validation = first.split == "validation" and not data_options
    chosen = scored if is_validation else [evaluate(path, split="validation", views=views) for path in paths]
    for path, other in zip(paths, chosen, strict=True):
        _check_same(chosen[0], other, paths[0], path)
    alone = [_score(first, str(path), own, np.ones(1)) for path, own in zip(paths, members, strict=True)]
    equal = np.full(len(paths), 1 / len(paths))
    means = [
        _score(first, f"{name} mean, equal weights", mean.combine(members, equal), equal)
        for name, mean in MEANS.items()
    ]
    for name, mean in MEANS.items():
        weights = mean.fit(_stack(chosen), chosen[0].labels)
        answers = _cross_fit(mean, members, first.labels) if is_validation else mean.combine(members, weights)
        means.append(_score(first, f"{name} mean, fitted weights", answers, weights))
    where = f"{len(chosen[0].labels):,} images of the validation split"
    how = (
        f"Weights were fitted to the {where} itself; each fifth of them is scored with the weights of the others."
        if is_validation
        else f"Weights were fitted to {where}."
    )
    answers = MEANS["arithmetic"].combine(members, equal).astype(np.float32)
    scores = report.create_report(first.labels, answers, first.split, classes=first.classes)
    together = dataclasses.replace(first, probabilities=answers, report=scores)
    return Ensemble(together, (*alone, *means), how)


def _stack(scored: Sequence[Evaluation]) -> Members:
    """Return the probabilities of every network, kept above 0 so that their logarithms are finite."""
    least = np.finfo(np.float32).tiny
    return np.maximum(np.stack([one.probabilities for one in scored]).astype(np.float64), least)


def _check_same(one: Evaluation, other: Evaluation, path: object, other_path: object) -> None:
    same = one.classes == other.classes and one.split == other.split and np.array_equal(one.row, other.row)
    if not same or not np.array_equal(one.labels, other.labels):
        raise UserError(
            f"{other_path} answers for other images or classes than {path}: name runs on one data set, or other data "
            "as --data.path."
        )


def _cross_fit(mean: Mean, members: Members, labels: Labels) -> Probabilities:
    """Answer each fifth of the images with the weights that the others gave."""
    answers = np.empty(members.shape[1:])
    for others, own in split_folds(len(labels)):
        rest = others if others.any() else own
        answers[own] = mean.combine(members[:, own], mean.fit(members[:, rest], labels[rest]))
    return answers


def _score(scored: Evaluation, name: str, answers: Float[np.ndarray, "n k"], weights: Weights) -> Row:
    scores = report.create_report(scored.labels, answers, scored.split, classes=scored.classes)
    return Row(
        name=name,
        weights=tuple(weights.tolist()) if len(weights) > 1 else (),
        accuracy=scores["accuracy"],
        macro_f1=scores["macro_f1"],
        loss=scores["loss"],
        calibration_error=calibrate(scored.labels, answers).error,
    )
