"""List the configs that ferjax brings along, or print every config key.

ferjax configs [--keys]
"""

import argparse
import pathlib
from collections.abc import Sequence

from ferjax.cli import endings
from ferjax.cli.flags import Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the list; return the exit code."""
    parser = Parser("ferjax configs", __doc__)
    parser.add_switch("--keys", "print every key with its default, legal values and meaning, as Markdown")
    return endings.run(parser, arguments, _list, folder=lambda _: pathlib.Path())


def _list(found: argparse.Namespace) -> None:
    from ferjax.config import document, list_configs

    print(document.to_markdown() if found.keys else "\n".join(list_configs()))
