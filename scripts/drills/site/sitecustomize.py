"""Python reads this as it starts where this folder is in PYTHONPATH: ferjax then notes which stage it is in.

FERJAX_DRILL_STAGES names the file, which gets a line at each change of the stage. What a program does before ferjax's
first stage, and after its last, has no name.
"""

import functools
import importlib.abc
import importlib.machinery
import os
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

# By module: the functions, each with the stage that it is.
_STAGES = {
    "ferjax.data": {"load": "data"},
    "ferjax.parallel.memory": {"MemoryCheck.__call__": "first compilation"},
    "ferjax.training.loop": {
        "Loop.train": "training",
        "Loop._finish_epoch": "validation",
        "Loop.evaluate_best": "evaluation",
    },
    "ferjax.cli.evaluate": {"evaluate": "report", "evaluate_study": "report"},
    "ferjax.search.results": {"write_results": "report", "draw": "report"},
}
_entered: list[str] = []  # the stages that are under way, the innermost last
_once: set[str] = set()


def _note(stage: str) -> None:
    file = os.open(os.environ["FERJAX_DRILL_STAGES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{stage}\n".encode())
    os.close(file)


def _mark(function: Callable[..., Any], stage: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def marked(*arguments: Any, **named: Any) -> Any:
        if stage.startswith("first ") and stage in _once:
            return function(*arguments, **named)
        _once.add(stage)
        _entered.append(stage)
        _note(stage)
        try:
            return function(*arguments, **named)
        finally:
            _entered.pop()
            _note(_entered[-1] if _entered else "")

    return marked


def _mark_module(module: ModuleType) -> None:
    for path, stage in _STAGES[module.__name__].items():
        *owners, name = path.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, name, _mark(getattr(owner, name), stage))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of the stages as Python does, and marks their functions when they have been executed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in _STAGES:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None:
            return spec
        execute = spec.loader.exec_module

        def execute_and_mark(module: ModuleType) -> None:
            execute(module)
            _mark_module(module)

        spec.loader.exec_module = execute_and_mark  # type: ignore[method-assign]
        return spec


if "FERJAX_DRILL_STAGES" in os.environ:
    sys.meta_path.insert(0, _Finder())
