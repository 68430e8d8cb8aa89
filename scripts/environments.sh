# Sourced by the benchmarks: $python starts the environments that they make in $bench, which is .bench or $BENCH.
python=${PYTHON:-python3}
bench=${BENCH:-.bench}
mkdir -p "$bench"
echo '*' >"$bench/.gitignore"

# make NAME FILES ARGUMENT...: the environment NAME, by pip install ARGUMENT..., once for each state of FILES (words).
make() {
  local name=$1 files=$2 state
  shift 2
  # shellcheck disable=SC2086 # words
  state=$(cat $files | cksum)
  [ "$(cat "$bench/$name/.installed" 2>/dev/null)" != "$state $*" ] || return 0
  echo "Installing $* into $bench/$name; the first time takes some minutes." >&2
  [ -x "$bench/$name/bin/python" ] || "$python" -m venv "$bench/$name"
  "$bench/$name/bin/python" -m pip install --quiet --disable-pip-version-check "$@"
  echo "$state $*" >"$bench/$name/.installed"
}
