"""The drills' own parts, and a short form of each, by name."""

import os
import random
import shutil

import pytest

from ferjax.keys import Choice, Range
from scripts.drills import __main__ as driver
from scripts.drills import damage, fuzz, supply
from scripts.drills.drill import Failed, Skipped, expect


def test_every_drill_is_there():
    for name, (about, cases) in driver.DRILLS.items():
        drill = driver.load(name)
        assert (drill.about, drill.cases) == (about, cases)
        assert callable(drill.run)


@pytest.mark.parametrize(
    ("fault", "code", "said"), [(Failed("a bit"), 1, "FAILED: a bit"), (Skipped("root"), 0, "root")]
)
def test_what_does_not_hold_is_said_and_counts(monkeypatch, capsys, fault, code, said):
    def run(*_):
        yield "seen"
        raise fault

    monkeypatch.setattr(driver, "load", lambda _: driver.Drill("accidents", 3, run))
    assert driver.main(["damage"]) == code
    out = capsys.readouterr().out
    assert "  seen\n" in out
    assert said in out
    with pytest.raises(Failed, match="does not hold"):
        expect([], "it does not hold")


def test_mutations_are_drawn_from_the_seed():
    content = bytes(range(256)) * 4
    mutated = [fuzz.mutate(content, random.Random(seed)) for seed in range(60)]
    assert mutated == [fuzz.mutate(content, random.Random(seed)) for seed in range(60)]
    assert len(set(mutated)) > 40


def test_values_lie_within_and_beyond_a_range():
    chance = random.Random(0)
    drawn = [fuzz.draw_value(Range(0, 1), 0.5, chance) for _ in range(300)]
    numbers = [value for value in drawn if type(value) is float]
    assert any(0 < value < 1 for value in numbers)
    assert any(value < 0 for value in numbers)
    assert any(value > 1 for value in numbers)
    assert "other" in [fuzz.draw_value(Choice(("a",)), "a", chance) for _ in range(30)]


def test_a_checkpoint_is_damaged_in_every_way(tmp_path):
    said = set()
    for seed in range(40):
        checkpoint = tmp_path / f"{seed}" / "step_1"
        (checkpoint / "state").mkdir(parents=True)
        for name in "ab":
            (checkpoint / "state" / name).write_bytes(os.urandom(50))
        said.add(damage.damage(checkpoint, random.Random(seed)).partition(" ")[0])
    assert said == {"flip", "cut", "remove", "zero", "swap"}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from dill import loads",
        "eval(text)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path)",
    ],
)
def test_what_could_run_a_file_is_found(source):
    assert supply.find_faults(source)
    assert not supply.find_faults("np.load(path, allow_pickle=False); ast.literal_eval(text)")


def test_supply(tmp_path):
    assert list(supply.run(tmp_path, 1, random.Random(0)))


# The others start real commands, and take from half a minute to some minutes.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "cases"), [("damage", 3), ("disk", 1), ("kill", 4), ("fuzz", 20), ("saves", 40), ("locks", 1)]
)
def test_drill(name, cases, tmp_path):
    assert driver.DRILLS
    assert driver.main([name, "--cases", str(cases), "--folder", str(tmp_path)]) == 0
    shutil.rmtree(tmp_path, ignore_errors=True)
