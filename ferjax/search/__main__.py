"""`python -m ferjax.search`: search over config keys."""

import sys

from ferjax.cli.console import main

if __name__ == "__main__":
    sys.exit(main(["search", *sys.argv[1:]]))
