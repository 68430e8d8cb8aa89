"""Saves leave no memory behind."""

import tracemalloc

import pytest

from ferjax.training.checkpoint import Checkpoints
from ferjax.training.orbax_memory import FolderSpecs
from ferjax.training.places import Place
from scripts.drills.states import create_state

SAVES = 8


def test_saves_leave_next_to_no_objects_behind(tmp_path):
    manager, state, kept = Checkpoints(tmp_path), create_state(), []
    tracemalloc.start()
    for step in range(SAVES):
        manager.save(Place(True, step, True), state)
        manager.wait()
        traces = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, "*/tensorstore_utils.py")])
        kept.append(sum(trace.count for trace in traces.statistics("filename")))
    tracemalloc.stop()
    manager.close()
    assert (kept[-1] - kept[2]) / (SAVES - 3) < 100, "tensorstore keeps some hundred objects of every save"


@pytest.mark.parametrize(("place", "calls"), [("path", 3), ("prefix", 6)])
def test_an_orbax_that_puts_the_name_elsewhere_is_asked_each_time(place, calls):
    asked = []

    def describe(directory, name=None, **more):
        asked.append((directory, name))
        spec = {"driver": "ocdbt", "base": {"path": directory}, **more}
        return spec if name is None else {**spec, place: name}

    specs = FolderSpecs(describe)
    for directory in "ab":
        for name in "xy":
            wanted = {"driver": "ocdbt", "base": {"path": directory}, "write_options": 3, place: name}
            found = specs(directory=directory, name=name, write_options=3)
            assert found == wanted
            found["base"]["path"] = "changed by the caller"
    assert specs(directory="a", name=None, write_options=3) == {
        "driver": "ocdbt",
        "base": {"path": "a"},
        "write_options": 3,
    }
    assert len(asked) == calls
