#!/usr/bin/env bash
# Times several seeds on one device: all of them vmapped in one step against a step each, in turns in one process; medians
# after compilation. Usage: scripts/time_seeds.sh [SEEDS]; wants a quiet machine. `parallel.seeds` chooses by this.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

.venv/bin/python -m scripts.benchmarks.time_seeds "$@"
