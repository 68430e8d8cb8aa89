#!/usr/bin/env bash
# Times a network in use: the classifier alone, a video from its file to its rows, the command's start, memory.
# Usage: scripts/benchmark_inference.sh [--network RUN] [--minutes 5], or with --peers [NAME...] [--rounds 5] instead
# beside PyTorch, onnxruntime and other packages for facial expressions, which it installs in .bench (or $BENCH), 10 GB
# in all; scripts/benchmark_inference.sh --peers --help lists them. Wants a quiet machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
EXTRAS=dev
source scripts/install.sh

if [[ " $* " != *" --peers "* ]]; then
  exec .venv/bin/python -m scripts.benchmarks.inference "$@"
fi
source scripts/environments.sh
pins=scripts/benchmarks/peers/environments
# --help and a mistake end here; what else is printed are the names of the environments.
names=$(.venv/bin/python -m scripts.benchmarks.peers --environments "$@") || exit
case " $* " in *" --help "* | *" -h "*) echo "$names"; exit ;; esac
for name in $names; do
  # Without what they ask for themselves: the files list all that is used, in the versions that were tried.
  make "$name" "$pins/tensorflow.txt $pins/$name.txt" --no-deps --requirement "$pins/$name.txt"
done
exec .venv/bin/python -m scripts.benchmarks.peers --bench "$bench" "$@"
