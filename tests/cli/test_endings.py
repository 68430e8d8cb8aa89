"""How commands end: one sentence on stderr and a code."""

import errno
import importlib
import logging
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser
from ferjax.errors import UserError
from ferjax.interrupt import InterruptedRun, LeftAtOnce


def end(work, *arguments, **more):
    parser = Parser("ferjax command", "Does something.")
    parser.add_argument("--workdir", default="runs/mine")
    return endings.run(parser, arguments, work, folder=lambda found: pathlib.Path(found.workdir), **more)


def end_with(error, *arguments, **more):
    def work(_):
        raise error

    return end(work, *arguments, **more)


def test_work_that_is_done_ends_with_0_and_says_nothing(capsys):
    seen = []
    assert end(seen.append, "--workdir=x") == 0
    assert seen[0].workdir == "x"
    assert capsys.readouterr() == ("", "")


def test_help_ends_with_0_and_works_not(capsys):
    assert end_with(AssertionError, "--help") == 0
    out, err = capsys.readouterr()
    assert "Does something." in out
    assert err == ""


@pytest.mark.parametrize(
    ("error", "arguments", "code", "said"),
    [
        (None, ["--wordkir=x"], 2, "There is no flag --wordkir; did you mean --workdir?"),
        (FlagMistake("--space is missing: name train.epochs."), [], 2, "--space is missing: name train.epochs."),
        (UserError("There is no data set."), [], 1, "There is no data set."),
        (
            OSError(errno.ENOSPC, "No space left on device", "disk/file"),
            [],
            1,
            "disk/file: No space left on device; mend that, and give the same command again.",
        ),
        (OSError("odd"), ["--workdir=x"], 1, "x: odd; mend that, and give the same command again."),
        (OSError("odd"), ["--workdir=."], 1, "odd; mend that, and give the same command again."),
        (FileExistsError(errno.EEXIST, "File exists", "x.png"), [], 1, "x.png is a file: name a folder."),
        (
            NotADirectoryError(errno.ENOTDIR, "Not a directory", "x.png/y"),
            [],
            1,
            "x.png/y lies in a file and not in a folder: name another place.",
        ),
        (KeyboardInterrupt(), [], 130, "Interrupted; the same command starts again."),
        (InterruptedRun(signal.SIGINT, "Saved step 3."), [], 130, "Saved step 3."),
        (InterruptedRun(signal.SIGTERM, "Saved step 3."), [], 143, "Saved step 3."),
        (LeftAtOnce(signal.SIGTERM, "Left at once."), [], 143, "Left at once."),
    ],
)
def test_a_mistake_is_one_sentence_and_its_code(capsys, error, arguments, code, said):
    assert end_with(error, *arguments) == code
    assert capsys.readouterr() == ("", f"ferjax: {said}\n")


def test_a_command_may_say_what_an_interruption_left(capsys):
    assert end_with(KeyboardInterrupt(), interrupted="What was downloaded is kept.") == 130
    assert capsys.readouterr().err == "ferjax: What was downloaded is kept.\n"


@pytest.fixture
def ctrl_c():
    """Ctrl-C as a terminal's program has it: a program in the background, such as these tests, may ignore it."""
    kept = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, kept)


def test_an_interruption_that_a_library_swallows_or_turns_into_its_own_error_is_one(ctrl_c, capsys):
    def swallow(_):
        class Callback:
            def __del__(self):
                raise KeyboardInterrupt

        Callback()
        time.sleep(5)

    assert end(swallow) == 130
    error = ImportError("Encountered an error while initializing the extension.")
    error.__cause__ = KeyboardInterrupt()
    assert end_with(error) == 130
    assert capsys.readouterr().err == 2 * "ferjax: Interrupted; the same command starts again.\n"
    error.__cause__ = InterruptedRun(signal.SIGTERM, "Saved step 3.")
    assert end_with(error) == 143
    assert capsys.readouterr().err == "ferjax: Saved step 3.\n"


def test_a_fault_behind_a_ctrl_c_is_a_fault():
    error = ValueError("the save is broken")
    error.__context__ = KeyboardInterrupt()
    with pytest.raises(ValueError, match="the save is broken"):
        end_with(error)
    with pytest.raises(ImportError):
        end_with(ImportError("no module"))


def test_what_nobody_foresaw_is_a_traceback():
    with pytest.raises(ZeroDivisionError):
        end_with(ZeroDivisionError())


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        (
            "train.epochs=0 is out of range: it must be >= 1.",
            "--config.train.epochs=0 is out of range: it must be >= 1.",
        ),
        (
            "Lower optim.learning_rate, set optim.clip_norm, or train.epochs, and go on.",
            "Lower --config.optim.learning_rate, set --config.optim.clip_norm, or --config.train.epochs, and go on.",
        ),
        ("Use data.split=stratified.", "Use --config.data.split=stratified."),
        ("The key is data.path.", "The key is --config.data.path."),
        ("It is 'model.name'.", "It is '--config.model.name'."),
        ("(train.seeds)", "(--config.train.seeds)"),
        # The longest key, not one that it begins with.
        ("data.split_seed=-1 and data.split", "--config.data.split_seed=-1 and --config.data.split"),
        (
            "parallel.seeds, train.seed: train.seeds",
            "--config.parallel.seeds, --config.train.seed: --config.train.seeds",
        ),
        # Once, where it is written out already.
        ("--config.input.scaling=none", "--config.input.scaling=none"),
        ("--data.path=x", "--data.path=x"),
        # Not in names of files and of parts of the program.
        ("runs/data.path/faces.csv", "runs/data.path/faces.csv"),
        ("data.path/faces.csv and data.path.csv", "data.path/faces.csv and data.path.csv"),
        ("my-data.path, xdata.path and a.data.path", "my-data.path, xdata.path and a.data.path"),
        ("no.such key, data.paths", "no.such key, data.paths"),
    ],
)
def test_keys_are_spelled_as_the_flags_that_change_them(sentence, said):
    assert endings.spell_keys(sentence, Parser("ferjax command", None, takes_config=True)) == said
    # A command without such flags leaves them as they are.
    assert endings.spell_keys(sentence, Parser("ferjax command", None)) == sentence


def test_a_command_of_data_flags_spells_only_those():
    parser = Parser("ferjax command", None, takes_data=True)
    assert endings.spell_keys("data.path=x, train.seed=3", parser) == "--data.path=x, train.seed=3"


def test_a_mistake_is_said_in_the_flags_of_the_command(capsys):
    def work(_):
        raise UserError("train.epochs=0 is out of range.")

    parser = Parser("ferjax command", None, takes_config=True)
    assert endings.run(parser, ["--config", "quickstart"], work, folder=lambda _: pathlib.Path()) == 1
    assert capsys.readouterr().err == "ferjax: --config.train.epochs=0 is out of range.\n"


def test_progress_goes_to_stderr_and_libraries_are_quiet(capsys):
    def work(_):
        logging.getLogger("ferjax").info("Step 3.")
        logging.getLogger("absl").warning("inner life")
        endings.be_quiet()
        logging.getLogger("ferjax").info("Step 4.")

    assert end(work) == 0
    assert end(lambda _: logging.getLogger("ferjax").info("Again.")) == 0
    assert capsys.readouterr() == ("", "Step 3.\nAgain.\n")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", r"14 % \xb1 2 \u65e5"), ("latin-1", "14 % ± 2 \\u65e5"), ("utf-8", "14 % ± 2 日")]
)
def test_a_terminal_gets_what_it_can_show(encoding, shown):
    program = "from ferjax.cli import endings; endings.start_logging(); print('14 % \\xb1 2 \\u65e5')"
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=False)
    assert (done.stdout.decode(encoding).strip(), done.returncode) == (shown, 0), done.stderr


def test_streams_that_are_closed_take_all_and_no_file_gets_their_numbers(tmp_path):
    program = (
        "import sys, logging; from ferjax.cli import endings; endings.start_logging(); "
        "file = open(sys.argv[1], 'w'); print('out', flush=True); "
        "logging.getLogger('ferjax').info('said'); endings.fail('wrong', 1); sys.exit(file.fileno() <= 2)"
    )
    command = f'exec "{sys.executable}" -c "{program}" "{tmp_path}/data" <&- >&- 2>&-'
    assert subprocess.run(["bash", "-c", command], check=False).returncode == 0
    assert (tmp_path / "data").read_bytes() == b""


def test_only_a_command_that_goes_on_says_so(capsys):
    assert end_with(OSError(errno.EIO, "Input/output error"), goes_on=True) == 1
    assert (
        capsys.readouterr().err == "ferjax: runs/mine: Input/output error; mend that, and the same command goes on.\n"
    )


@pytest.mark.parametrize("command", ["train", "search", "weights", "predict", "export", "evaluate"])
def test_training_searching_and_converting_go_on(command, capsys, monkeypatch):
    """Each command has the ending that is true of it: these three find what they did before the accident."""
    told = []
    monkeypatch.setattr(endings, "run", lambda *_, goes_on=False, **__: told.append(goes_on) or 0)
    assert importlib.import_module(f"ferjax.cli.{command}").main([]) == 0
    assert told == [command in ("train", "search", "weights")]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "work", ['print("x" * 100_000)', 'print("x")', 'sys.stdout.buffer.write(b"x"); sys.stdout.buffer.flush()', "--help"]
)
def test_a_full_output_is_not_blamed_on_the_folder(work, unbuffered):
    program = f"""
import argparse, pathlib, sys
from ferjax.cli import endings
from ferjax.cli.flags import Parser
def work(_):
    {work if work != "--help" else "pass"}
given = {["--help"] if work == "--help" else []}
sys.exit(endings.run(Parser("ferjax command", "Does."), given, work, folder=lambda _: pathlib.Path("runs/mine")))
"""
    assert fill_output(["-c", program], unbuffered) == (1, _FULL)


def test_a_full_output_is_a_sentence_where_the_commands_are_listed():
    assert fill_output(["-m", "ferjax", "--help"], "") == (1, _FULL)


_FULL = "ferjax: the standard output: No space left on device; mend that, and give the same command again.\n"


def fill_output(arguments, unbuffered):
    """Run Python where the disk of its output is full; return its exit code and what it said."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False, env=environment
        )
    return done.returncode, done.stderr


def test_what_a_mistake_breaks_off_is_not_complained_of():
    program = """
import pathlib, sys
from ferjax.cli import endings
from ferjax.cli.flags import Parser
from ferjax.errors import UserError
async def write(): pass
def work(_):
    global left
    left = write()
    raise UserError("wrong")
sys.exit(endings.run(Parser("ferjax command", "Does."), [], work, folder=lambda _: pathlib.Path("x")))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "ferjax: wrong\n")


def test_what_libraries_complain_of_behind_a_full_disk_is_no_traceback():
    program = """
import atexit, errno, os, threading
from ferjax.cli import endings
endings.start_logging()
def refuse():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
thread = threading.Thread(target=refuse)
thread.start()
thread.join()
atexit.register(refuse)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == "A file beside the run cannot be written: No space left on device.\n"
