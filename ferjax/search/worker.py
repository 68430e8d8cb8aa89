"""One process of a search: takes trials from the queue, trains each as an ordinary run, and tells how it ended."""

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
from ferjax.files import replacing
from ferjax.interrupt import Interrupt, InterruptedRun
from ferjax.parallel import explain_memory
from ferjax.scores import SCORES
from ferjax.search.locks import hold
from ferjax.search.results import write_results
from ferjax.search.space import Space, apply_point, describe_space, format_point
from ferjax.search.trials import Claim, Queue, Rules
from ferjax.training import run as train
from ferjax.workdir import describe_data

logger = logging.getLogger("ferjax")


def open_search(config: ConfigDict, folder: pathlib.Path, space: Space, rules: Rules) -> tuple[ConfigDict, Queue]:
    """Make or open the search in `folder`; the config that its trials start from, and its queue.

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
        raise UserError(f"--workdir={folder} can't be written ({error.strerror}): name one that you own.") from error
    higher = SCORES[config.train.best_metric].higher_is_better
    return config, Queue(folder, space, rules, "maximize" if higher else "minimize")


def _describe(config: ConfigDict, space: Space, rules: Rules) -> dict[str, object]:
    """All that makes the scores of a search comparable; how many trials there are does not."""
    return {
        "config": json.loads(config.to_json()),
        # A run may go on to more steps, but trials of different lengths are not comparable.
        "steps": config.train.steps,
        "space": describe_space(space),
        "sampler": rules.sampler,
        "pruner": [rules.pruner, rules.startup_trials, rules.warmup_epochs] if rules.pruner != "none" else ["none"],
    }


def _check_description(path: pathlib.Path, description: dict[str, object]) -> None:
    """Write what the search is, or raise UserError, naming the differences, where it has been another one."""
    description = json.loads(json.dumps(description))
    if not path.exists():
        with replacing(path) as beside:
            beside.write_text(json.dumps(description, indent=1, sort_keys=True) + "\n", encoding="utf-8")
        return
    try:
        saved = json.loads(path.read_text(encoding="utf-8"))
        differences = find_differences(saved.pop("config"), description.pop("config"))  # type: ignore[arg-type]
        differences = find_differences(saved, description) | differences
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{path} can't be read ({error!r}): use another --workdir.") from error
    if differences:
        raise UserError(
            f"{path.parent} holds another search ({'; '.join(differences.values())}): use another --workdir."
        )


def work(config: ConfigDict, queue: Queue) -> None:
    """Train trials until none is left to take; `config` is what they start from.

    Raises UserError for a data set that can't be read or has changed, InterruptedRun after a signal.
    """
    if queue.is_complete():
        return
    _check_data(config, queue.folder)
    with Interrupt() as interrupt:
        interrupt.defer()
        while not interrupt and (claim := queue.claim()) is not None:
            logger.info("Trial %d: %s, in %s", claim.trial.number, format_point(claim.point), claim.folder)
            with claim.lease:
                _train(config, claim, queue)
            gc.collect()  # what the finished run had on the device, before the next one needs the room
            with hold(queue.lock):
                write_results(queue, config.train.best_metric)
        if interrupt.signum is not None:
            raise InterruptedRun(interrupt.signum, "Left between two trials. The same command goes on from there.")


def _check_data(config: ConfigDict, folder: pathlib.Path) -> None:
    """Raise UserError for what would fail every trial: data that can't be read, or other data than at first."""
    rows, splits = train.load_data(config)
    data.select(splits, "validation")
    digest = describe_data(config.data.path, rows, splits)["digest"]
    path = folder / "data_digest"
    with hold(folder / ".search.lock"):
        if not path.exists():
            with replacing(path) as beside:
                beside.write_text(digest, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != digest:
            raise UserError(
                f"{folder} was begun with other data than {config.data.path} holds now: use another --workdir."
            )


def _train(base: ConfigDict, claim: Claim, queue: Queue) -> None:
    """Train a trial from its run's last checkpoint where it has one, and tell the queue how it ended."""
    config, metric = apply_point(base, claim.point), base.train.best_metric
    # A resumed run tells only of new epochs; the pruner compares all of them.
    known = _read_validation(claim.folder / "metrics.jsonl", metric)
    for epoch, score in known.items():
        claim.trial.report(score, epoch)

    def on_epoch(epoch: int, scores: dict[str, float]) -> None:
        if epoch not in known:
            claim.trial.report(scores[metric], epoch)
        if claim.trial.should_prune():
            raise optuna.TrialPruned

    try:
        with explain_memory(config.train.batch_size):
            summary = train.run(config, claim.folder, on_epoch=on_epoch)
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
    scores = _read_validation(claim.folder / "metrics.jsonl", metric).values()
    # A run that train.steps ends within its first epoch has validated only at its end.
    best = min(scores, key=SCORES[metric].rank, default=summary[metric])  # type: ignore[literal-required]
    queue.finish(claim, TrialState.COMPLETE, best)
    logger.info("Trial %d: %s %.4f", claim.trial.number, metric, best)


def _read_validation(path: pathlib.Path, metric: str) -> dict[int, float]:
    """The score of every validated epoch that a run has logged; the half line of a killed one is passed over."""
    scores = {}
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
            if line["split"] == "validation":
                scores[int(line["epoch"])] = float(line[metric])
        except (ValueError, KeyError, TypeError):
            continue  # the run itself says, with the line's number, what is wrong with it
    return scores
