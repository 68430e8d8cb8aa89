"""`ferjax COMMAND`."""

import importlib
import inspect
import pathlib
import signal
import subprocess
import sys
import tomllib

import pytest

import ferjax
from ferjax.cli import console
from ferjax.cli.console import COMMANDS, main
from ferjax.config import KEYS, document, list_configs

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize(("arguments", "code"), [([], 2), (["--help"], 0), (["-h"], 0), (["help"], 0)])
def test_the_list_of_commands(capsys, arguments, code):
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith("usage: ferjax COMMAND")
    for name, text in COMMANDS.items():
        assert f"  {name} " in out
        assert text in out


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ferjax {ferjax.__version__}\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == ferjax.__version__
    assert project["scripts"] == {"ferjax": "ferjax.cli.console:main"}


@pytest.mark.parametrize(("name", "nearest"), [("trian", "train"), ("eval", "evaluate"), ("--train", "train")])
def test_an_unknown_command_names_the_nearest(capsys, name, nearest):
    assert main([name, "--workdir=x"]) == 2
    assert capsys.readouterr() == (
        "",
        f"ferjax: There is no command {name}; did you mean {nearest}? ferjax --help lists all.\n",
    )


def test_a_command_that_is_like_none_is_not_taken_for_one(capsys):
    assert main(["frobnicate"]) == 2
    assert capsys.readouterr().err == "ferjax: There is no command frobnicate; ferjax --help lists all.\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_file_with_a_main_that_helps(capsys, name):
    module = importlib.import_module(f"ferjax.cli.{name}")
    assert "arguments" in inspect.signature(module.main).parameters
    assert main([name, "--help"]) == 0
    out, err = capsys.readouterr()
    assert f"usage: ferjax {name}" in out
    assert err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_an_unknown_flag_in_one_sentence(capsys, name):
    assert main([name, "--nonsense=3"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("ferjax: ")
    assert err.count("\n") == 1


def test_every_file_of_commands_is_in_the_table():
    shared = {"__init__", "console", "endings", "flags"}
    files = {path.stem for path in pathlib.Path(console.__file__).parent.glob("*.py")}
    assert files - shared == set(COMMANDS)


@pytest.mark.parametrize("name", ["train", "search"])
def test_the_help_of_a_command_with_a_config_lists_every_key(capsys, name):
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"    {key}=" in out for key in KEYS)
    assert "Exit codes" in out


def test_configs(capsys):
    assert main(["configs"]) == 0
    assert capsys.readouterr().out.split() == list_configs()
    assert main(["configs", "--keys"]) == 0
    assert capsys.readouterr().out.rstrip("\n") + "\n" == document.to_markdown()
    assert main(["configs", "keys"]) == 2
    assert "What is 'keys'?" in capsys.readouterr().err


def test_python_m_ferjax_is_the_same():
    command = [sys.executable, "-m", "ferjax", "trian"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == "ferjax: There is no command trian; did you mean train? ferjax --help lists all.\n"


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["configs"], ["configs", "--keys"]], ids=str)
def test_a_reader_who_has_had_enough_is_no_mistake(arguments):
    command = [sys.executable, "-m", "ferjax", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as ended:
        ended.stdout.close()
        assert ended.stderr.read() == ""
        assert ended.wait(timeout=60) == 128 + signal.SIGPIPE
