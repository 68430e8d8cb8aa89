"""`python -m ferjax COMMAND`: the console command, where its script is not on the path."""

import sys

from ferjax.cli.console import main

if __name__ == "__main__":
    sys.exit(main())
