#!/usr/bin/env bash
# How many kernels a training step has on a GPU or a TPU that is not here, and how many bytes they read and write.
# Usage: scripts/count_kernels.sh --config random_init [--device h200|v5e] [--steps 100] [--config.group.key=value ...]
# The device's compiler (400 MB) goes into .ahead, beside .venv, since there jax would look for its GPU at every start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/install.sh

folder=${AHEAD:-.ahead}
version=$(.venv/bin/python -c 'import jax; print(jax.__version__)')
case " $* " in
*" v5e "* | *"=v5e "*) name=tpu packages=(libtpu) ;;
*) name=cuda packages=("jax-cuda13-plugin==$version" "jax-cuda13-pjrt==$version") ;;
esac
if [ ! -e "$folder/$name-$version" ]; then
  echo "Installing ${packages[*]} into $folder; the first time takes some minutes."
  mkdir -p "$folder"
  echo '*' >"$folder/.gitignore"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target "$folder" "${packages[@]}"
  touch "$folder/$name-$version"
fi
JAX_PLATFORMS=cpu JAX_SKIP_CUDA_CONSTRAINTS_CHECK=1 TPU_SKIP_MDS_QUERY=1 \
  PYTHONPATH="$folder${PYTHONPATH:+:$PYTHONPATH}" exec .venv/bin/python -m scripts.ahead "$@"
