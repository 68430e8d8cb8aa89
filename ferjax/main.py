"""`python -m ferjax.main`: train by a config and report."""

import sys

from ferjax.cli.console import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
