#!/usr/bin/env bash
# Everything that must hold before a change lands: format, lint, types, import contract, tests. CI runs this file.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
EXTRAS=dev
source scripts/install.sh

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
.venv/bin/lint-imports
# A file's tests stay in one process, since they share what is compiled.
.venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"
