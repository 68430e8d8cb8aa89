#!/usr/bin/env bash
# What only a GPU or a TPU shows of ferjax, within ten minutes, written down line by line: numerics, images/s and
# utilisation, PyTorch on the same work, bit-exact resuming, seeds, time to accuracy.
# Usage: scripts/check_accelerator.sh [--data fer2013.csv] [--out FOLDER] [--seconds 580] [--stage NAME...] [--short]
# It installs ferjax with the extra that fits the device (EXTRAS names another); with USE_PYTHON=python3 it installs
# nothing and takes that interpreter, which has jax for the device.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if [ -n "${USE_PYTHON:-}" ]; then
  python=$USE_PYTHON
else
  if [ -z "${EXTRAS:-}" ]; then
    if command -v nvidia-smi >/dev/null; then
      # CUDA 13 needs a driver of the series 580 or newer.
      driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1 | cut -d. -f1)
      if [ "${driver:-0}" -ge 580 ]; then EXTRAS=cuda13; else EXTRAS=cuda12; fi
    elif compgen -G '/dev/accel*' >/dev/null || compgen -G '/dev/vfio/[0-9]*' >/dev/null; then
      EXTRAS=tpu
    fi
  fi
  source scripts/install.sh
  python=.venv/bin/python
fi
exec "$python" -m scripts.accelerator "$@"
