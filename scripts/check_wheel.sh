#!/usr/bin/env bash
# The wheel as somebody has it who never saw this folder: its files, the configs by name, no package called configs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$(realpath .venv/bin)/python
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$folder" .
"$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder/site" "$folder"/ferjax-*.whl
for file in py.typed configs/optimal.py course_report/reference.json; do
  [ -f "$folder/site/ferjax/$file" ] || { echo "The wheel lacks ferjax/$file." >&2; exit 1; }
done
[ ! -e "$folder/site/configs" ] || { echo "The wheel has a package called configs." >&2; exit 1; }
# A user's own folder called configs must not be taken for ferjax's.
mkdir -p "$folder/elsewhere/configs"
echo "raise SystemExit('not ferjax')" > "$folder/elsewhere/configs/default.py"
cd "$folder/elsewhere"
export PYTHONPATH="$folder/site"
"$python" -c "import ferjax, sys; sys.exit(not ferjax.__file__.startswith('$folder/site'))"
[ "$("$python" -m ferjax configs | grep -c optimal)" = 1 ]
"$python" -m ferjax train --config quickstart --workdir run --config.data.synthetic_rows=140 --config.model.width=0.05 \
  --config.train.steps=2 --config.train.batch_size=24
"$python" -m ferjax evaluate --workdir run > /dev/null
echo "The wheel works."
