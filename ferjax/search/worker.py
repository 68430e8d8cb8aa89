"""One process of a search: it takes trials from the queue, trains each as an ordinary run, and records how it ended."""

import gc
import json
import logging
import pathlib

import numpy as np
import optuna
from ml_collections import ConfigDict
from optuna.trial import TrialState

from ferjax import data, report
from ferjax.config import find_differences
from ferjax.errors import UserError
from ferjax.files import read_json_lines, write_json, write_text
from ferjax.interrupt import Interrupt, InterruptedRun
from ferjax.locks import hold
from ferjax.parallel import explain_memory
from ferjax.scores import SCORES
from ferjax.search.pruning import Prune
from ferjax.search.results import write_results
from ferjax.search.space import Space, apply_point, describe_space, format_point
from ferjax.search.trials import Claim, Queue, Rules
from ferjax.training import run
from ferjax.workdir import METRICS_FILE, describe_data

logger = logging.getLogger("ferjax")


def open_search(config: ConfigDict, folder: pathlib.Path, space: Space, rules: Rules) -> tuple[ConfigDict, Queue]:
    """Make or open the search in `folder`, and return the config that its trials start from and its queue.

    Raises UserError for a config that reads the test split, and for a folder that holds something else.
    """
    if config.eval.split == "test":
        raise UserError("A search sees only the validation split: leave --config.eval.split=test out of it.")
    if config.train.seeds:
        raise UserError(
            "A search trains one seed a trial: leave --config.train.seeds empty, and name it as train.seed."
        )
    config = apply_point(config, {"eval.split": "validation"})
    if (folder / "checkpoints").exists():
        raise UserError(f"{folder} is the folder of a run: give the search a --workdir of its own.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with hold(folder / ".search.lock"):
            _check_description(folder / "description.json", _describe(config, space, rules))
    except PermissionError as error:
        raise UserError(f"--workdir={folder} cannot be written ({error.strerror}): name one that you own.") from error
    higher = SCORES[config.train.best_metric].higher_is_better
    return config, Queue(folder, space, rules, "maximize" if higher else "minimize")


def _describe(config: ConfigDict, space: Space, rules: Rules) -> dict[str, object]:
    """Describe everything that the scores of a search depend on; the number of trials does not count."""
    return {
        "config": json.loads(config.to_json()),
        # A run may go on to more steps, but trials of different lengths are not comparable.
        "steps": config.train.steps,
        "space": describe_space(space),
        "sampler": rules.sampler,
        "pruner": [rules.pruner, rules.startup_trials, rules.warmup_epochs] if rules.pruner != "none" else ["none"],
    }


def _check_description(path: pathlib.Path, description: dict[str, object]) -> None:
    """Write what the search is. Raises UserError, with the differences, where the folder holds another search."""
    description = json.loads(json.dumps(description))
    if not path.exists():
        write_json(path, description, sort_keys=True)
        return
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        differences = find_differences(saved.pop("config"), description.pop("config"))
        differences = find_differences(saved, description) | differences
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} cannot be read ({error!r}): use another --workdir.") from error
    if differences:
        raise UserError(
            f"{path.parent} holds another search ({'; '.join(differences.values())}): use another --workdir."
        )


def work(config: ConfigDict, queue: Queue) -> None:
    """Train trials until none is left to take; `config` is what they start from.

    Raises UserError for a data set that cannot be read or has changed, InterruptedRun after a signal.
    """
    if queue.is_complete():
        return
    _check_data(config, queue.folder)
    with Interrupt() as interrupt:
        interrupt.defer()
        while not interrupt and (claim := queue.claim()) is not None:
            logger.info("Trial %d: %s, in %s", claim.trial.number, format_point(claim.point), claim.folder)
            try:
                _train(config, claim, queue)
            finally:
                claim.lease.release()
            gc.collect()  # frees what the finished run had on the device before the next one needs the memory
            with hold(queue.lock):
                write_results(queue, config.train.best_metric)
        if interrupt.signum is not None:
            raise InterruptedRun(interrupt.signum, "Left between two trials. The same command goes on from there.")


def _check_data(config: ConfigDict, folder: pathlib.Path) -> None:
    """Raise UserError for what would make every trial fail: data that cannot be read, or other data than at first."""
    rows, splits = data.load(**config.data)
    data.select(splits, "validation")
    digest = describe_data(rows, splits)["digest"]
    path = folder / "data_digest"
    with hold(folder / ".search.lock"):
        if not path.exists():
            write_text(path, digest)
        elif path.read_text(encoding="utf-8") != digest:
            raise UserError(f"{folder} was begun with other data than {rows.source} holds now: use another --workdir.")


def _train(base: ConfigDict, claim: Claim, queue: Queue) -> None:
    """Train a trial, from the last checkpoint of its run where it has one, and record how it ended."""
    config, metric = apply_point(base, claim.point), base.train.best_metric
    known: dict[int, float] = {}

    try:
        # A resumed run reports only new epochs, but the pruner compares all of them.
        known |= _read_validation(claim.folder / METRICS_FILE, metric)
        for epoch, score in known.items():
            claim.trial.report(score, epoch)
        with explain_memory(config.train.batch_size):
            summary = run.run(config, claim.folder, hooks=[Prune(claim.trial, metric, known)])
    except optuna.TrialPruned:
        queue.finish(claim, TrialState.PRUNED)
        logger.info("Trial %d: pruned.", claim.trial.number)
        return
    except UserError as error:
        claim.trial.set_user_attr("mistake", str(error))
        queue.finish(claim, TrialState.FAIL)
        logger.warning("Trial %d failed, and the search goes on: %s", claim.trial.number, error)
        return
    report.write_report(claim.folder, summary)
    predicted = np.sum(summary["confusion"], axis=0)
    claim.trial.set_user_attr("most_predicted", list(summary["per_class"])[int(predicted.argmax())])
    claim.trial.set_user_attr("share", float(predicted.max() / predicted.sum()))
    scores = _read_validation(claim.folder / METRICS_FILE, metric).values()
    # A run that train.steps ends within its first epoch has validated only at its end.
    best = min(scores, key=SCORES[metric].rank, default=summary[metric])  # type: ignore[literal-required]
    queue.finish(claim, TrialState.COMPLETE, best)
    logger.info("Trial %d: %s %.4f", claim.trial.number, metric, best)


def _read_validation(path: pathlib.Path, metric: str) -> dict[int, float]:
    """Read the score of every validated epoch that a run has logged. Raises UserError for a broken line."""
    lines = read_json_lines(path, {"split": str, "epoch": float}) if path.exists() else []
    validated = [line for line in lines if line["split"] == "validation" and metric in line]
    return {int(line["epoch"]): float(line[metric]) for line in validated}
