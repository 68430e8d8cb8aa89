"""Check what a run left that was killed and resumed: every logged step is there once, and a report.

    python -m scripts.benchmarks.killed_run WORKDIR STEPS

The run logged a line every 2 steps.
"""

import json
import pathlib
import sys

LOG_EVERY_STEPS = 2


def main() -> int:
    """Print the report's accuracy; return 1 where a step is missing or there twice."""
    workdir, wanted = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    steps = [line["step"] for line in lines if line["split"] == "train_step"]
    if steps != list(range(LOG_EVERY_STEPS, wanted + 1, LOG_EVERY_STEPS)):
        print(f"metrics.jsonl has the steps {steps}, not every second one to {wanted}.", file=sys.stderr)
        return 1
    report = json.loads((workdir / "report.json").read_text())
    accuracy = f"{report['split']} accuracy {report['accuracy']:.1%} on {report['n']} images"
    print(f"VGG19, {wanted} steps, killed twice: {accuracy}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
