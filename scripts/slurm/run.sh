# shellcheck shell=bash
# Sourced by the .sbatch files, in the folder they were submitted from.

python=${PYTHON:-}
if [ -z "$python" ]; then
  python=python3
  if [ -x .venv/bin/python ]; then python=$PWD/.venv/bin/python; fi
fi

# From 22.05 on srun does not take this over from sbatch, and would give each task one core.
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi

misused() {
  echo "$1 The first lines of scripts/slurm/*.sbatch say how to submit them." >&2
  exit 2
}

# read_config CONFIG FLAG...: set $config and $name, its file's name, and check that what follows are flags.
read_config() {
  local flag
  config=${1:-}
  [ -n "$config" ] || misused "Which config?"
  [ -f "$config" ] || misused "There is no config file $config in $PWD."
  name=$(basename "$config" .py)
  for flag in "${@:2}"; do
    case $flag in
      --config | --config=* | --workdir | --workdir=* | --config.train.seed | --config.train.seed=* | \
        --config.train.seeds | --config.train.seeds=*)
        misused "${flag%%=*} is set by this script: leave it out." ;;
      --*) ;;
      *) misused "What is '$flag'? After the config come flags of ferjax.main, such as --config.data.path=fer2013.csv." ;;
    esac
  done
}

# run_and_requeue WORD...: srun WORD...; where the run saved because its time is nearly up, the job goes back into the
# queue. SIGTERM reaches srun's tasks alone then. Where a job is cancelled, or preempted by a Slurm that requeues by
# itself, the shell gets it too, and leaves the job to Slurm.
run_and_requeue() {
  local code=0 job=$SLURM_JOB_ID
  # The last task of an array has the array's number, under which scontrol would requeue all of it.
  if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; fi
  ended=0
  # Without a trap the shell would die of it, and Slurm end the job before the run has saved.
  trap 'ended=1' TERM
  srun "$@" || code=$?
  if [ "$code" -eq 143 ] && [ "$ended" -eq 0 ]; then scontrol requeue "$job"; fi
  exit "$code"
}
