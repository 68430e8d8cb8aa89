"""What a search found, as files, a figure and a table for the terminal."""

import pathlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypedDict

from optuna.trial import FrozenTrial, TrialState

from ferjax.documents.aligned_text import to_text
from ferjax.documents.csv_columns import to_csv
from ferjax.documents.markdown import to_markdown
from ferjax.documents.table import Table
from ferjax.files import write_json, write_text
from ferjax.scores import SCORES
from ferjax.search.space import Point, name_keys
from ferjax.search.trials import Queue
from ferjax.workdir import FIGURES_FOLDER

_STATES: Mapping[TrialState, str] = MappingProxyType(
    {
        TrialState.COMPLETE: "finished",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "failed",
        TrialState.RUNNING: "running",
        TrialState.WAITING: "waiting",
    }
)


class Row(TypedDict):
    """One trial; scores are of the validation split, `share` is that of the most predicted class, in 0..1."""

    rank: int | None  # of the finished ones, from 1
    values: Point
    score: float | None  # of the best epoch
    best_epoch: int | None
    epochs: int
    state: str
    most_predicted: str | None
    share: float | None
    mistake: str | None
    folder: str
    scores: dict[str, float]  # by epoch


def create_rows(queue: Queue, metric: str) -> list[Row]:
    """List the trials by rank: finished, pruned, then the others; repeats of a point are left out."""
    rows = [_create_row(queue, trial, metric) for trial in queue.find_trials().values()]
    order = list(_STATES.values())
    rank = SCORES[metric].rank
    rows.sort(key=lambda row: (order.index(row["state"]), rank(row["score"] or 0.0)))
    for place, row in enumerate((row for row in rows if row["state"] == "finished"), start=1):
        row["rank"] = place
    return rows


def _create_row(queue: Queue, trial: FrozenTrial, metric: str) -> Row:
    point = queue.find_point(trial) or {}
    scores = trial.intermediate_values
    best = min(scores, key=lambda epoch: SCORES[metric].rank(scores[epoch]), default=None)
    return {
        "rank": None,
        "values": point,
        "score": trial.value if trial.state == TrialState.COMPLETE else scores.get(best) if best else None,
        "best_epoch": best,
        "epochs": max(scores, default=0),
        "state": _STATES[trial.state],
        "most_predicted": trial.user_attrs.get("most_predicted"),
        "share": trial.user_attrs.get("share"),
        "mistake": trial.user_attrs.get("mistake"),
        "folder": str(queue.find_folder(point).relative_to(queue.folder)),
        "scores": {str(epoch): score for epoch, score in sorted(scores.items())},
    }


def write_results(queue: Queue, metric: str) -> list[Row]:
    """Write search.json, search.csv and search.md, for one process at a time, and return the rows."""
    rows = create_rows(queue, metric)
    keys = list(rows[0]["values"]) if rows else []
    write_json(queue.folder / "search.json", {"metric": metric, "split": "validation", "keys": keys, "trials": rows})
    write_text(queue.folder / "search.csv", _to_csv(rows, metric))
    write_text(queue.folder / "search.md", _to_markdown(rows, metric))
    return rows


def _to_csv(rows: list[Row], metric: str) -> str:
    names = ("best_epoch", "epochs", "state", "most_predicted", "share", "mistake", "folder")
    columns: dict[str, list[Any]] = {"rank": [row["rank"] for row in rows]}
    columns |= {key: [row["values"][key] for row in rows] for key in (rows[0]["values"] if rows else ())}
    columns[metric] = [row["score"] for row in rows]
    columns |= {name: [row[name] for row in rows] for name in names}  # type: ignore[literal-required]
    for name in ("rank", "best_epoch"):  # pandas would print the whole numbers of a column with gaps as 1.0
        columns[name] = ["" if value is None else value for value in columns[name]]
    return to_csv(columns)


def _tabulate(rows: list[Row], metric: str, *, with_mistakes: bool) -> Table:
    """Tabulate the trials; `with_mistakes` adds, in the same cell, what went wrong with a failed one."""
    names = name_keys(rows[0]["values"] if rows else ())
    header = ("rank", *names.values(), f"validation {metric}", "best epoch", "epochs", "state", "predicts most")
    lines = []
    for row in rows:
        score = "-" if row["score"] is None else SCORES[metric].format(row["score"])
        most = "-" if row["share"] is None else f"{row['most_predicted']} {row['share']:.1%}"
        state = f"{row['state']}: {row['mistake']}" if with_mistakes and row["mistake"] else row["state"]
        rank, best = (str(value or "-") for value in (row["rank"], row["best_epoch"]))
        lines.append((rank, *map(str, row["values"].values()), score, best, str(row["epochs"]), state, most))
    return Table(header, tuple(lines))


def format_table(rows: list[Row], metric: str) -> str:
    """Write the table for the terminal; the sentences of failed trials follow it."""
    failed = [f"failed: {row['folder']}: {row['mistake']}" for row in rows if row["mistake"]]
    return "\n".join([to_text(_tabulate(rows, metric, with_mistakes=False)), *failed])


def _to_markdown(rows: list[Row], metric: str) -> str:
    said = "Scores are of the validation split, each at its best epoch."
    return f"# Search\n\n{said}\n\n{to_markdown(_tabulate(rows, metric, with_mistakes=True))}"


def draw(folder: pathlib.Path) -> pathlib.Path | None:
    """Draw figures/search.png from search.json, and return its path; None, with a warning, where that fails."""
    from ferjax.figures import forgiving, save
    from ferjax.figures.search import draw_search

    path = folder / FIGURES_FOLDER / "search.png"
    with forgiving(path.name):
        save(draw_search(folder), path)
        return path
    return None
