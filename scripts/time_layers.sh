#!/usr/bin/env bash
# Times the layers whose form ferjax chose by measurement, each against its alternatives, interleaved in one process:
# medians of several rounds after compilation. Usage: scripts/time_layers.sh [BATCH]; wants a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

.venv/bin/python -m scripts.benchmarks.time_layers "$@"
