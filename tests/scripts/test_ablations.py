"""The ablations' table, and what is trained for it."""

import subprocess

import pytest

from ferjax.config import load_config
from scripts import ablations
from tests.written_runs import write_run


@pytest.mark.parametrize("name", ablations.CHANGES)
def test_every_change_is_legal_for_the_recipe(name):
    change = ablations.CHANGES[name]
    changed, recipe = load_config("fast", change.keys), load_config("fast")
    assert (changed != recipe) == (name != ablations.BASE)


def test_a_change_is_trained_for_the_recipes_minutes_and_once(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    ablations.train("narrow", 1, "faces.csv", tmp_path)
    (command,) = commands
    for flag in ("model.width=0.75", f"train.epochs={round(ablations.EPOCHS / 0.66)}", "train.seed=1"):
        assert f"--config.{flag}" in command
    write_run(tmp_path / "narrow" / "seed_1", 1, config="fast")
    (tmp_path / "narrow" / "seed_1" / "report.json").write_text("{}")
    ablations.train("narrow", 1, "faces.csv", tmp_path)
    assert len(commands) == 1


def test_the_table_says_the_difference_to_the_recipe(tmp_path):
    for name, wrong in ((ablations.BASE, 10), ("adam", 20)):
        for seed in (0, 1):
            changes = ablations.CHANGES[name].keys
            write_run(tmp_path / name / f"seed_{seed}", seed, config="fast", changes=changes, wrong=wrong)
    table = ablations.tabulate(tmp_path)
    recipe, adam = table.rows
    assert recipe[-2:] == ("76.19 ± 0.00", "-")
    assert adam[:2] == ("adam", "optim.name=adam, optim.learning_rate=0.002")
    assert adam[-1].startswith("-23.81 (-")
