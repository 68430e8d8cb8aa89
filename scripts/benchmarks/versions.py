"""Print the versions of the named packages that this interpreter has, as JSON.

python -m scripts.benchmarks.versions NAME...
"""

import importlib.metadata
import json
import sys


def main() -> None:
    """Leave out what is not installed."""
    found = {}
    for name in sys.argv[1:]:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    print(json.dumps(found))


if __name__ == "__main__":
    main()
