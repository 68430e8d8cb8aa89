"""`python -m ferjax.data.audit`: say what is wrong with a data set."""

import sys

from ferjax.cli.audit import main

if __name__ == "__main__":
    sys.exit(main())
