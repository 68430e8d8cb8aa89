"""What a request asks for beside its pictures: the options of its query."""

import dataclasses
from collections.abc import Mapping, Sequence

from ferjax.documents.words import TRUTHS, shorten, suggest
from ferjax.serving.refusal import Refusal
from ferjax.views import VIEWS

# Integrated gradients take up to a thousand passes for a face: too long for a server.
EXPLAIN = ("none", "grad_cam")


@dataclasses.dataclass(frozen=True)
class Wishes:
    """Whether faces are sought or each picture is a ready crop; the test-time views; how answers are explained."""

    detect: bool = True
    views: str = "none"
    explain: str = "none"


def parse_wishes(query: Sequence[tuple[str, str]]) -> Wishes:
    """Read the query's names and values. Raises Refusal for unknown ones and for repetitions."""
    given = dict(query)
    names = [field.name for field in dataclasses.fields(Wishes)]
    for name in given:
        if name not in names:
            known = suggest(name, names, f"there are {', '.join(names)}.")
            raise Refusal(400, f"There is no option {shorten(name)!r}; {known}")
    if len(given) < len(query):
        raise Refusal(400, "An option is given twice: give each once.")
    return Wishes(
        detect=TRUTHS[_choose(given, "detect", tuple(TRUTHS), "true")],
        views=_choose(given, "views", tuple(VIEWS), "none"),
        explain=_choose(given, "explain", EXPLAIN, "none"),
    )


def _choose(given: Mapping[str, str], name: str, allowed: Sequence[str], default: str) -> str:
    value = given.get(name, default)
    if value not in allowed:
        raise Refusal(400, f"{name}={shorten(value)!r} is not one of {', '.join(allowed)}.")
    return value
