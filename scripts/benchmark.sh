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

# make NAME PACKAGE...: the environment NAME, once for each state of pyproject.toml and constraints.txt.
make() {
  local name=$1 state
  shift
  state=$(cat pyproject.toml constraints.txt "$bench/constraints_tensorflow.txt" | cksum)
  [ "$(cat "$bench/$name/.installed" 2>/dev/null)" != "$state $*" ] || return 0
  echo "Installing $* into $bench/$name; the first time takes some minutes."
  [ -x "$bench/$name/bin/python" ] || "$python" -m venv "$bench/$name"
  "$bench/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  echo "$state $*" >"$bench/$name/.installed"
}

# TensorFlow wants an older h5py than ferjax is tested with, and where it is installed some libraries import it.
sed 's/^h5py==.*/h5py==3.14.0/' constraints.txt >"$bench/constraints_tensorflow.txt"
make main --constraint constraints.txt --editable '.[bench]'
make tensorflow --constraint "$bench/constraints_tensorflow.txt" keras tensorflow-cpu

exec "$bench/main/bin/python" -m scripts.benchmarks \
  --tensorflow-python "$(realpath -s "$bench/tensorflow/bin/python")" "$@"
