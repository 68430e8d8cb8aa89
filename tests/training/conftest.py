import pytest

from ferjax.training import run


@pytest.fixture
def programs(monkeypatch):
    """The programs that are compiled from here on."""
    made, create = [], run.compile_functions

    def create_and_keep(*arguments, **named):
        made.append(create(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(run, "compile_functions", create_and_keep)
    return made
