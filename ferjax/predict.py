"""`python -m ferjax.predict`: find the faces of pictures and videos, and say what they express."""

import sys

from ferjax.cli.console import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
