"""`python -m ferjax.data.audit`: say what is wrong with a data set."""

import sys

from ferjax.cli.console import main

if __name__ == "__main__":
    sys.exit(main(["audit", *sys.argv[1:]]))
