"""The flags of every command: what they share, the config with its overrides, and one sentence for each mistake."""

import argparse
import itertools
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ferjax import paths
from ferjax.documents.words import TRUTHS, suggest
from ferjax.errors import UserError

_SWITCH = "true|false"


class FlagMistake(Exception):  # noqa: N818 - a mistake in what was asked, not in the program
    """A flag or a config key that cannot be used; the command ends with exit code 2."""


class Parser(argparse.ArgumentParser):
    """argparse with the conventions of every command here.

    A flag is --name=value or --name value; a switch is --name, --noname, or --name=true or false, and takes no word
    after it, which may be a file. A mistake raises FlagMistake with one sentence. `takes_config` adds --config and its
    overrides, --config.group.key=value; `takes_data` adds --data.key=value, which are keys of the config's group data.
    """

    def __init__(
        self, prog: str, description: str | None, *, takes_config: bool = False, takes_data: bool = False
    ) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.takes_config, self.takes_data = takes_config, takes_data
        self._switches: list[str] = []
        self.add_argument("-h", "--help", action="store_true", help="show this help")
        if takes_config:
            self.add_argument(
                "--config", metavar="FILE", help="a config file, or the name of one of ferjax's own, such as quickstart"
            )

    def add_switch(self, name: str, text: str) -> None:
        """Add a flag that is off unless it is given."""
        self._switches.append(name.removeprefix("--"))
        self.add_argument(name, type=_parse_switch, default=False, metavar=_SWITCH, help=text)

    def format_help(self) -> str:
        # argparse would show --name true|false, which is read as a switch and a word after it.
        shown = re.escape(_SWITCH)
        return re.sub(rf"(--\w+) {shown}(?:  (?= ))?", rf"\1[={_SWITCH}]", super().format_help())

    def error(self, message: str) -> NoReturn:
        raise FlagMistake(f"{message[0].upper()}{message[1:]}; see --help.")

    def parse(self, arguments: Sequence[str] | None) -> argparse.Namespace | None:
        """Read the arguments (by default the process's); None where --help was asked for and has been printed.

        With `takes_config` the result's `config` is the ConfigDict, with the overrides in it, and `config_file` its
        path; with `takes_data` its `data` are the values by key. Raises FlagMistake.
        """
        words = list(sys.argv[1:] if arguments is None else arguments)
        # What comes behind a -- is no flag, such as a file whose name begins with a dash.
        flags = words.index("--") if "--" in words else len(words)
        for word in words[:flags]:
            if word.startswith("-") and word not in self._option_string_actions and self._is_file(word):
                raise FlagMistake(f"{word} begins as flags do: name the file as ./{word}, or behind a --.")
        for word, behind in itertools.pairwise(words[:flags]):
            is_truth = behind in ("true", "false") and not os.path.lexists(behind)  # 0 and 1 are cameras
            switch = self._normalize(word).partition("=")[0]
            if is_truth and "=" not in word and switch in map("--{}".format, self._switches):
                raise FlagMistake(f"{word} takes no word after it: write {switch}={behind}, or {word} alone.")
        given = [*map(self._normalize, words[:flags]), *words[flags:]]
        if "--help" in given or "-h" in given:
            print(self.format_help())
            if self.takes_config:
                from ferjax.config.document import to_help  # with all rooms, which other commands do not need

                print(to_help())
            return None
        overrides: dict[str, str | None] = {}
        if self.takes_config:
            given, overrides = _take_overrides(given, "--config.")
        elif self.takes_data:
            # The long name is the one that the training command has.
            given = [re.sub(r"^--config\.data\.", "--data.", argument) for argument in given]
            given, overrides = _take_overrides(given, "--data.")
        found, unknown = self.parse_known_args(given)
        if unknown:
            self._refuse(next((word for word in words if self._normalize(word) == unknown[0]), unknown[0]))
        if self.takes_config:
            _load_config(found, overrides)
        elif self.takes_data:
            found.data = _parse_data(overrides)
        return found

    def _is_file(self, word: str) -> bool:
        """Return whether a word with a dash before it is a file, or would be one by its suffix where files are taken.

        Keys of a config have dots too.
        """
        takes_files = self._get_positional_actions() and not (self.takes_config or self.takes_data)
        return os.path.lexists(word) or bool(takes_files and re.fullmatch(r"-[a-zA-Z_][^=]*\.\w+", word))

    def _normalize(self, argument: str) -> str:
        """Return -name as --name, --noswitch as --switch=false, and --switch as --switch=true."""
        if re.match(r"-[a-zA-Z]\w+", argument):
            argument = f"-{argument}"
        if not argument.startswith("--"):
            return argument
        name = argument.removeprefix("--")
        if name in self._switches:
            return f"--{name}=true"
        if name.startswith("no") and name[2:] in self._switches:
            return f"--{name[2:]}=false"
        return argument

    def _refuse(self, argument: str) -> NoReturn:
        if not argument.startswith("-"):
            raise FlagMistake(f"What is {argument!r}? Every argument is a --flag; see --help.")
        name = argument.partition("=")[0]
        flags = [flag.removeprefix("--") for flag in self._option_string_actions if flag.startswith("--")]
        known = suggest(name.lstrip("-"), flags, "--help lists all.", prefix="--")
        raise FlagMistake(f"There is no flag {name}; {known}")


def whole_number(low: int) -> Callable[[str], int]:
    """Make the type of a flag that takes whole numbers from `low` up."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"-?\d+", text) or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {low} up")
        return int(text)

    return parse


def file_path(text: str) -> pathlib.Path:
    """Read a path, the type of every flag that takes one; raises FlagMistake for what is none (ferjax.paths)."""
    try:
        return paths.parse(text)
    except UserError as error:
        raise FlagMistake(str(error)) from error


def _parse_switch(text: str) -> bool:
    if text.lower() not in TRUTHS:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return TRUTHS[text.lower()]


def _take_overrides(arguments: Sequence[str], prefix: str) -> tuple[list[str], dict[str, str | None]]:
    """Return the arguments that do not begin with `prefix`, and the values of the others by key.

    An override is --config.key=value, --config.key value, or --config.key alone, which is a switch that is on.
    """
    rest: list[str] = []
    overrides: dict[str, str | None] = {}
    waiting = None
    for argument in arguments:
        if waiting is not None and not argument.startswith("--"):
            overrides[waiting], waiting = argument, None
            continue
        waiting = None
        if argument.startswith(prefix):
            key, equals, value = argument.removeprefix(prefix).partition("=")
            overrides[key] = value if equals else None
            waiting = None if equals else key
        else:
            rest.append(argument)
    return rest, overrides


def _parse_data(overrides: dict[str, str | None]) -> dict[str, Any]:
    """Read the values of keys of the group data; return them by their names without the group."""
    from ferjax import config

    names = [key.removeprefix("data.") for key in config.KEYS if key.startswith("data.")]
    try:
        for name in overrides:
            if name not in names:
                known = suggest(name, names, f"there are --data.{', --data.'.join(names)}.", prefix="--data.")
                raise FlagMistake(f"There is no flag --data.{name}; {known}")
        return {name: _parse_override(f"data.{name}", text, f"--data.{name}") for name, text in overrides.items()}
    except (config.KeyMistake, UserError) as error:
        raise FlagMistake(str(error)) from error


def _parse_override(key: str, text: str | None, flag: str) -> Any:
    """Read the value of a key; without a text, a key of true and false is a switch that is on."""
    from ferjax import config

    if text is None and config.find_kind(key) is not bool:
        raise FlagMistake(f"{flag} lacks its value: {flag}=VALUE.")
    return config.parse_value(key, "true" if text is None else text)


def _load_config(found: argparse.Namespace, overrides: dict[str, str | None]) -> None:
    """Replace the name of the config's file by the config, with its overrides set and its keys checked."""
    from ferjax import config

    try:
        config.check_overrides(overrides)
        if found.config is None:
            raise FlagMistake("--config is missing: for example --config quickstart.")
        values = {key: _parse_override(key, text, f"--config.{key}") for key, text in overrides.items()}
        found.config_file = config.find_config_file(found.config)
        found.config = config.read_config(found.config_file, values)
    except (config.KeyMistake, UserError) as error:
        raise FlagMistake(str(error)) from error
