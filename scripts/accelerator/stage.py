"""The process of one stage; __main__.py starts it.

python -m scripts.accelerator.stage NAME OUT WORK LIMIT_S SHORT DATA
"""

import importlib
import logging
import pathlib
import sys

from scripts.accelerator.recorder import Recorder
from scripts.accelerator.stages import STAGES


def main() -> None:
    """Run the stage; whatever it raises is a line of the results."""
    name, out, work, limit_s, short, data = sys.argv[1:]
    recorder = Recorder(name, pathlib.Path(out), pathlib.Path(work), float(limit_s), short == "True", data)
    logging.getLogger("ferjax").setLevel(logging.ERROR)
    with recorder.attempt("stage"):
        stage = STAGES[name]
        getattr(importlib.import_module(f"scripts.accelerator.{stage.module}"), stage.function)(recorder)


if __name__ == "__main__":
    main()
