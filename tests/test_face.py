"""`import ferjax`: light, typed, documented, and all of it works."""

import importlib
import inspect
import pathlib
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from ml_collections import ConfigDict

import ferjax
from ferjax.config import KeyMistake
from ferjax.data.datasets.synthetic import draw
from ferjax.errors import UserError
from ferjax.network import Network
from ferjax.report import read_predictions, read_report
from tests.tiny import SMALL

ROOT = pathlib.Path(__file__).parents[1]


def test_importing_it_imports_nothing_else():
    heavy = ["jax", "numpy", "flax", "orbax", "ml_collections", "pandas", "matplotlib", "absl", "ferjax.config"]
    program = f"import sys, ferjax; print([name for name in {heavy} if name in sys.modules], len(sys.modules))"
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    assert output.startswith("[] ")


def test_every_name_is_there_and_documented():
    assert ferjax.__all__ == sorted(ferjax.__all__)
    public = {
        name
        for name, value in vars(ferjax).items()
        if inspect.isfunction(value) and value.__module__ == "ferjax" and not name.startswith("_")
    }
    assert public == set(ferjax.__all__)
    for name in ferjax.__all__:
        function = getattr(ferjax, name)
        first = inspect.getdoc(function).splitlines()[0]
        assert first.endswith("."), f"{name} has no sentence"
        signature = inspect.signature(function)
        assert signature.return_annotation is not inspect.Signature.empty
        assert all(value.annotation is not inspect.Parameter.empty for value in signature.parameters.values())


def test_it_is_typed_and_the_wheel_says_so():
    assert (ROOT / "ferjax" / "py.typed").is_file()
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    # The whole folder, py.typed in it, and the configs within it.
    assert wheel == {"packages": ["ferjax"], "force-include": {"configs": "ferjax/configs"}}


def test_lists():
    assert {"vgg19", "vgg11_bn", "compact"} <= set(ferjax.list_networks())
    assert {"optimal", "quickstart"} <= set(ferjax.list_configs())


def test_load_config():
    config = ferjax.load_config("quickstart", {"train.epochs": 9})
    assert isinstance(config, ConfigDict)
    assert (config.model.name, config.train.epochs) == ("compact", 9)
    with pytest.raises(KeyMistake, match=r"did you mean train.epochs"):
        ferjax.load_config("quickstart", {"train.epoch": 9})


def test_read(tmp_path):
    rows = draw(7)
    pixels = [" ".join(map(str, image.ravel())) for image in rows.images]
    lines = [f"{label},{text},Training" for label, text in zip(rows.labels, pixels, strict=True)]
    (tmp_path / "faces.csv").write_text("\n".join(["emotion,pixels,Usage", *lines, "nothing,1 2 3,Training", ""]))
    with pytest.raises(UserError, match=r"faces\.csv"):
        ferjax.read(tmp_path / "faces.csv")
    read = ferjax.read(str(tmp_path / "faces.csv"), on_bad_row="skip")
    np.testing.assert_array_equal(read.images, rows.images)
    assert read.labels.tolist() == rows.labels.tolist()


def test_train_load_and_evaluate(tmp_path, finished_run):
    """As the docstring of the package has it; a ConfigDict and overrides are the same as a name and overrides."""
    config = ferjax.load_config("quickstart", SMALL)
    report = ferjax.train(config, str(tmp_path / "run"), {"train.epochs": 1, "train.best_metric": "loss"})
    assert config.train.epochs == SMALL["train.epochs"]
    one, other = (read_predictions(folder / "predictions.csv") for folder in (tmp_path / "run", finished_run))
    np.testing.assert_array_equal(one.probabilities, other.probabilities)
    assert read_report(tmp_path / "run" / "report.json") == report
    assert report["without_copies"] is not None
    network = ferjax.load(str(tmp_path / "run"))
    assert isinstance(network, Network)
    assert network(np.zeros((2, 100, 80, 3), np.uint8)).shape == (2, 7)
    for given in (network, tmp_path / "run", str(tmp_path / "run")):
        assert ferjax.evaluate(given).report["accuracy"] == report["accuracy"]
    # The same folder goes on, and another config is refused or allowed.
    with pytest.raises(UserError, match="--allow_config_change"):
        ferjax.train(config, tmp_path / "run", {"train.best_metric": "loss", "optim.learning_rate": 1e-4})


@pytest.mark.parametrize("kind", ["name", "config"])
@pytest.mark.parametrize(
    ("overrides", "error", "said"),
    [
        ({"train.epoch": 1}, KeyMistake, "did you mean train.epochs"),
        ({"train.epochs": "many"}, KeyMistake, "train.epochs takes a whole number"),
        ({"train.epochs": 0}, UserError, "train.epochs=0 is out of range"),
        ({"data.path": "nowhere.csv"}, UserError, "There is no data set at nowhere.csv"),
        ({"train.seeds": (1, 2)}, UserError, "train.seeds is for a run of several seeds"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, kind, overrides, error, said):
    config = "quickstart" if kind == "name" else ferjax.load_config("quickstart")
    with pytest.raises(error, match=said) as told:
        ferjax.train(config, tmp_path / "run", overrides)
    assert "\n" not in str(told.value)


def test_a_config_with_a_key_that_nobody_reads_is_refused(tmp_path):
    config = ferjax.load_config("quickstart")
    with config.unlocked():
        config.train.epoch = 3
    with pytest.raises(KeyMistake, match=r"no config key train\.epoch; did you mean train\.epochs\?"):
        ferjax.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_door_of_evaluate_does_not_take_the_place_of_the_function():
    with pytest.raises(ImportError, match="call the function"):
        importlib.import_module("ferjax.evaluate")
    assert inspect.isfunction(ferjax.evaluate)
