"""The conventions of every command's flags."""

import pytest

from ferjax.cli.flags import FlagMistake, Parser, whole_number


def create_parser(**takes):
    parser = Parser("ferjax command", "Does something.", **takes)
    parser.add_argument("--workdir", metavar="DIR", help="a folder")
    parser.add_argument("--count", type=whole_number(1), default=4, help="a number")
    parser.add_argument("--name", choices=["one", "two"], help="a word")
    parser.add_switch("--keep_all", "keep everything")
    return parser


def parse(*arguments, **takes):
    return create_parser(**takes).parse(arguments)


def refuse(*arguments, **takes):
    with pytest.raises(FlagMistake) as told:
        parse(*arguments, **takes)
    assert "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize(
    ("arguments", "value"),
    [
        ([], False),
        (["--keep_all"], True),
        (["--nokeep_all"], False),
        (["-keep_all"], True),
        (["-nokeep_all"], False),
        (["--keep_all=true"], True),
        (["--keep_all=True"], True),
        (["--keep_all=1"], True),
        (["--keep_all=false"], False),
        (["--keep_all=0"], False),
        (["--keep_all", "--nokeep_all"], False),
        (["--nokeep_all", "--keep_all"], True),
        (["--keep_all", "--workdir", "x"], True),
        (["--workdir", "keep_all"], False),
        (["--workdir", "nokeep_all"], False),
    ],
)
def test_a_switch_is_on_or_off_and_the_last_one_wins(arguments, value):
    assert parse(*arguments).keep_all is value


def test_a_switch_takes_no_word_after_it_unless_that_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refuse("--keep_all", "true") == (
        "--keep_all takes no word after it: write --keep_all=true, or --keep_all alone."
    )
    assert "write --keep_all=false, or --nokeep_all alone." in refuse("--nokeep_all", "false")
    parser = create_parser()
    parser.add_argument("source", nargs="*")
    assert parser.parse(["--keep_all", "0"]).source == ["0"]  # a camera
    assert parser.parse(["keep_all", "true"]).source == ["keep_all", "true"]
    assert parser.parse(["--keep_all=true", "false"]).source == ["false"]
    (tmp_path / "true").touch()
    assert parser.parse(["--keep_all", "true"]).source == ["true"]


def test_the_help_shows_a_switch_as_it_is_read():
    shown = create_parser().format_help()
    assert "[--keep_all[=true|false]]" in shown
    assert "  --keep_all[=true|false]\n" in shown


def test_what_is_called_like_a_switch_without_dashes_is_a_value():
    assert parse("--workdir", "keep_all").workdir == "keep_all"
    assert "'keep_all'" in refuse("keep_all")


@pytest.mark.parametrize("arguments", [["--workdir=x"], ["--workdir", "x"], ["-workdir=x"], ["-workdir", "x"]])
def test_a_flag_with_one_dash_or_two_and_a_space_or_not(arguments):
    assert parse(*arguments).workdir == "x"


def test_the_last_one_wins_and_a_value_may_have_an_equals_sign():
    assert parse("--workdir=x", "--workdir", "y=z").workdir == "y=z"
    assert parse("--count=3", "--count=2").count == 2
    assert parse("--workdir=").workdir == ""


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--wordkir=x"], "There is no flag --wordkir; did you mean --workdir?"),
        (["--work=x"], "There is no flag --work; did you mean --workdir?"),
        (["--nokeep"], "There is no flag --nokeep; --help lists all."),
        (["-x"], "There is no flag -x; --help lists all."),
        (["-wordkir", "x"], "There is no flag -wordkir; did you mean --workdir?"),
        (["x.py"], "What is 'x.py'? Every argument is a --flag; see --help."),
        (["--keep_all", "yes"], "What is 'yes'? Every argument is a --flag; see --help."),
        (["--workdir"], "Argument --workdir: expected one argument; see --help."),
        (["--name=three"], "Argument --name: invalid choice: 'three'"),
        (["--keep_all=maybe"], "Argument --keep_all: 'maybe' is neither true nor false; see --help."),
        (["--nokeep_all=true"], "There is no flag --nokeep_all"),
        (["--count=0"], "Argument --count: '0' is not a whole number from 1 up; see --help."),
        (["--count", "-3"], "'-3' is not a whole number from 1 up; see --help."),
        (["--count=2.0"], "'2.0' is not a whole number"),
        (["--count="], "'' is not a whole number"),
        (["--count=1_0"], "'1_0' is not a whole number"),
        (["--config.train.epochs=3"], "There is no flag --config.train.epochs"),
    ],
)
def test_a_wrong_flag_is_one_sentence(arguments, sentence):
    assert sentence in refuse(*arguments)


def test_a_whole_number_from_a_bound_up():
    assert parse("--count=1").count == 1
    assert whole_number(-2)("-2") == -2
    assert whole_number(0)("0") == 0


def test_a_missing_flag_is_named():
    parser = Parser("ferjax command", None)
    parser.add_argument("--workdir", required=True)
    with pytest.raises(FlagMistake, match=r"^The following arguments are required: --workdir; see --help\.$"):
        parser.parse([])


def test_help_is_printed_in_place_of_a_result(capsys):
    for asks in (["--help"], ["-h"], ["-help"], ["--nonsense", "--help"]):
        assert parse(*asks) is None
        out = capsys.readouterr().out
        assert "usage: ferjax command" in out
        assert "keep everything" in out
        assert "optim.learning_rate" not in out
    assert parse("--help", takes_config=True) is None
    out = capsys.readouterr().out
    assert "--config FILE" in out
    assert "    optim.learning_rate=0.0001\n" in out


def override(*arguments):
    return parse("--config", "quickstart", *arguments, takes_config=True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config.train.epochs=7"],
        ["--config.train.epochs", "7"],
        ["-config.train.epochs=7"],
        ["-config.train.epochs", "7"],
        ["--config.train.epochs=3", "--config.train.epochs", "7"],
        ["--config.train.epochs", "3", "--config.train.epochs=7"],
    ],
)
def test_an_override_of_the_config(arguments):
    found = override(*arguments, "--workdir=x", "--keep_all")
    assert found.config.train.epochs == 7
    assert found.config.model.name == "compact"
    assert (found.workdir, found.keep_all, found.config_file.stem) == ("x", True, "quickstart")


def test_overrides_come_before_and_between_other_flags():
    found = parse("--config.train.seed", "3", "--workdir", "x", "--config=quickstart", "--count=2", takes_config=True)
    assert (found.config.train.seed, found.workdir, found.count) == (3, "x", 2)


def test_a_key_of_true_and_false_without_a_value_is_on():
    assert override("--config.eval.mirror").config.eval.views == "mirror"
    assert override("--config.eval.mirror", "--keep_all").keep_all
    assert override("--config.eval.mirror=true", "--config.eval.mirror=false").config.eval.views == "none"
    assert override("--config.data.normalize", "false").config.input.scaling == "none"


def test_values_of_overrides_may_look_like_anything():
    assert override("--config.data.path", "keep_all").config.data.path == "keep_all"
    assert override("--config.data.path=a=b --c").config.data.path == "a=b --c"
    assert override("--config.model.hidden=").config.model.hidden == ()
    groups = override("--config.optim.groups", "(('head.*', 1.0), ('.*', 'frozen'))").config.optim.groups
    assert groups == (("head.*", 1.0), (".*", "frozen"))
    # A number below zero is a value, which the range refuses later.
    assert override("--config.train.epochs", "-1").config.train.epochs == -1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--config.train.batchsize=3"], "there is no config key train.batchsize; did you mean train.batch_size?"),
        (["--config.epochs=3"], "there is no config key epochs; did you mean"),
        (["--config.train.epochs=many"], "train.epochs takes a whole number, which 'many' is not."),
        (["--config.train.epochs"], "--config.train.epochs lacks its value: --config.train.epochs=VALUE."),
        (["--config.train.epochs", "--keep_all"], "--config.train.epochs lacks its value"),
        (["--config.data.path"], "--config.data.path lacks its value"),
        (["--config.train.epochs=3", "4"], "What is '4'?"),
        (["--config=nowhere"], "There is no config file nowhere; ferjax's own are"),
    ],
)
def test_a_wrong_override_is_one_sentence(arguments, sentence):
    assert sentence in refuse("--config=quickstart", *arguments, takes_config=True)


def test_without_a_config_the_remedy_is_said():
    assert refuse(takes_config=True) == "--config is missing: for example --config quickstart."
    # A wrong key is said first, since it is wrong with every config.
    assert "did you mean train.epochs" in refuse("--config.train.epoch=3", takes_config=True)


def test_data_keys():
    found = parse("--data.path=x.csv", "--workdir", "y", "--data.split_seed", "3", takes_data=True)
    assert (found.data, found.workdir) == ({"path": "x.csv", "split_seed": 3}, "y")
    assert parse("--config.data.path", "x.csv", "-data.split=stratified", takes_data=True).data == {
        "path": "x.csv",
        "split": "stratified",
    }
    assert parse(takes_data=True).data == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data.pth=x"], "There is no flag --data.pth; did you mean --data.path?"),
        (["--data.path"], "--data.path lacks its value: --data.path=VALUE."),
        (["--data.split_seed=x"], "data.split_seed takes a whole number"),
        (["--data.scaling=none"], "There is no flag --data.scaling; there are --data.path, --data.name"),
        (["--data.normalize"], "There is no flag --data.normalize; there are --data.path, --data.name"),
        (["--config.train.epochs=3"], "There is no flag --config.train.epochs"),
    ],
)
def test_wrong_data_keys_are_one_sentence(arguments, sentence):
    assert sentence in refuse(*arguments, takes_data=True)


@pytest.mark.parametrize("name", ["-dash.jpg", "-f.jpg", "-face"])
def test_a_file_whose_name_begins_with_a_dash_is_told_how_it_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    parser = Parser("ferjax command", None)
    parser.add_argument("-f", "--format")
    parser.add_argument("source", nargs="+")
    with pytest.raises(FlagMistake, match=rf"{name} begins as flags do: name the file as \./{name}, or behind a --\."):
        parser.parse([name])
    assert parser.parse(["--", name]).source == [name]
    assert parser.parse([f"./{name}"]).source == [f"./{name}"]
    with pytest.raises(FlagMistake, match=r"-missing\.jpg begins as flags do"):  # one cannot know what is missing
        parser.parse(["-missing.jpg"])
