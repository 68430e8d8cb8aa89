"""`python -m ferjax.search`: search over config keys."""

import sys

from ferjax.cli.search import main

if __name__ == "__main__":
    sys.exit(main())
