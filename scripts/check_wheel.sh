#!/usr/bin/env bash
# The wheel as somebody has it who never saw this folder: its files, the configs by name, no package called configs; then
# every command that needs no data, from elsewhere, without git and a compiler, and with a home folder that is not there.
# EMPTY=1 installs it with all that it needs into an environment of its own first, which takes some minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(realpath .venv/bin)/python
folder=$(mktemp -d)
rm=$(command -v rm) grep=$(command -v grep)
trap '"$rm" -rf "$folder"' EXIT

"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" .
if [ -n "${EMPTY:-}" ]; then
  constraints=$PWD/constraints.txt
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 12))' && constraints=$PWD/constraints-3.12.txt
  "$python" -m venv "$folder/venv"
  "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$constraints" "$folder"/ferjax-*.whl
  python=$folder/venv/bin/python
  site=$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
else
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site" "$folder"/ferjax-*.whl
  site=$folder/site
fi
for file in py.typed configs/optimal.py course_report/reference.json shipped/fer2013.safetensors; do
  [ -f "$site/ferjax/$file" ] || { echo "The wheel lacks ferjax/$file." >&2; exit 1; }
done
[ ! -e "$site/configs" ] || { echo "The wheel has a package called configs." >&2; exit 1; }
# A user's own folder called configs must not be taken for ferjax's.
mkdir -p "$folder/elsewhere/configs" "$folder/bin"
echo "raise SystemExit('not ferjax')" > "$folder/elsewhere/configs/default.py"
cd "$folder/elsewhere"
# Neither git nor a compiler is on this path.
export PYTHONPATH="$site" PATH="$folder/bin" HOME="$folder/nowhere"
unset XDG_CACHE_HOME FERJAX_CACHE
# Nothing here is computed for long, and it compiles in half the time.
export XLA_FLAGS="--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
"$python" -c "import ferjax, sys; sys.exit(not ferjax.__file__.startswith('$site'))"
[ "$("$python" -m ferjax configs | "$grep" -c optimal)" = 1 ]
# Not grep -q, which leaves at the first match: what a command writes behind that would end it.
"$python" -m ferjax --help | "$grep" train > "$folder/seen"
tiny=(--config.data.synthetic_rows=140 --config.model.width=0.05 --config.train.steps=2 --config.train.batch_size=24)
"$python" -m ferjax train --config quickstart --workdir study/quickstart/seed_0 "${tiny[@]}"
"$python" -m ferjax evaluate --workdir study/quickstart/seed_0 | "$grep" accuracy > "$folder/seen"
"$python" -m ferjax evaluate --workdir study | "$grep" quickstart > "$folder/seen"
[ -f study/report.html ] || { echo "No report was written." >&2; exit 1; }
"$python" -c "import ferjax; print(ferjax.load('study/quickstart/seed_0').classes, ferjax.load().classes)"
echo "The wheel works."
