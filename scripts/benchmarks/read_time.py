"""Time how fast a data set is read: once with an empty cache, once from it; fail where that is far too slow.

    python -m scripts.benchmarks.read_time PATH

The first read is to take 2 s and the second 0.3 s; the limits here leave room for a busy machine.
"""

import resource
import sys
import time

from ferjax import data

FIRST_S, SECOND_S, PEAK_MB = 8.0, 1.0, 1024.0


def main() -> int:
    """Print the times and the memory; return 1 where a limit is passed."""
    seconds = []
    for _ in range(2):
        start_s = time.perf_counter()
        rows = data.read(sys.argv[1])
        seconds.append(time.perf_counter() - start_s)
    first_s, second_s = seconds
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(rows)} rows of {sys.argv[1]}: first read {first_s:.2f} s, second {second_s:.3f} s, "
        f"peak memory {peak_mb:.0f} MB"
    )
    if first_s < FIRST_S and second_s < SECOND_S and peak_mb < PEAK_MB:
        return 0
    print(f"The limits are {FIRST_S:g} s, {SECOND_S:g} s and {PEAK_MB:g} MB.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
