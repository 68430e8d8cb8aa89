#!/usr/bin/env bash
# ferjax beside PyTorch, Keras (on TensorFlow and on JAX) and onnxruntime on this machine: VGG19 at 48 px, float32, Adam.
# Usage: scripts/benchmark.sh [OPTION...]; --help lists them, --quick is a first look. Wants a quiet machine. The two
# environments that it makes in .bench (or $BENCH) take 4 GB. Where jax and torch see a GPU they use it: not tried yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
bench=${BENCH:-.bench}
mkdir -p "$bench"
echo '*' >"$bench/.gitignore"
constraints=constraints.txt
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' && constraints=constraints-3.12.txt
extras=bench
# CUDA 13 wants a newer driver than many machines have.
command -v nvidia-smi >/dev/null && extras=bench,cuda12

# make NAME PACKAGE...: the environment NAME, once for each state of pyproject.toml and the constraints.
make() {
  local name=$1 state
  shift
  state=$(cat pyproject.toml "$constraints" "$bench/constraints_tensorflow.txt" | cksum)
  [ "$(cat "$bench/$name/.installed" 2>/dev/null)" != "$state $*" ] || return 0
  echo "Installing $* into $bench/$name; the first time takes some minutes."
  [ -x "$bench/$name/bin/python" ] || "$python" -m venv "$bench/$name"
  "$bench/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  echo "$state $*" >"$bench/$name/.installed"
}

# TensorFlow wants an older h5py than ferjax is tested with, and where it is installed some libraries import it.
sed 's/^h5py==.*/h5py==3.14.0/' "$constraints" >"$bench/constraints_tensorflow.txt"
make main --constraint "$constraints" --editable ".[$extras]"
make tensorflow --constraint "$bench/constraints_tensorflow.txt" keras tensorflow-cpu

exec "$bench/main/bin/python" -m scripts.benchmarks \
  --tensorflow-python "$(realpath -s "$bench/tensorflow/bin/python")" "$@"
