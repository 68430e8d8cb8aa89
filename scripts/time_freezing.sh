#!/usr/bin/env bash
# Times a training step of VGG19 with its first 0..5 blocks frozen, and counts Adam's memory: medians of several rounds,
# taken in turns in one process, after compilation. Usage: scripts/time_freezing.sh [BATCH [MODEL]]; wants a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

.venv/bin/python -m scripts.benchmarks.time_freezing "$@"
