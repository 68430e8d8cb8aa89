#!/usr/bin/env bash
# Real accidents, made on purpose: bash scripts/drills.sh [NAME ...] [--cases N] [--seed N]; without a name, all of them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHONPATH="$PWD" "${PYTHON:-.venv/bin/python}" -m scripts.drills "$@"
