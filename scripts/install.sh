# Sourced by the other scripts from the project's root: make .venv if there is none, and install ferjax with the tested
# versions. EXTRAS names extras of pyproject.toml, for example EXTRAS=cuda12; PYTHON the interpreter to start from.
python=${PYTHON:-python3}
if [ ! -x .venv/bin/python ]; then
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "ferjax needs Python 3.11 or newer, and $python is $("$python" --version 2>&1): name one with PYTHON=python3.11." >&2
    exit 1
  }
  "$python" -m venv .venv
fi
echo "Installing ferjax${EXTRAS:+ with $EXTRAS} into .venv; the first time takes a minute or two."
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
  --constraint constraints.txt --editable ".${EXTRAS:+[$EXTRAS]}"
