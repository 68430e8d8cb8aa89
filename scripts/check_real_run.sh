#!/usr/bin/env bash
# VGG19 on real faces for some dozens of steps, killed twice on the way (SIGTERM, then SIGKILL) and resumed each time.
# Usage: scripts/check_real_run.sh FOLDER, which holds fer2013.npz and the materialize.py that writes the csv of it.
set -euo pipefail
source=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=.venv/bin/python

"$python" "$source/materialize.py" csv "$folder/fer2013.csv"

# The data set's own promise: read and checked in 2 s, from the cache in 0.3 s. The limits here leave room for a busy machine.
FERJAX_CACHE="$folder/cache" "$python" - "$folder/fer2013.csv" <<'PYTHON'
import resource, sys, time
import ferjax.data

seconds = []
for _ in range(2):
    start = time.perf_counter()
    rows = ferjax.data.read(sys.argv[1])
    seconds.append(time.perf_counter() - start)
peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{len(rows)} rows of the csv: first read {seconds[0]:.2f} s, second {seconds[1]:.3f} s, peak memory {peak_mb:.0f} MB")
assert seconds[0] < 8 and seconds[1] < 1 and peak_mb < 1024
PYTHON

# train STEPS [SIGNAL LINES]: run to STEPS, or send SIGNAL once metrics.jsonl has LINES lines; sets $status.
train() {
  "$python" -m ferjax.main --config configs/random_init.py --workdir "$folder/run" \
    --config.data.path="$folder/fer2013.csv" --config.train.steps="$1" --config.train.log_every_steps=2 \
    --config.train.checkpoint_interval_s=20 &
  local run=$! wait_lines=${3:-}
  if [ -n "$wait_lines" ]; then
    until [ "$(cat "$folder/run/metrics.jsonl" 2>/dev/null | wc -l)" -ge "$wait_lines" ]; do
      kill -0 "$run" || break
      sleep 0.5
    done
    kill -s "$2" "$run"
  fi
  status=0
  wait "$run" || status=$?
}

expect() {
  [ "$status" -eq "$1" ] || { echo "The run exited with $status, not $1." >&2; exit 1; }
}

train 40 TERM 5
expect 143
train 40 KILL 13
expect 137
train 40
expect 0

"$python" - "$folder/run" <<'PYTHON'
import json, pathlib, sys

workdir = pathlib.Path(sys.argv[1])
steps = [json.loads(line)["step"] for line in (workdir / "metrics.jsonl").open() if '"train_step"' in line]
assert steps == list(range(2, 41, 2)), f"metrics.jsonl has steps {steps}"
report = json.loads((workdir / "report.json").read_text())
print(f"VGG19, 40 steps, killed twice: {report['split']} accuracy {report['accuracy']:.1%} on {report['n']} images")
PYTHON
