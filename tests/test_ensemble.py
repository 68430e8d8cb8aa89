import dataclasses
import json

import jax
import numpy as np
import pytest

import ferjax
from ferjax.cli import evaluate as command
from ferjax.ensemble import MEANS, create_ensemble
from ferjax.errors import UserError
from ferjax.report import read_predictions


def draw_members(n=600, classes=4, noises=(0.5, 1.0, 3.0), seed=0):
    """Labels, and members that know them with different noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = 2 * np.eye(classes)[labels] + np.stack([rng.normal(size=(n, classes)) * noise for noise in noises])
    powers = np.exp(logits)
    return powers / powers.sum(-1, keepdims=True), labels


def find_loss(probabilities, labels):
    return -np.log(probabilities[np.arange(len(labels)), labels]).mean()


def test_means_with_equal_weights_are_the_textbooks():
    members, _ = draw_members(50)
    equal = np.full(3, 1 / 3)
    np.testing.assert_allclose(MEANS["arithmetic"].combine(members, equal), members.mean(0), atol=1e-12)
    product = np.prod(members, 0) ** (1 / 3)
    expected = product / product.sum(1, keepdims=True)
    np.testing.assert_allclose(MEANS["geometric"].combine(members, equal), expected, atol=1e-12)


@pytest.mark.parametrize("name", MEANS)
def test_no_weights_near_the_fitted_ones_are_better(name):
    mean = MEANS[name]
    members, labels = draw_members()
    weights = mean.fit(members, labels)
    assert (weights >= 0).all()
    assert weights[0] == max(weights)
    assert weights[2] == min(weights)
    least = find_loss(mean.combine(members, weights), labels)
    rng = np.random.default_rng(1)
    for _ in range(200):
        other = np.maximum(weights + rng.normal(size=3) * 0.05, 0)
        other = other / other.sum() if name == "arithmetic" else other
        assert find_loss(mean.combine(members, other), labels) >= least - 1e-6


@pytest.fixture
def second(network, tmp_path):
    """A file with another network: the first one's weights, disturbed."""
    rng = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: leaf * (1 + 0.2 * rng.normal(size=leaf.shape)), dict(network.variables))
    variables = jax.tree.map(lambda leaf: leaf.astype(np.float32), variables)
    path = tmp_path / "second.safetensors"
    dataclasses.replace(network, variables=variables).save(path)
    return path


def test_two_networks_answer_together(finished_run, second, faces):
    both = create_ensemble([finished_run, second])
    answers = [ferjax.load(path).uncalibrated()(faces[0].images[faces[1]]) for path in (finished_run, second)]
    np.testing.assert_allclose(both.together.probabilities, np.mean(answers, 0), atol=1e-6)
    assert (both.together.split, both.together.row.tolist()) == ("test", faces[1].tolist())
    assert [row.name for row in both.rows] == [
        str(finished_run),
        str(second),
        *(f"{name} mean, {weights} weights" for weights in ("equal", "fitted") for name in MEANS),
    ]
    assert both.rows[0].accuracy == ferjax.evaluate(finished_run).report["accuracy"]
    assert both.rows[2].accuracy == both.together.report["accuracy"]
    assert "were fitted to 14 images of the validation split." in both.note


def test_on_validation_the_weights_are_those_of_other_images(finished_run, second):
    both = create_ensemble([finished_run, second], split="validation")
    assert "each fifth of them is scored with the weights of the others" in both.note


def test_the_command_prints_the_table_and_writes_files(finished_run, second, tmp_path, capsys):
    folder = tmp_path / "both"
    assert command.main(["--ensemble", str(finished_run), str(second), f"--output={folder}"]) == 0
    printed = capsys.readouterr().out
    assert "geometric mean, fitted weights" in printed
    assert str(folder) in printed
    assert len(json.loads((folder / "ensemble.json").read_text())["rows"]) == 6
    assert len(read_predictions(folder / "predictions.csv").row) == len(
        read_predictions(finished_run / "predictions.csv").row
    )
    assert "| arithmetic mean, equal weights |" in (folder / "ensemble.md").read_text()


def test_networks_that_cannot_answer_together_are_one_sentence(finished_run, network, tmp_path):
    with pytest.raises(UserError, match="at least two networks"):
        create_ensemble([finished_run])
    config = {**network.config, "data.synthetic_rows": 150}
    dataclasses.replace(network, config=config).save(tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="answers for other images or classes"):
        create_ensemble([finished_run, tmp_path / "other.safetensors"])


def test_the_command_refuses_a_mixture(capsys, finished_run):
    assert command.main(["--ensemble", str(finished_run), str(finished_run), "--baseline=x"]) == 2
    assert "leave it out with --ensemble" in capsys.readouterr().err
    assert command.main([]) == 2
    assert "--workdir" in capsys.readouterr().err
