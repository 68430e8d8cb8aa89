# Sourced by the other scripts from the project's root: make .venv if there is none, and install ferjax with the tested
# versions. EXTRAS names extras of pyproject.toml, for example EXTRAS=cuda12; PYTHON the interpreter to start from.
python=${PYTHON:-python3}
if [ ! -x .venv/bin/python ]; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "ferjax needs Python 3.11 or newer, and $python is $("$python" --version 2>&1): name one with PYTHON=python3.11." >&2
    exit 1
  }
  [ -w . ] || {
    echo "$PWD cannot be written, so no .venv can be made in it: $python -m venv ~/ferjax && ~/ferjax/bin/pip install" \
      "$PWD installs ferjax elsewhere, and ~/ferjax/bin/ferjax train --config quickstart is the quick start." >&2
    exit 1
  }
  "$python" -m venv .venv
fi
# Newer versions of some packages want a newer Python.
constraints=constraints.txt
.venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 12))' && constraints=constraints-3.12.txt
# What these files ask for and is installed already need not be looked up again.
installed=.venv/installed${EXTRAS:+-$EXTRAS} asked="$PWD $(cat pyproject.toml "$constraints" | cksum)"
if [ "$(cat "$installed" 2>/dev/null)" != "$asked" ]; then
  echo "Installing ferjax${EXTRAS:+ with $EXTRAS} into .venv; the first time takes a minute or two."
  .venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint "$constraints" --editable ".${EXTRAS:+[$EXTRAS]}"
  echo "$asked" > "$installed"
fi
