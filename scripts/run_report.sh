#!/usr/bin/env bash
# The whole study of the report, every setting under every seed, and the page that compares them.
usage="Usage: scripts/run_report.sh [-- --config.key=value ...]
  the study:        scripts/run_report.sh -- --config.data.path=fer2013.csv
  a reduced study:  scripts/run_report.sh -- --config.data.path=fer2013.csv --config.model.name=compact \\
                      --config.init.pretrained=none --config.train.epochs=4
Runs are in WORKDIR/<config's name>/seed_<n>/; WORKDIR is 'workdir/report' by default. SEEDS is '0 1 2 3 4' by default,
and CONFIGS names other settings than the report's, by their names in configs/ or by path."
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/pool.sh"

root=${WORKDIR:-workdir/report}
again=$(repeat_command "$0" "$@")
[ $# -eq 0 ] || [ "$1" = -- ] || misused "What is '$1'? Flags come after --."
[ $# -eq 0 ] || shift
flags=("$@")
check_flags ${flags[@]+"${flags[@]}"}

# batch32 stands for the learning rate 1e-4 too, which is the same run.
report="optimal no_augmentation no_normalization focal_gamma2 focal_gamma5 random_init frozen1 frozen3 frozen5
  batch2 batch32 batch2048 lr_1e_3 lr_3e_4 lr_3e_5 lr_1e_5 discriminative"
for config in ${CONFIGS:-$report}; do
  [ -f "$config" ] || config=$repository/configs/$config.py
  if [ "$config" = "$repository/configs/batch32.py" ]; then trains_as[batch32]=optimal; fi
  [ -f "$config" ] || misused "There is no config file $config; CONFIGS names those in configs/, or paths."
  for seed in ${SEEDS:-0 1 2 3 4}; do
    [[ $seed =~ ^(0|[1-9][0-9]*)$ ]] || misused "A seed is a whole number from 0 up, which '$seed' of SEEDS is not."
    queue_run "$config" "$seed"
  done
done

run_pool
[ "$pool_status" -le 1 ] || exit "$pool_status"
status=0
"$python" -m ferjax.evaluate --workdir "$root" || status=$?
if [ "$pool_status" -ne 0 ]; then
  echo "${#failed[@]} of ${#run_configs[@]} runs failed, and are not in the comparison; see above." >&2
fi
[ "$status" -ne 0 ] || status=$pool_status
exit "$status"
