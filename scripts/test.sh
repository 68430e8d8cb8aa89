#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lint, types, import contract, tests. CI runs this file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Dozens of processes import the same files: what Python compiles of them is kept, whatever the environment says.
unset PYTHONDONTWRITEBYTECODE
EXTRAS=dev
source scripts/install.sh

bash scripts/check.sh
# A file's tests stay in one process, since they share what is compiled.
.venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
