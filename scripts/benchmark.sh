#!/usr/bin/env bash
# ferjax beside PyTorch, Keras (on TensorFlow and on JAX) and onnxruntime on this machine: VGG19 at 48 px, float32, Adam.
# Usage: scripts/benchmark.sh [OPTION...]; --help lists them, --quick is a first look. Wants a quiet machine. The two
# environments that it makes in .bench (or $BENCH) take 4 GB. Where jax and torch see a GPU they use it: not tried yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/environments.sh
constraints=constraints.txt
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' && constraints=constraints-3.12.txt
extras=bench
# CUDA 13 wants a newer driver than many machines have.
command -v nvidia-smi >/dev/null && extras=bench,cuda12

# TensorFlow wants an older h5py than ferjax is tested with, and where it is installed some libraries import it.
sed 's/^h5py==.*/h5py==3.14.0/' "$constraints" >"$bench/constraints_tensorflow.txt"
files="pyproject.toml $constraints $bench/constraints_tensorflow.txt"
make main "$files" --constraint "$constraints" --editable ".[$extras]"
make tensorflow "$files" --constraint "$bench/constraints_tensorflow.txt" keras tensorflow-cpu

exec "$bench/main/bin/python" -m scripts.benchmarks \
  --tensorflow-python "$(realpath -s "$bench/tensorflow/bin/python")" "$@"
