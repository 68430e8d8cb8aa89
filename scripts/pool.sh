# Sourced by sweep_seeds.sh and run_report.sh: a pool of devices that takes one run after another.
#   queue_run CONFIG SEED   adds a run; its folder is ROOT/<config's name>/seed_<n>, its log lies beside the folder
#   run_pool                runs what is queued, prints the summary, and sets $pool_status: 0, 1 (some failed), 130, 143
# The caller sets: root (the folder of all runs), flags (an array, for every run), again (the command that goes on).
# Environment: PYTHON, JOBS, CUDA_VISIBLE_DEVICES; see usage_environment.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-}
if [ -z "$python" ]; then
  python=python3
  if [ -x "$repository/.venv/bin/python" ]; then python=$repository/.venv/bin/python; fi
fi

usage_environment="Environment: WORKDIR the folder of all runs, PYTHON the interpreter, JOBS how many runs at a time (one for each NVIDIA
GPU, of those in CUDA_VISIBLE_DEVICES if that is set; without a GPU one)."

# misused SENTENCE: say it with the usage text, and leave.
misused() {
  printf '%s\n\n%s\n%s\n' "$1" "$usage" "$usage_environment" >&2
  exit 2
}

# check_flags FLAG...: they are for ferjax.main, and leave alone what the scripts set.
check_flags() {
  local flag
  for flag in "$@"; do
    case $flag in
      --config | --config=* | --workdir | --workdir=* | --config.train.seed | --config.train.seed=*)
        misused "${flag%%=*} is set by this script for every run: leave it out." ;;
      --*) ;;
      *) misused "What is '$flag'? After -- come flags of ferjax.main, such as --config.data.path=fer2013.csv." ;;
    esac
  done
}

# find_devices: fill $devices, a CUDA_VISIBLE_DEVICES for every run that goes on at a time; '' for no GPU of its own.
find_devices() {
  local gpus=() jobs i count
  if [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    case $CUDA_VISIBLE_DEVICES in '' | -1) ;; *) IFS=, read -r -a gpus <<<"$CUDA_VISIBLE_DEVICES" ;; esac
  elif command -v nvidia-smi >/dev/null; then
    count=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU ' || true)
    for ((i = 0; i < count; i++)); do gpus+=("$i"); done
  fi
  jobs=${JOBS:-$((${#gpus[@]} > 0 ? ${#gpus[@]} : 1))}
  [[ $jobs =~ ^[1-9][0-9]*$ ]] || misused "JOBS=$jobs is not a whole number above 0."
  devices=()
  for ((i = 0; i < jobs; i++)); do
    if [ ${#gpus[@]} -gt 0 ]; then devices+=("${gpus[i % ${#gpus[@]}]}"); else devices+=(''); fi
  done
  # Runs that share a GPU share its memory too, of which jax would else take three quarters for the first of them.
  if [ ${#gpus[@]} -gt 0 ] && [ "$jobs" -gt ${#gpus[@]} ]; then
    count=$(((jobs + ${#gpus[@]} - 1) / ${#gpus[@]}))
    export XLA_PYTHON_CLIENT_MEM_FRACTION=${XLA_PYTHON_CLIENT_MEM_FRACTION:-$(printf '.%02d' $((90 / count)))}
  fi
}

run_configs=() run_names=() run_seeds=()
# trains_as[NAME]=OTHER: the config NAME trains just as OTHER does, and is only evaluated differently.
declare -A trains_as=()

queue_run() {
  local name i
  name=$(basename "$1" .py)
  for ((i = 0; i < ${#run_configs[@]}; i++)); do
    if [ "${run_names[i]}" = "$name" ] && { [ "${run_configs[i]}" != "$1" ] || [ "${run_seeds[i]}" = "$2" ]; }; then
      misused "$1, seed $2, would share the folder $root/$name/seed_$2 with ${run_configs[i]}, seed ${run_seeds[i]}."
    fi
  done
  run_configs+=("$1") run_names+=("$name") run_seeds+=("$2")
}

# describe_run I [NAME]: what a finished run was asked for; the same asked for again is not run again. A config builds on
# others of its folder, so a change of any of them counts.
describe_run() {
  local folder
  folder=$(dirname "${run_configs[$1]}")
  printf '%s\n' "$(cat "$folder"/*.py | cksum) ${2:-${run_names[$1]}}.py" ${flags[@]+"${flags[@]}"}
}

# repeat_command WORD...: the command again, with what of the environment it was given.
repeat_command() {
  local name
  for name in WORKDIR SEEDS CONFIGS JOBS PYTHON CUDA_VISIBLE_DEVICES; do
    if [ -n "${!name+set}" ]; then printf '%s=%q ' "$name" "${!name}"; fi
  done
  printf '%q ' "$@"
}

folder_of() { printf '%s' "$root/${run_names[$1]}/seed_${run_seeds[$1]}"; }
label_of() { printf '%s' "[$(($1 + 1))/${#run_configs[@]}] ${run_names[$1]}, seed ${run_seeds[$1]}"; }

# borrow_training I: where a finished run trained just as this one would, begin from a copy of it.
borrow_training() {
  local folder lender copy=$root/.copy_$1
  folder=$(folder_of "$1") lender=$root/${trains_as[${run_names[$1]}]:-}/seed_${run_seeds[$1]}
  [ -n "${trains_as[${run_names[$1]}]:-}" ] && [ ! -e "$folder" ] || return 0
  [ "$(cat "$lender/.finished" 2>/dev/null)" = "$(describe_run "$1" "${trains_as[${run_names[$1]}]}")" ] || return 0
  mkdir -p "$(dirname "$folder")"
  rm -rf "$copy"
  cp -R "$lender" "$copy" && rm "$copy/.finished" && mv "$copy" "$folder" || return 0
  echo "$(label_of "$1"): trains as $lender did, and begins from a copy of it"
}

# start_run I SLOT: the run goes on in the background, in a process group of its own, so that Ctrl-C reaches it through
# stop_pool alone: ferjax saves at the first signal and leaves at once at the second.
start_run() {
  local folder log command
  folder=$(folder_of "$1") log=$(folder_of "$1").log
  command=("$python" -m ferjax.main --config "${run_configs[$1]}" --workdir "$folder"
    "--config.train.seed=${run_seeds[$1]}" ${flags[@]+"${flags[@]}"})
  borrow_training "$1"
  mkdir -p "$folder"
  printf '\n== %s %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(printf '%q ' "${command[@]}")" >>"$log"
  echo "$(label_of "$1"): running${devices[$2]:+ on GPU ${devices[$2]}}, log in $log"
  set -m
  (
    if [ -n "${devices[$2]}" ]; then export CUDA_VISIBLE_DEVICES=${devices[$2]}; fi
    exec "${command[@]}"
  ) >>"$log" 2>&1 </dev/null &
  slot_pid[$2]=$! slot_run[$2]=$1
  set +m
  # A signal that came while it was starting has not reached it.
  if [ "$stopping" -ne 0 ]; then kill -s TERM -- "-${slot_pid[$2]}" 2>/dev/null || true; fi
}

# end_run SLOT: note how the run of a slot ended, and free the slot.
end_run() {
  local i=${slot_run[$1]} code=0
  wait "${slot_pid[$1]}" || code=$?
  slot_pid[$1]='' slot_run[$1]=''
  if [ "$code" -eq 0 ]; then
    describe_run "$i" >"$(folder_of "$i")/.finished.new"
    mv "$(folder_of "$i")/.finished.new" "$(folder_of "$i")/.finished"
    ran=$((ran + 1))
    echo "$(label_of "$i"): finished"
  elif [ "$stopping" -ne 0 ] && { [ "$code" -eq 130 ] || [ "$code" -eq 143 ]; }; then
    echo "$(label_of "$i"): stopped"
  else
    failed+=("$i") failed_codes+=("$code")
    echo "$(label_of "$i"): failed with $code, and the others go on"
  fi
}

stop_pool() {
  local pid
  stopping=$2
  echo "SIG$1: waiting for the runs to save; a second one leaves at once, without waiting." >&2
  for pid in "${slot_pid[@]}"; do
    if [ -n "$pid" ]; then kill -s "$1" -- "-$pid" 2>/dev/null || true; fi
  done
}

run_pool() {
  local next=0 slot busy
  slot_pid=() slot_run=() failed=() failed_codes=() ran=0 skipped=0 stopping=0
  find_devices
  mkdir -p "$root" || exit 1
  # Ctrl-C reaches the small commands here too, and one that fails of it must not end the script before the runs have.
  set +e
  for slot in "${!devices[@]}"; do slot_pid[slot]='' slot_run[slot]=''; done
  trap 'stop_pool INT 130' INT
  trap 'stop_pool TERM 143' TERM
  trap 'stop_pool TERM 129' HUP
  while true; do
    busy=0
    for slot in "${!devices[@]}"; do
      if [ -n "${slot_pid[slot]}" ] && ! kill -0 "${slot_pid[slot]}" 2>/dev/null; then end_run "$slot"; fi
      while [ -z "${slot_pid[slot]}" ] && [ "$stopping" -eq 0 ] && [ "$next" -lt ${#run_configs[@]} ]; do
        if [ "$(describe_run "$next")" = "$(cat "$(folder_of "$next")/.finished" 2>/dev/null)" ]; then
          skipped=$((skipped + 1))
          echo "$(label_of "$next"): skipped, finished"
        else
          start_run "$next" "$slot"
        fi
        next=$((next + 1))
      done
      if [ -n "${slot_pid[slot]}" ]; then busy=1; fi
    done
    [ "$busy" -eq 1 ] || break
    # Not in the foreground: bash forgets a SIGINT that comes while it starts a command, and runs no trap.
    sleep 0.2 &
    wait $!
  done
  trap - INT TERM HUP
  set -e
  summarize_pool
}

summarize_pool() {
  local i log
  pool_status=$stopping
  echo "ran $ran, skipped $skipped, failed ${#failed[@]}, of ${#run_configs[@]} in $root"
  for i in "${!failed[@]}"; do
    log=$(folder_of "${failed[i]}").log
    echo "failed with ${failed_codes[i]}: $log: $(tail -n 1 "$log")"
  done
  if [ "$stopping" -ne 0 ]; then
    echo "Stopped; the same command goes on from there: $again"
  elif [ ${#failed[@]} -gt 0 ]; then
    pool_status=1
    echo "Once that is mended, the same command runs only what is not finished: $again"
  fi
}
