"""`python -m ferjax.evaluate`: report on finished runs."""

import sys

from ferjax.cli.console import main

if __name__ not in ("__main__", "__mp_main__"):
    # Imported, this module would stand in the place of the function ferjax.evaluate.
    raise ImportError("ferjax.evaluate is a command: call the function ferjax.evaluate, or import ferjax.cli.evaluate.")

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
