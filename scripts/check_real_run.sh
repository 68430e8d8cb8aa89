#!/usr/bin/env bash
# The time to read all real faces; then VGG19 on some of them for some dozens of steps, killed twice on the way (SIGTERM,
# then SIGKILL) and resumed each time.
# Usage: scripts/check_real_run.sh FOLDER, which holds fer2013.npz and the materialize.py that writes the csv of it.
set -euo pipefail
source=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python=.venv/bin/python

"$python" "$source/materialize.py" csv "$folder/fer2013.csv"

FERJAX_CACHE="$folder/cache" "$python" -m scripts.benchmarks.read_time "$folder/fer2013.csv"

# Some hundred rows of each split: evaluating all of them would take as long as the steps.
awk -F, 'NR == 1 || rows[$3]++ < 600' "$folder/fer2013.csv" > "$folder/some.csv"

# train STEPS [SIGNAL LINES]: run to STEPS, or send SIGNAL once metrics.jsonl has LINES lines; sets $status.
train() {
  "$python" -m ferjax.main --config configs/random_init.py --workdir "$folder/run" \
    --config.data.path="$folder/some.csv" --config.train.batch_size=32 --config.train.steps="$1" \
    --config.train.log_every_steps=2 --config.train.checkpoint_interval_s=5 &
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

"$python" -m scripts.benchmarks.killed_run "$folder/run" 40
