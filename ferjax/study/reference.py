"""What a study needs to know about published figures, to set them beside its own."""

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from ferjax.study.runs import Setting


@runtime_checkable
class Reference(Protocol):
    """The figures that somebody has published for some settings, and how ours were measured differently."""

    @property
    def title(self) -> str:
        """Name the publication in one word: the head of its columns."""

    @property
    def note(self) -> str:
        """Say what a reader must know about the published figures."""

    @property
    def baseline(self) -> str:
        """Name the setting that the others are compared with where the user names none."""

    @property
    def families(self) -> Mapping[str, str]:
        """List what belongs in one plot: a title for each beginning of a setting's name."""

    def look_up(self, setting: Setting, metric: str, class_name: str) -> Mapping[str, float]:
        """Look up the published figures (0..1) of a score, by statistic; empty where nothing is published."""

    def find_departures(self, setting: Setting) -> list[str]:
        """List what was measured differently from the published setting of that name; empty where there is none."""
