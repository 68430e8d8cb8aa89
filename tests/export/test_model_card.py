"""The model card: numbers that the run measured, or none at all."""

import json
import re
import shutil

import pytest
import yaml

from ferjax.errors import UserError
from ferjax.export import create_card
from ferjax.export.format import Exported, prepare
from ferjax.export.measured import read_measured
from ferjax.networks.saved import SHIPPED
from ferjax.report import read_report


@pytest.fixture
def run(reported_run, tmp_path):
    """A copy of a tiny run's folder, without the checkpoints, which a card does not read."""
    return shutil.copytree(reported_run, tmp_path / "tiny_run", ignore=shutil.ignore_patterns("checkpoints"))


def write(run, network, **options):
    named = {"name": "tiny_run", "licence": "not-chosen", "files": ["model.onnx", "model.safetensors"], **options}
    return create_card(read_measured(run), Exported(prepare(network)), **named)


def test_its_numbers_are_the_runs(run, network):
    card, report = write(run, network), read_report(run / "report.json")
    assert f"accuracy is {report['accuracy']:.1%} ± " in card
    for name, scores in report["per_class"].items():
        cells = [f"{scores[key]:.1%}" for key in ("precision", "recall", "f1")]
        assert f"| {name} | {' | '.join(cells)} | {scores['support']:,} |" in card
    calibration = json.loads((run / "calibration.json").read_text())
    assert f"a temperature of {calibration['temperature']:.3f} " in card
    assert f"{calibration['error_before']:.1%} without it and {calibration['error_after']:.1%} with it" in card
    assert "with seed 0" in card


def test_its_words_say_the_limits_the_law_and_the_licences(run, network):
    card = write(run, network)
    for words in ("Article 5(1)(f)", "Article 50(3)", "(EU) 2024/1689", "no legal advice", "Not measured", "## Limits"):
        assert words in card
    assert "has not chosen one" in card
    assert "drawn by ferjax: nobody's picture is in them" in card
    assert "- Weights: `cc-by-nc-4.0`." in write(run, network, licence="cc-by-nc-4.0")
    assert "onnxruntime.InferenceSession" in card
    assert "jax.export" not in card, "only the files that are there"
    assert max(map(len, re.findall(r"^#+ .*", card, re.M))) < 60


def test_a_copy_in_training_and_published_weights_are_told(run, network):
    report, data = (json.loads((run / name).read_text()) for name in ("report.json", "data.json"))
    report["without_copies"] = {"n": report["n"] - 1, "accuracy": 0.125, "macro_f1": 0.25}
    data["copies"]["test"] = [3]
    (run / "report.json").write_text(json.dumps(report))
    (run / "data.json").write_text(json.dumps(data))
    (run / "pretrained.json").write_text(json.dumps({"source": "keras", "model": "vgg19"}))
    card = write(run, network)
    assert "1 of 14 in test" in card
    assert "Without them the accuracy is 12.5% and the macro F1 25.0%" in card
    assert "weights that keras publishes (vgg19" in card


def test_a_run_without_a_report_has_the_same_card(run, network):
    card = write(run, network)
    (run / "report.json").unlink()
    assert write(run, network) == card


def test_whose_weights_and_images_these_are_is_told(run, network):
    config = json.loads((run / "config.json").read_text())
    data = json.loads((run / "data.json").read_text())
    config["data"]["name"] = "folder"
    (run / "config.json").write_text(json.dumps(config))
    (run / "data.json").write_text(json.dumps({**data, "path": "pets"}))
    (run / "pretrained.json").write_text(json.dumps({"source": "ferjax", "model": "compact", "path": str(SHIPPED)}))
    card = write(run, network)
    assert "- Data: Images of whoever trained the network, in a folder of their own" in card
    assert "the network that ferjax brings along. The weights are licensed as ferjax is (Apache-2.0)" in card
    assert "ImageNet" not in card
    (run / "pretrained.json").write_text(json.dumps({"source": "ferjax", "model": "compact", "path": "/x/other_run"}))
    card = write(run, network, data_licence="CC0, by a studio.")
    assert "- Data: CC0, by a studio." in card
    assert "another network of ferjax (`other_run`)" in card


@pytest.mark.parametrize(
    ("data_set", "labels"),
    [
        ("folder", "the names of its folders"),
        ("synthetic", "its own"),
        ("fer2013", "ferplus_majority"),
        ("gone", "its own"),
    ],
)
def test_the_labels_are_named_as_their_data_set_has_them(run, network, data_set, labels):
    config, data = (json.loads((run / name).read_text()) for name in ("config.json", "data.json"))
    config["data"] |= {"name": data_set, "labels": "ferplus_majority" if data_set == "fer2013" else "fer2013"}
    (run / "config.json").write_text(json.dumps(config))
    (run / "data.json").write_text(json.dumps({**data, "path": "pictures"}))
    assert f", labels: {labels}, SHA-256" in write(run, network)


def tell_classes(run, network, *, confusion, trained):
    """Return the card's section on the classes, of three whose confusion matrix and training images these are."""
    names = ("a_b", "calm", "odd")
    report, data = (json.loads((run / name).read_text()) for name in ("report.json", "data.json"))
    row = {"precision": 0.5, "f1": 0.5}
    report["per_class"] = {
        name: {**row, "recall": line[i] / max(sum(line), 1), "support": sum(line)}
        for i, (name, line) in enumerate(zip(names, confusion, strict=True))
    }
    report["confusion"] = confusion
    data |= {"classes": list(names), "counts": {"train": trained, "test": [sum(line) for line in confusion]}}
    (run / "report.json").write_text(json.dumps(report))
    (run / "data.json").write_text(json.dumps(data))
    return write(run, network).split("## Where it errs: by class")[1].split("## ")[0]


def test_no_class_is_called_the_best_where_all_are_alike(run, network):
    card = tell_classes(run, network, confusion=[[4, 0, 0], [0, 4, 0], [0, 0, 4]], trained=[30, 30, 30])
    assert "It finds each class equally often (100.0% of its images). Each class has 30 training images." in card
    assert "most often (" not in card
    assert card.count("| none |") == 3
    assert "0% |" not in card.replace("50.0% |", "").replace("100.0% |", "")


def test_classes_that_share_a_place_are_all_named(run, network):
    card = tell_classes(run, network, confusion=[[2, 1, 1], [0, 1, 3], [0, 2, 2]], trained=[30, 30, 90])
    assert r"It finds a\_b and odd most often (50.0% of their images) and calm least often (25.0%)." in card
    assert r"The classes with the fewest training images are a\_b and calm (20.0% of them each)." in card
    assert "| calm or odd 25% |" in card
    assert "| odd 75% |" in card
    one = tell_classes(run, network, confusion=[[200, 1, 0], [0, 3, 1], [0, 0, 4]], trained=[20, 30, 50])
    assert r"The class with the fewest training images is a\_b (20.0% of them)." in one
    assert "| calm under 1% |" in one


def test_repeats_of_the_run_are_told(run, network, tmp_path):
    for seed, accuracy in ((0, 0.5), (1, 0.6)):
        folder = shutil.copytree(run, tmp_path / "setting" / f"seed_{seed}")
        report = json.loads((folder / "report.json").read_text())
        (folder / "report.json").write_text(json.dumps({**report, "accuracy": accuracy}))
    assert "Over the seeds 0, 1 the accuracy is 55.0% ± 7.1%" in write(tmp_path / "setting" / "seed_0", network)


def test_scores_of_validation_and_of_other_views_are_called_so(run, network):
    assert "chose the epoch" not in write(run, network)
    for name, key, value in (("report.json", "split", "validation"), ("config.json", "eval", {"views": "mirror"})):
        found = json.loads((run / name).read_text())
        found[key] = {**found[key], **value} if isinstance(value, dict) else value
        (run / name).write_text(json.dumps(found))
    card = write(run, network)
    assert "**The validation split also chose the epoch" in card
    assert "The epoch with the best `" in card
    config = json.loads((run / "config.json").read_text())
    config["eval"]["epoch"] = "last"
    (run / "config.json").write_text(json.dumps(config))
    card = write(run, network)
    assert "**The validation split also chose the settings, if any were searched for: the scores are" in card
    assert "The last epoch was kept." in card
    assert "the test-time views 'mirror' of each image; the files here look at each image with the views 'none'" in card


@pytest.mark.parametrize(
    ("file", "remedy"),
    [
        ("predictions.csv", r"has not come to its end; give its training command once more"),
        ("calibration.json", r"calibration\.json is missing: give its training command once more"),
        ("data.json", r"is no run's folder"),
    ],
)
def test_without_a_number_there_is_no_card(run, network, file, remedy):
    (run / file).unlink()
    with pytest.raises(UserError, match=remedy):
        write(run, network)


@pytest.mark.parametrize(
    ("file", "key", "named"),
    [
        ("report.json", "macro_f1", r"report\.json: macro_f1"),
        ("report.json", "without_copies", r"report\.json: without_copies"),
        ("calibration.json", "error_after", r"calibration\.json: error_after"),
        ("data.json", "copies", r"data\.json: copies"),
    ],
)
def test_a_number_that_an_older_version_did_not_write_is_named(run, network, file, key, named):
    found = json.loads((run / file).read_text())
    del found[key]
    (run / file).write_text(json.dumps(found))
    with pytest.raises(UserError, match=rf"lacks numbers that a model card needs \({named}\), since an older ferjax"):
        write(run, network)


def test_its_metadata_is_yaml_with_the_scores(run, network):
    _, metadata, text = write(run, network).split("---\n", 2)
    found, report = yaml.safe_load(metadata), read_report(run / "report.json")
    assert text.startswith("\n# tiny\\_run\n")
    assert (found["license"], found["license_name"]) == ("other", "not-chosen")
    assert found["datasets"] == ["synthetic"]
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"] == {"type": "synthetic", "name": "synthetic", "split": "test"}
    assert result["metrics"][0]["value"] == round(report["accuracy"], 4)


def test_a_model_hubs_library_reads_it(run, network):
    hub = pytest.importorskip("huggingface_hub")
    card = hub.ModelCard(write(run, network, licence="apache-2.0"))
    assert card.data.license == "apache-2.0"
    assert card.data.pipeline_tag == "image-classification"
    assert [result.metric_type for result in card.data.eval_results] == ["accuracy", "f1"]
    assert card.data.model_name == "tiny_run"
    # What it writes of it again says the same.
    again = hub.ModelCard(str(card)).data.to_dict()
    assert again == card.data.to_dict()
