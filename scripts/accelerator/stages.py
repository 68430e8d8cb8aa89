"""The stages of the check, the most wanted first."""

import dataclasses
import types
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Stage:
    """The file and the function of a stage, its seconds of a check of 580, and what it shows."""

    module: str
    function: str
    seconds: float
    text: str


STAGES: Mapping[str, Stage] = types.MappingProxyType(
    {
        "devices": Stage("devices", "run", 30, "devices, versions, and what one device can do at best"),
        "numerics": Stage("numerics", "run", 50, "each part of a step beside the CPU in full precision"),
        "speed": Stage("speed", "run", 150, "images/s and utilisation of VGG19 and the compact network"),
        "accuracy": Stage("accuracy", "run", 60, "the seconds that configs/fast.py takes to each accuracy"),
        "pytorch": Stage("peer", "run", 60, "PyTorch on the same work"),
        "resume": Stage("resume", "run", 80, "whether a killed run ends in the same bits"),
        "seeds": Stage("speed", "run_seeds", 40, "five seeds side by side beside one"),
        "options": Stage("speed", "run_options", 50, "what options of XLA's compiler bring"),
        "study": Stage("accuracy", "run_study", 60, "the report's settings on VGG19 from random weights"),
    }
)
