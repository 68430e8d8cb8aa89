"""`python -m ferjax.pretrained`: convert published ImageNet weights once."""

import sys

from ferjax.cli.console import main

if __name__ == "__main__":
    sys.exit(main(["weights", *sys.argv[1:]]))
