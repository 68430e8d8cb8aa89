"""The console command `ferjax COMMAND`, which is `python -m ferjax` too; every command is a file of this folder."""

import importlib
import signal
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ferjax import __version__
from ferjax.cli.endings import fail, show
from ferjax.documents.words import suggest

# The command's file, and what it does.
COMMANDS: Mapping[str, str] = MappingProxyType(
    {
        "train": "train by a config, evaluate the best epoch, report",
        "evaluate": "report on finished runs: one, repeated ones, or settings of them; score a run on other images",
        "predict": "find the faces of pictures and videos, and say what they express",
        "export": "write a run's network as ONNX, StableHLO, and a folder for model hubs",
        "explain": "show which pixels of a picture an answer comes from",
        "serve": "answer on a page and to other programs, on this machine",
        "search": "search over config keys on the validation split",
        "audit": "say what is wrong with a data set: copies, contradictions, flat images",
        "weights": "check and convert published ImageNet weights once",
        "configs": "list the configs that ferjax brings along, or print every config key",
    }
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names; its exit code, or 2 where there is no such command."""
    name, *rest = (sys.argv[1:] if arguments is None else arguments) or ("",)
    if name in ("", "-h", "--help", "help"):
        return show(_describe(), 0 if name else 2)
    if name == "--version":
        return show(f"ferjax {__version__}", 0)
    if name not in COMMANDS:
        known = suggest(name, COMMANDS, "")
        return fail(f"There is no command {name}; {known}{' ' * bool(known)}ferjax --help lists all.", 2)
    try:
        command = importlib.import_module(f"ferjax.cli.{name}")
    except KeyboardInterrupt:  # the imports take seconds; later ones are the command's own affair
        return fail("Interrupted.", 128 + signal.SIGINT)
    code: int = command.main(rest)
    return code


def _describe() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, text in COMMANDS.items()]
    return "\n".join(["usage: ferjax COMMAND [--help] ...", "", *lines, "", "ferjax COMMAND --help says more."])
