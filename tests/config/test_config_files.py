"""Config files: where they are found, what they may import, and what is said of a broken one."""

import os
import pathlib
import sys

import pytest

from ferjax.config import KeyMistake, create_default, find_config_file, list_configs, load_config, validate
from ferjax.config.files import shipped_folder
from ferjax.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
CHANGED = """from configs import {base}


def get_config():
    config = {base}.get_config()
    {change}
    return config
"""


def write(path, base="default", change="config.train.epochs = 7"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CHANGED.format(base=base, change=change))
    return path


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """No config is found only because the tests start in the checkout."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_ferjax_brings_its_configs_along():
    assert shipped_folder() == ROOT / "configs"
    assert list_configs() == sorted(path.stem for path in (ROOT / "configs").glob("*.py"))
    assert {"default", "optimal", "quickstart", "compact"} <= set(list_configs())


@pytest.mark.parametrize(
    "name", ["optimal", "optimal.py", "configs/optimal.py", "./optimal", str(ROOT / "configs/optimal.py")]
)
def test_one_of_ferjaxs_own_is_found_by_every_spelling(name):
    assert find_config_file(name).samefile(ROOT / "configs" / "optimal.py")
    assert load_config(name).init.pretrained == "keras"


@pytest.mark.parametrize("name", list_configs())
def test_every_config_of_ferjax_can_be_used_by_its_name(name):
    validate(load_config(name))


def test_a_file_of_ones_own_comes_first(tmp_path):
    write(tmp_path / "here" / "configs" / "optimal.py")
    assert load_config("configs/optimal.py").train.epochs == 7
    # The bare name is ferjax's own.
    assert load_config("optimal").init.pretrained == "keras"


@pytest.mark.parametrize("name", ["optimum", "elsewhere/optimal.py", "optimal.json", "configs", ""])
def test_a_file_that_is_not_there_is_one_sentence_with_the_names_that_are(name):
    with pytest.raises(KeyMistake, match=r"There is no config file .*; ferjax's own are batch2, .*quickstart") as told:
        find_config_file(name)
    assert "\n" not in str(told.value)


def test_overrides_and_ranges_are_looked_at():
    assert load_config("quickstart", {"train.epochs": 9}).train.epochs == 9
    with pytest.raises(UserError, match=r"train.epochs=0 is out of range"):
        load_config("quickstart", {"train.epochs": 0})


def test_a_config_outside_any_configs_folder(tmp_path):
    config = load_config(write(tmp_path / "mine.py", "optimal"))
    assert (config.train.epochs, config.init.pretrained) == (7, "keras")


def test_a_configs_folder_of_ones_own_without_a_default(tmp_path):
    write(tmp_path / "configs" / "base.py", "compact")
    config = load_config(write(tmp_path / "configs" / "mine.py", "base", "config.train.seed = 3"))
    assert (config.train.epochs, config.train.seed) == (7, 3)
    assert config.model.name == load_config("compact").model.name == "compact"


def test_a_configs_folder_of_ones_own_with_a_default(tmp_path):
    own = tmp_path / "configs" / "default.py"
    own.parent.mkdir()
    own.write_text(
        "from ferjax.config import create_default\n\n\ndef get_config():\n"
        "    config = create_default()\n    config.train.epochs = 5\n    return config\n"
    )
    config = load_config(write(tmp_path / "configs" / "mine.py", "default", "config.train.seed = 3"))
    assert (config.train.epochs, config.train.seed) == (5, 3)
    # What ferjax's own import is theirs then, too, and nothing of it stays for the next file.
    assert load_config("optimal").train.epochs == create_default().train.epochs


def test_whatever_else_is_called_configs_is_as_before(tmp_path):
    import configs.quickstart

    before = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "configs"}
    assert "configs.quickstart" in before
    load_config(write(tmp_path / "configs" / "mine.py", "optimal"))
    broken = tmp_path / "configs" / "broken.py"
    broken.write_text("from configs import optimal\n\nnothing_of_this_name\n")
    with pytest.raises(KeyMistake):
        load_config(broken)
    after = {name: module for name, module in sys.modules.items() if name.partition(".")[0] == "configs"}
    assert after == before
    assert sys.modules["configs.quickstart"] is configs.quickstart
    assert "ferjax_config_file" not in sys.modules


def test_nothing_called_configs_stays_where_there_was_nothing(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "configs"]:
        monkeypatch.delitem(sys.modules, name)
    load_config(write(tmp_path / "mine.py", "optimal"))
    assert not [name for name in sys.modules if name.partition(".")[0] == "configs"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("config = 1", "AttributeError"),
        ("def get_config(:", "SyntaxError"),
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("from configs import nothing_of_that_name", "ImportError"),
        ("def get_config():\n    return {}['a']", "KeyError: 'a'"),
        ("def get_config():\n    return {}", "get_config() returns no ConfigDict"),
        ("def get_config():\n    raise SystemExit('a\\nb')", "SystemExit: a"),
        (CHANGED.format(base="default", change="config.train.epoch = 3"), "AttributeError"),
        (CHANGED.format(base="default", change="config.train.epochs = 'three'"), "TypeError"),
        ("\0", "SyntaxError"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path, text, said):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(KeyMistake) as told:
        load_config(path)
    assert str(told.value).startswith(f"--config {path} cannot be used: ")
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_file_that_is_no_python_is_one_sentence(tmp_path):
    path = tmp_path / "config.json"
    path.write_text("{}")
    with pytest.raises(KeyMistake, match=r"config.json cannot be used") as told:
        load_config(path)
    assert str(told.value).count("\n") == 0


def test_a_file_that_is_written_anew_is_read_anew(tmp_path, monkeypatch):
    """Also within one tick of the file system's clock, where Python takes its own compiled copy for today's."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = write(tmp_path / "mine.py")
    assert load_config(path).train.epochs == 7
    stat = path.stat()
    write(path, change="config.train.epochs = 8")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert load_config(path).train.epochs == 8
    assert not (tmp_path / "__pycache__").exists()
