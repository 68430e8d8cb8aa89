"""List the configs that ferjax brings along, or print every config key.

    ferjax configs [--keys]
"""

from collections.abc import Sequence

from ferjax.cli import endings
from ferjax.cli.flags import FlagMistake, Parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the list; the exit code."""
    parser = Parser("ferjax configs", __doc__)
    parser.add_switch("--keys", "print every key with its default, legal values and meaning, as Markdown")
    try:
        found = parser.parse(arguments)
    except FlagMistake as mistake:
        return endings.fail(str(mistake), 2)
    if found is None:
        return 0
    from ferjax.config import document, list_configs

    print(document.to_markdown() if found.keys else "\n".join(list_configs()))
    return 0
