"""The first import of matplotlib, which must work whatever the environment says of how to show figures."""

import contextlib
import os
import sys


def _import_matplotlib() -> None:
    """Import matplotlib where MPLBACKEND names a backend that is not installed, as below a foreign notebook, too.

    Where it is installed, matplotlib is as the user wants it.
    """
    wanted = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if wanted is not None:
            os.environ["MPLBACKEND"] = wanted
    with contextlib.suppress(ValueError):
        if wanted:
            matplotlib.rcParams["backend"] = wanted


if "matplotlib" not in sys.modules:
    _import_matplotlib()
