"""The model card, README.md of an exported folder: Mitchell et al. 2019, Model Cards for Model Reporting, FAT* '19."""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import yaml

import ferjax
from ferjax.data.datasets import DATASETS
from ferjax.documents.markdown import escape_markdown, to_markdown
from ferjax.documents.table import Table
from ferjax.documents.words import count
from ferjax.export import card_texts
from ferjax.export.format import Exported
from ferjax.export.measured import Measured
from ferjax.networks import saved
from ferjax.networks.weights import own_network
from ferjax.report import standard_error

NO_LICENCE = "not-chosen"
# With fewer, a temperature and a threshold are mostly chance.
_FEW_IMAGES = 200
# So many classes that share a place are named; of more it is enough how many they are.
_MOST_NAMED = 3


def create_card(
    measured: Measured, exported: Exported, *, name: str, licence: str, files: Sequence[str], data_licence: str = ""
) -> str:
    """Write the card of a run's network.

    `name` is what the model is called, `licence` the identifier that model hubs have for the terms of the weights
    (NO_LICENCE leaves that open), `files` what lies beside the card, and `data_licence` the terms of the images, where
    they are other than the data set's.
    """
    sections = [
        f"---\n{yaml.safe_dump(_describe(measured, name, licence), sort_keys=False, allow_unicode=True)}---",
        f"# {escape_markdown(name)}",
        _introduce(measured, exported),
        "## Use",
        card_texts.use(exported, files),
        "## What it is for, and what not",
        card_texts.INTENDED_USE,
        "## Data",
        _tell_data(measured),
        "## Scores",
        _tell_scores(measured, exported),
        "## Where it errs: by class",
        _tell_classes(measured),
        "## Calibration",
        _tell_calibration(measured),
        "## Limits",
        card_texts.limits(exported),
        "## Law",
        card_texts.LAW,
        "## Licences",
        _tell_licences(measured, licence, data_licence),
        "## How it was trained",
        _tell_training(measured),
    ]
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


def _describe(measured: Measured, name: str, licence: str) -> dict[str, Any]:
    """Return the card's metadata in the names that model hubs read."""
    found, data_name = measured.report, measured.data_set
    metrics = [
        {"type": "accuracy", "name": "Accuracy", "value": round(found["accuracy"], 4)},
        {"type": "f1", "name": "Macro F1", "value": round(found["macro_f1"], 4)},
    ]
    result = {
        "task": {"type": "image-classification", "name": "Facial expression classification"},
        "dataset": {"type": data_name, "name": data_name, "split": found["split"]},
        "metrics": metrics,
    }
    terms = {"license": licence} if licence != NO_LICENCE else {"license": "other", "license_name": NO_LICENCE}
    return {
        **terms,
        "library_name": "ferjax",
        "pipeline_tag": "image-classification",
        "tags": [
            "facial-expression-recognition",
            "image-classification",
            "jax",
            "flax",
            str(measured.config["model.name"]),
        ],
        **({"datasets": [data_name]} if data_name != "folder" else {}),
        "metrics": ["accuracy", "f1"],
        "model-index": [{"name": name, "results": [result]}],
    }


def _introduce(measured: Measured, exported: Exported) -> str:
    network, found = exported.network, measured.report
    height, width, channels = network.image_shape
    parameters = network.count_parameters()
    return (
        f"A {measured.config['model.name']} network of {parameters / 1e6:.2f} M parameters that gives a picture of one "
        f"face ({height}x{width} pixels, {'gray' if channels == 1 else 'colour'}) a probability for each of "
        f"{len(network.classes)} expressions: {', '.join(map(escape_markdown, network.classes))}. On the "
        f"{found['split']} split its accuracy is {found['accuracy']:.1%} ± {standard_error(found):.1%} (standard error "
        f"of {found['n']:,} images) and its macro F1 {found['macro_f1']:.1%}. Written by ferjax {ferjax.__version__} "
        "from the run's own files; no number on this page was typed."
    )


def _tell_data(measured: Measured) -> str:
    data, found = measured.data, measured.report
    counts = {split: numbers for split, numbers in data["counts"].items() if sum(numbers)}
    rows = [(name, *(f"{numbers[i]:,}" for numbers in counts.values())) for i, name in enumerate(data["classes"])]
    rows.append(("all", *(f"{sum(numbers):,}" for numbers in counts.values())))
    table = to_markdown(Table(("images", *counts), tuple(rows), words=("images",)))
    copies = {split: len(index) for split, index in data["copies"].items() if split in counts}
    leaked = ", ".join(f"{count:,} of {sum(counts[split]):,} in {split}" for split, count in copies.items())
    rest = found["without_copies"]
    lines = [
        f"Data set: {escape_markdown(measured.data_set)} (`{pathlib.Path(data['path']).name}`), split: "
        f"{measured.config['data.split']}, labels: {_name_labels(measured)}, SHA-256 of the rows and their split: "
        f"`{data['digest'][:16]}...`.",
        "",
        table,
        f"Leaked copies, images that training holds too, pixel for pixel: {leaked or 'none were looked for'}.",
    ]
    if rest is not None and rest["n"] != found["n"]:
        lines.append(
            f"Without them the accuracy is {rest['accuracy']:.1%} and the macro F1 {rest['macro_f1']:.1%}, of "
            f"{rest['n']:,} images. Near copies, such as another crop of the same photograph, still count."
        )
    lines += [f"Left out as unreadable: {count(len(data['skipped']), 'row')}."] if data["skipped"] else []
    return "\n".join(lines)


def _keeps_last(measured: Measured) -> bool:
    return bool(measured.config.get("eval.epoch") == "last")


def _name_labels(measured: Measured) -> str:
    """Say whose labels the network learnt: the key's value only where the data set reads that key."""
    data_set = DATASETS.get(measured.data_set)
    return ("its own" if data_set is None else data_set.labels) or str(measured.config["data.labels"])


def _tell_scores(measured: Measured, exported: Exported) -> str:
    found, views = cast(Mapping[str, Any], measured.report), str(measured.config["eval.views"])
    lines = [f"Measured on the {found['split']} split, which has {found['n']:,} images."]
    if found["split"] == "validation":
        chosen = (
            "the settings, if any were searched for"
            if _keeps_last(measured)
            else "the epoch, and the settings in a search"
        )
        lines.append(
            f"**The validation split also chose {chosen}: the scores are a little too good.** There was no test split."
        )
    if views != exported.views:
        lines.append(
            f"They are of the mean over the test-time views '{views}' of each image; the files here look at each image "
            f"with the views '{exported.views}', and their scores differ a little."
        )
    if measured.repeats is None:
        lines.append(
            f"One run, with seed {measured.config['train.seed']}: how much another seed would change was not measured "
            "with it."
        )
    else:
        repeats = measured.repeats
        lines.append(
            f"This run has seed {measured.config['train.seed']}. Over the seeds {', '.join(map(str, repeats.seeds))} "
            f"the accuracy is {repeats.describe(repeats.accuracy)} and the macro F1 "
            f"{repeats.describe(repeats.macro_f1)} (mean ± standard deviation)."
        )
    names = ("macro_precision", "macro_recall", "weighted_f1", "loss")
    table = Table(
        ("score", "value"),
        (
            ("accuracy", f"{found['accuracy']:.2%}"),
            ("macro F1", f"{found['macro_f1']:.2%}"),
            *((name.replace("_", " "), f"{found[name]:.4f}") for name in names),
        ),
        words=("score",),
    )
    return "\n".join([*lines, "", to_markdown(table)])


def _tell_classes(measured: Measured) -> str:
    found = measured.report
    confusion = np.asarray(found["confusion"], np.float64)
    rates = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    names, trained = list(found["per_class"]), measured.data["counts"]["train"]
    rows = []
    for i, (name, scores) in enumerate(found["per_class"].items()):
        wrong = np.where(np.arange(len(names)) == i, 0.0, rates[i])
        shares = (f"{scores[key]:.1%}" for key in ("precision", "recall", "f1"))
        rows.append((name, *shares, f"{scores['support']:,}", f"{trained[i]:,}", _name_taken(names, wrong)))
    header = ("class", "precision", "recall", "F1", "images", "trained on", "most often taken for")
    recall = {name: scores["recall"] for name, scores in found["per_class"].items() if scores["support"]}
    answered = confusion.sum(axis=0)
    never = [name for name, count in zip(names, answered, strict=True) if not count]
    lines = [
        to_markdown(Table(header, tuple(rows), words=("class", "most often taken for"))),
        f"{_compare_recall(recall)} {_compare_sizes(dict(zip(names, trained, strict=True)))}",
        *([f"It never answered {_join(never)}."] if never else []),
        "",
        card_texts.UNMEASURED_BIAS,
    ]
    return "\n".join(lines)


def _name_taken(names: Sequence[str], wrong: np.ndarray) -> str:
    """Name the classes that most of a class's images were wrongly taken for; `wrong` are the shares of each."""
    most = float(wrong.max())
    if not most:
        return "none"
    tied = [name for name, share in zip(names, wrong, strict=True) if share == most]
    share = f"{most:.0%}" if most >= 0.005 else "under 1%"
    return f"{' or '.join(tied)} {share}" if len(tied) <= _MOST_NAMED else f"{len(tied)} classes, {share} each"


def _compare_recall(recall: Mapping[str, float]) -> str:
    """Say which classes are found most and least often, of those that have images; classes may share a place."""
    best, worst = max(recall.values()), min(recall.values())
    if best == worst:
        return f"It finds each class equally often ({best:.1%} of its images)."
    first, last = ([name for name, value in recall.items() if value == place] for place in (best, worst))
    return (
        f"It finds {_join(first)} most often ({best:.1%} of {'its' if len(first) == 1 else 'their'} images) and "
        f"{_join(last)} least often ({worst:.1%})."
    )


def _compare_sizes(trained: Mapping[str, int]) -> str:
    """Say which classes have the fewest training images."""
    fewest = min(trained.values())
    if fewest == max(trained.values()):
        return f"Each class has {fewest:,} training images."
    rarest = [name for name, images in trained.items() if images == fewest]
    share = f"{fewest / sum(trained.values()):.1%} of them"
    if len(rarest) == 1:
        return f"The class with the fewest training images is {_join(rarest)} ({share})."
    return f"The classes with the fewest training images are {_join(rarest)} ({share} each)."


def _join(names: Sequence[str]) -> str:
    """Write names as a sentence has them: 'angry', 'angry and sad', 'angry, fear and sad'; of many only the number."""
    if len(names) > _MOST_NAMED:
        return f"{len(names)} classes"
    *first, last = map(escape_markdown, names)
    return f"{', '.join(first)} and {last}" if first else last


def _tell_calibration(measured: Measured) -> str:
    fit, split = measured.calibration, measured.report["split"]
    unsure = "No confidence was found below which most answers were wrong."
    if fit["unsure_below"] > 0:
        unsure = (
            f"Answers with a confidence below {fit['unsure_below']:.2f} were wrong at least every second time: take "
            "them as unsure."
        )
    few = " So few images tell little of how sure the answers should be." if fit["n"] < _FEW_IMAGES else ""
    return (
        f"The files here divide the logits by a temperature of {fit['temperature']:.3f} (Guo et al. 2017), fitted to "
        f"the {fit['n']:,} images of {fit['split']}. Expected calibration error, 15 bins: {fit['error_before']:.1%} "
        f"without it and {fit['error_after']:.1%} with it on {fit['split']}, each fifth of the images scaled by what "
        f"the others gave; {measured.error_before:.1%} and {measured.error_after:.1%} on all of {split}. {unsure}{few}"
    )


def _tell_licences(measured: Measured, licence: str, data_licence: str) -> str:
    data_set = DATASETS.get(measured.data_set)
    unknown = "ferjax does not know the terms of this data set: ask who published it."
    of_data = data_licence or (data_set.licence if data_set else "") or unknown
    weights = (
        "whoever exported the files has not chosen one (`ferjax export --licence`): ask them before you use the weights"
        if licence == NO_LICENCE
        else f"`{licence}`"
    )
    lines = [f"- Weights: {weights}.", f"- Data: {of_data}"]
    if measured.pretrained is not None:
        lines.append(f"- {_tell_start(measured.pretrained)}")
    return "\n".join(lines)


def _tell_start(pretrained: Mapping[str, Any]) -> str:
    """Say whose weights training began from."""
    path = pathlib.Path(str(pretrained.get("path", "")))
    if pretrained["source"] != own_network.WORD:
        return (
            f"Training began from weights that {pretrained['source']} publishes ({pretrained['model']}, on ImageNet, "
            "whose images are for research); their terms hold too."
        )
    if path.name == saved.SHIPPED.name:
        card = json.loads(saved.SHIPPED.with_suffix(".json").read_text(encoding="utf-8"))
        return f"Training began from the network that ferjax brings along. {card['licence']}"
    return (
        f"Training began from another network of ferjax (`{path.name}`): the terms of its weights and of its images "
        "hold too."
    )


def _tell_training(measured: Measured) -> str:
    config, last = measured.config, measured.starts[-1] if measured.starts else {}
    packages = ", ".join(f"{name} {version}" for name, version in last.get("packages", {}).items())
    keys = ("train.epochs", "train.batch_size", "optim.name", "optim.learning_rate", "loss.name", "train.seed")
    settings = ", ".join(f"`{key}={config[key]}`" for key in keys if key in config)
    best = f"The epoch with the best `{config['train.best_metric']}` on validation was kept."
    kept = "The last epoch was kept." if _keeps_last(measured) else best
    begun = last.get("started", "at an unknown time")
    return (
        f"{settings}; every key is in the metadata of model.safetensors. {kept} Begun {begun} on "
        f"{', '.join(last.get('devices', [])) or 'unknown devices'} with {packages or 'unknown packages'}; commit "
        f"{last.get('git_commit') or 'unknown'}."
    )
