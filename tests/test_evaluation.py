"""A finished run's network, scored on its own data and on others."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import ferjax
from ferjax import evaluation
from ferjax.cli.evaluate import main
from ferjax.config import KeyMistake
from ferjax.data import split as split_rows
from ferjax.data.datasets.fer2013 import EMOTIONS, USAGES
from ferjax.data.datasets.synthetic import draw
from ferjax.errors import UserError
from ferjax.report import create_report, read_predictions


@pytest.fixture(scope="module")
def others():
    """Faces that the run has not seen."""
    return draw(70, seed=3)


def write_csv(path, rows):
    lines = ["emotion,pixels,Usage"]
    for image, label, use in zip(rows.images, rows.labels, rows.usage, strict=True):
        pixels = " ".join(map(str, image.ravel().tolist()))
        lines.append(f"{label},{pixels},{USAGES[use]}")
    path.write_text("\n".join([*lines, ""]))
    return str(path)


def write_folder(path, rows):
    for number, (image, label, use) in enumerate(zip(rows.images, rows.labels, rows.usage, strict=True)):
        place = path / ("train" if use == 0 else "test") / EMOTIONS[label] / f"{USAGES[use]}_{number}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[..., 0]).save(place)
    return str(path)


def check_scores(scored, network, rows, index, split):
    """These rows of these data were scored, and the scores are those of the network's answers."""
    assert scored.split == scored.report["split"] == split
    assert scored.row.tolist() == list(index)
    np.testing.assert_array_equal(scored.labels, rows.labels[index])
    answers = network.uncalibrated()(rows.images[index])
    np.testing.assert_allclose(scored.probabilities, answers, rtol=0, atol=1e-6)
    assert scored.report["n"] == len(index)
    assert scored.report["accuracy"] == (answers.argmax(1) == rows.labels[index]).mean()


def test_on_its_own_data_it_is_the_runs_own_report(finished_run):
    predictions = read_predictions(finished_run / "predictions.csv")
    own = create_report(predictions.labels, predictions.probabilities, predictions.split, classes=predictions.classes)
    scored = ferjax.evaluate(finished_run)
    assert (scored.split, scored.classes) == ("test", EMOTIONS)
    assert scored.row.tolist() == predictions.row.tolist()
    np.testing.assert_allclose(scored.probabilities, predictions.probabilities, rtol=0, atol=1e-6)
    assert scored.report["confusion"] == own["confusion"]
    assert scored.report["accuracy"] == own["accuracy"]
    assert scored.report["loss"] == pytest.approx(own["loss"], abs=1e-5)


@pytest.mark.parametrize("split", ["train", "validation", "test", "all"])
def test_on_every_split_of_its_own_data(network, split):
    rows = draw(140)
    code = {"train": 0, "validation": 1, "test": 2}.get(split)
    index = np.arange(140) if code is None else np.flatnonzero(rows.usage == code)
    check_scores(evaluation.evaluate(network, split=split), network, rows, index, split)


@pytest.mark.parametrize("split", ["auto", "all", "train", "validation", "test"])
@pytest.mark.parametrize("write", [write_csv, write_folder])
def test_on_a_file_or_folder_with_the_authors_split(tmp_path, network, others, write, split):
    path = write(tmp_path / "others", others)
    name = "test" if split == "auto" else split
    code = {"train": 0, "validation": 1, "test": 2}.get(name)
    # In a folder the images are in the order of their numbers, which is that of the rows.
    index = np.arange(70) if code is None else np.flatnonzero(others.usage == code)
    scored = ferjax.evaluate(network, {"path": path}, split=split)
    check_scores(scored, network, others, index, name)


def test_on_a_part_of_a_data_set(tmp_path, network, others):
    """A file of test rows alone has no whole split of its authors, and can be scored all the same."""
    some = np.flatnonzero(others.usage == 2)
    part = dataclasses.replace(others, **{name: getattr(others, name)[some] for name in ("images", "labels", "usage")})
    path = write_csv(tmp_path / "test.csv", part)
    for split, name in (("auto", "test"), ("test", "test"), ("all", "all")):
        check_scores(ferjax.evaluate(network, {"path": path}, split=split), network, part, np.arange(len(some)), name)
    with pytest.raises(
        UserError, match=r"test\.csv has no rows in its train split: choose another of train, validation"
    ):
        ferjax.evaluate(network, {"path": path}, split="train")
    # Without a test split of the authors, all rows are scored.
    path = write_csv(tmp_path / "train.csv", dataclasses.replace(part, usage=np.zeros_like(part.usage)))
    check_scores(ferjax.evaluate(network, {"path": path}), network, part, np.arange(len(some)), "all")


def test_on_a_split_that_is_asked_for(tmp_path, network, others):
    path = write_csv(tmp_path / "others.csv", others)
    scored = ferjax.evaluate(network, {"path": path, "split": "stratified"})
    expected = split_rows(others, "stratified")["test"]
    check_scores(scored, network, others, expected, "test")


def test_on_images_of_another_size(tmp_path, network, others):
    small = dataclasses.replace(others, images=others.images[:, ::2, ::2])
    path = write_folder(tmp_path / "small", small)
    scored = ferjax.evaluate(network, {"path": path}, split="all")
    assert len(scored.row) == 70


def test_views_are_the_runs_unless_they_are_given(network):
    plain, mirrored = (evaluation.evaluate(network, views=views) for views in (None, "mirror"))
    np.testing.assert_array_equal(plain.probabilities, evaluation.evaluate(network, views="none").probabilities)
    assert np.abs(plain.probabilities - mirrored.probabilities).max() > 1e-5
    of_mirror = dataclasses.replace(network, config={**network.config, "eval.views": "mirror"})
    np.testing.assert_array_equal(evaluation.evaluate(of_mirror).probabilities, mirrored.probabilities)
    assert evaluation.evaluate(of_mirror, views="none").probabilities.tolist() == plain.probabilities.tolist()


def test_data_of_other_classes_are_refused(network):
    other = dataclasses.replace(network, classes=("calm", *network.classes[1:]))
    with pytest.raises(UserError, match=r"synthetic has the classes angry, .*training, calm, .*same classes") as told:
        evaluation.evaluate(other)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("options", "more", "kind", "said"),
    [
        ({"pth": "x"}, {}, KeyMistake, "there is no config key data.pth; of this group there are path, name"),
        ({"scaling": "none"}, {}, KeyMistake, "there is no config key data.scaling"),
        ({"split": "half"}, {}, UserError, "data.split='half' is out of range: it must be 'official', 'strat"),
        ({"path": "nowhere.csv"}, {}, UserError, "There is no data set at nowhere.csv"),
        (
            {},
            {"split": "half"},
            UserError,
            "There is no split half: it is 'train', 'validation', 'test', 'auto' or 'all'.",
        ),
        ({}, {"views": "many"}, ValueError, "views='many' is not one of"),
        ({"name": "synthetic", "path": "x.csv"}, {}, UserError, "data.path=x.csv is not read"),
    ],
)
def test_what_cannot_be_evaluated_is_one_sentence(network, options, more, kind, said):
    with pytest.raises(kind) as told:
        ferjax.evaluate(network, options, **more)
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_the_files_of_an_evaluation(tmp_path, network):
    scored = evaluation.evaluate(network)
    scored.write(tmp_path / "new" / "folder")
    again = read_predictions(tmp_path / "new" / "folder" / "predictions.csv")
    np.testing.assert_array_equal(again.probabilities, scored.probabilities)
    assert again.row.tolist() == scored.row.tolist()
    assert (
        json.loads((tmp_path / "new" / "folder" / "report.json").read_text())["accuracy"] == scored.report["accuracy"]
    )
    names = {path.name for path in (tmp_path / "new" / "folder").iterdir()}
    assert names == {"predictions.csv", "report.md", "report.json", "report.csv"}


@pytest.fixture
def copy(tmp_path, finished_run):
    return shutil.copytree(finished_run, tmp_path / "run")


def test_the_command_scores_a_run_on_other_data(tmp_path, copy, network, others, capsys):
    path = write_csv(tmp_path / "others.csv", others)
    before = {file.name: file.stat().st_mtime_ns for file in copy.iterdir()}
    assert main(["--workdir", str(copy), f"--data.path={path}"]) == 0
    out, err = capsys.readouterr()
    assert f"test split, {(others.usage == 2).sum()} images\n" in out
    assert "accuracy" in out
    assert out.endswith(f"\nreport   {copy / 'other_data'}\n")
    assert err == ""
    report = json.loads((copy / "other_data" / "report.json").read_text())
    assert report["accuracy"] == ferjax.evaluate(network, {"path": path}).report["accuracy"]
    assert (copy / "other_data" / "predictions.csv").exists()
    assert {file.name: file.stat().st_mtime_ns for file in copy.iterdir() if file.name != "other_data"} == before


def test_the_command_takes_a_split_views_and_a_place(tmp_path, copy, capsys):
    place = tmp_path / "place"
    assert main(["--workdir", str(copy), "--split", "train", "--views=mirror", "--output", str(place)]) == 0
    out = capsys.readouterr().out
    assert "note     140 faces drawn" in out
    assert "train split, 112 images\n" in out
    assert f"report   {place}" in out
    assert not (copy / "other_data").exists()
    written = read_predictions(place / "predictions.csv").probabilities
    expected = ferjax.evaluate(copy, split="train", views="mirror").probabilities
    np.testing.assert_allclose(written, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--data.path=nowhere.csv"], 1, "There is no data set at nowhere.csv"),
        (["--data.split=half"], 1, "--data.split='half' is out of range"),
        (["--data.pth=x"], 2, "There is no flag --data.pth; did you mean --data.path?"),
        (["--data.path"], 2, "--data.path lacks its value"),
        (["--split=half"], 2, "invalid choice: 'half'"),
        (["--split=test", "--baseline=x"], 2, "are for one run"),
    ],
)
def test_a_mistake_at_the_command_line_is_one_sentence(copy, capsys, arguments, code, said):
    assert main(["--workdir", str(copy), *arguments]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ferjax: ")
    assert said in err
    assert err.count("\n") == 1
    assert not (copy / "other_data").exists()


def test_without_a_run_or_with_two_the_command_says_so(tmp_path, copy, capsys):
    assert main(["--workdir", str(tmp_path / "nowhere"), "--split=test"]) == 1
    assert "nowhere holds no trained network" in capsys.readouterr().err
    assert main(["--workdir", str(copy), str(copy), "--split=test"]) == 2
    assert "name it alone as --workdir" in capsys.readouterr().err
