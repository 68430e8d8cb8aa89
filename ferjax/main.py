"""`python -m ferjax.main`: train by a config and report."""

import sys

from ferjax.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
