"""`python -m ferjax.evaluate`: report on finished runs."""

import sys

from ferjax.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
