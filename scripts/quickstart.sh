#!/usr/bin/env bash
# A first result with nothing to download: install ferjax into .venv, train on faces that it draws itself, show the table.
# Usage: scripts/quickstart.sh [WORKDIR]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

workdir=${1:-workdir/quickstart}
echo "Training configs/quickstart.py in $workdir: one to three minutes on two cores."
.venv/bin/python -m ferjax.main --config configs/quickstart.py --workdir "$workdir"
