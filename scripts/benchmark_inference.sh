#!/usr/bin/env bash
# Times a network in use: the classifier alone, a video from its file to its rows, the command's start, memory.
# Usage: scripts/benchmark_inference.sh [--network RUN] [--minutes 5]; wants a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
EXTRAS=dev
source scripts/install.sh

.venv/bin/python -m scripts.benchmarks.inference "$@"
