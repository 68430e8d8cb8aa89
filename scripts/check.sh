#!/usr/bin/env bash
# The fast half of test.sh: format, lint, types, import contract. pre-commit runs this file before each commit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

.venv/bin/ruff format --check .
.venv/bin/ruff check .
.venv/bin/mypy
.venv/bin/lint-imports
