#!/usr/bin/env bash
# What grows with a long run, and with a large study: bash scripts/long_runs.sh training|study [--output DIR]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHONPATH="$PWD" "${PYTHON:-.venv/bin/python}" -m scripts.long_runs "$@"
