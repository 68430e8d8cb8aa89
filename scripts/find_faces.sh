#!/usr/bin/env bash
# Tries the face detectors on hard pictures: what each finds, what it invents, how long it takes.
# Usage: scripts/find_faces.sh [NAME ...]; wants a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
EXTRAS=dev
source scripts/install.sh

.venv/bin/python -m scripts.benchmarks.find_faces "$@"
