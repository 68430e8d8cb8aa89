"""Numbers with their nouns and units, and names: as they can be shown, and those that were misspelled."""

import difflib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

# How a user may write that something is so, or not.
TRUTHS: Mapping[str, bool] = MappingProxyType({"true": True, "false": False, "1": True, "0": False})

# Control characters, line breaks of other scripts, and marks that turn the direction of what follows.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def to_line(text: str) -> str:
    """Return a text, such as a file's name, on one line: what would break or turn the line as its code."""
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shorten(text: str, most: int = 200) -> str:
    """Return a text of at most `most` characters as it is, and the beginning of a longer one."""
    return text if len(text) <= most else f"{text[:most]}..."


def count(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s where there is not exactly one: '1 face', '2,000 faces'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def list_first(names: Iterable[str], most: int = 4) -> str:
    """Return the first few of some names with a count of the rest: 'a, b, c, d and 1,996 more'; nothing for none."""
    texts = list(names)
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


def size(number: int) -> str:
    """Return a number of bytes in the unit that suits it: '1 byte', '641 bytes', '5.2 kB', '33.10 MB'."""
    if number < 1000:
        return count(number, "byte")
    return f"{number / 1e3:.1f} kB" if number < 1e6 - 50 else f"{number / 1e6:,.2f} MB"


def suggest(name: str, names: Iterable[str], otherwise: str, *, prefix: str = "") -> str:
    """Return 'did you mean X?' for the one of the names that is nearest, or `otherwise` where none is near.

    `prefix` is what all of them begin with when they are shown, and says nothing of how near they are.
    """
    nearest = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {prefix}{nearest[0]}?" if nearest else otherwise
