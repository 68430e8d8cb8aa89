#!/usr/bin/env bash
# One config under several seeds: skips what is finished, goes on past a failed run, uses every GPU.
usage="Usage: scripts/sweep_seeds.sh CONFIG SEED... [-- --config.key=value ...]
  for example: scripts/sweep_seeds.sh configs/optimal.py 0 1 2 3 4 -- --config.data.path=fer2013.csv
Runs are in WORKDIR/<config's name>/seed_<n>/, logs in seed_<n>.log beside them; WORKDIR is 'workdir' by default."
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/pool.sh"

root=${WORKDIR:-workdir}
again=$(repeat_command "$0" "$@")
config=${1:-}
[ -n "$config" ] && [ "$config" != -- ] || misused "Which config?"
[ -f "$config" ] || misused "There is no config file $config; ferjax's own are in configs/."
shift
seeds=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  [[ $1 =~ ^(0|[1-9][0-9]*)$ ]] || misused "A seed is a whole number from 0 up, which '$1' is not; flags come after --."
  seeds+=("$1")
  shift
done
[ ${#seeds[@]} -gt 0 ] || misused "Which seeds?"
[ $# -eq 0 ] || shift
flags=("$@")
check_flags ${flags[@]+"${flags[@]}"}

for seed in "${seeds[@]}"; do queue_run "$config" "$seed"; done
run_pool
exit "$pool_status"
