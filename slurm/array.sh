#!/usr/bin/env bash
#SBATCH --job-name=kpsbatch
#SBATCH --array=0-50%20
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=8
#SBATCH --signal=B:USR2@90
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=kpsbatch-%A_%a.log
#
# A dataset as a plain job array, without submitit: every task does its share of the signs.
#
#   sbatch slurm/array.sh                                             51 tasks, configs/karsl.yaml
#   sbatch --array=0-9%5 --account=NAME slurm/array.sh my.yaml --set landmarks.running_mode=video
#
# What follows the config goes to `kpsbatch run`. sbatch copies this script, so submit from the repository's folder, or
# set KPSBATCH_REPO. Other variables: KPSBATCH_PYTHON, the interpreter; KPSBATCH_CONTAINER, an Apptainer image to run in
# (it sees the current folder, the config's and $KARSL_ROOT; APPTAINER_BIND adds more); KPSBATCH_SHARDS, the number of
# shards, to do some of them over: KPSBATCH_SHARDS=51 sbatch --array=3,7 slurm/array.sh.
# Submitted again, it goes on: what is finished is passed over.
set -euo pipefail

fail() { echo "array.sh: $*" >&2; exit 2; }

repo=
for folder in "${KPSBATCH_REPO:-}" "${SLURM_SUBMIT_DIR:-}" "${SLURM_SUBMIT_DIR:-}/.." "$(dirname "$0")/.."; do
  if [ -n "$folder" ] && [ -f "$folder/kpsbatch/__main__.py" ]; then repo=$(cd "$folder" && pwd); break; fi
done
config=${1:-${repo:+$repo/configs/karsl.yaml}}
[ -n "$config" ] || fail "the config must be given, or the repository be found: submit from its folder, or set KPSBATCH_REPO"
[ -r "$config" ] || fail "the config must be a readable file (got $config in $PWD)"
shift "$(($# > 0))"

shard=()
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  if [ -n "${KPSBATCH_SHARDS:-}" ]; then
    number=$SLURM_ARRAY_TASK_ID shards=$KPSBATCH_SHARDS
  else
    first=${SLURM_ARRAY_TASK_MIN:?} step=${SLURM_ARRAY_TASK_STEP:-1} shards=${SLURM_ARRAY_TASK_COUNT:?}
    number=$(((SLURM_ARRAY_TASK_ID - first) / step))
    [ "$number" -lt "$shards" ] || fail "--array must be a range, such as 0-50 (or set KPSBATCH_SHARDS, see $0)"
  fi
  shard=(--shard "$number/$shards")
fi

if [ -n "${KPSBATCH_CONTAINER:-}" ]; then
  apptainer=$(command -v apptainer || command -v singularity) || fail "apptainer must be on the PATH (module load apptainer?)"
  unset PYTHONPATH PYTHONHOME
  export PYTHONNOUSERSITE=1
  binds=()
  for folder in "$PWD" "$(cd "$(dirname "$config")" && pwd)" ${KARSL_ROOT:+"$KARSL_ROOT"}; do
    folder=${folder//\"/\"\"} # a line of CSV
    binds+=(--mount "type=bind,\"source=$folder\",\"destination=$folder\"")
  done
  python=("$apptainer" exec "${binds[@]}" "$KPSBATCH_CONTAINER" python)
else
  if [ -n "${KPSBATCH_PYTHON:-}" ]; then python=("$KPSBATCH_PYTHON")
  elif [ -n "$repo" ] && [ -x "$repo/.venv/bin/python" ]; then python=("$repo/.venv/bin/python")
  else python=(python3); fi
  if [ -n "$repo" ]; then export PYTHONPATH="$repo${PYTHONPATH:+:$PYTHONPATH}"; fi
fi

KPSBATCH_LOG=$(readlink -f "/proc/$$/fd/1")
export KPSBATCH_LOG
srun=()
if [ -n "${SLURM_JOB_ID:-}" ]; then srun=(srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}"); fi

# SLURM's warning comes to this shell (B: in --signal) or to the step (without B:); pass it on, and outlive it.
"${srun[@]}" "${python[@]}" -u -m kpsbatch run "$config" "${shard[@]}" "$@" &
child=$!
trap 'kill -USR2 "$child" 2>/dev/null || true' USR2
if [ -n "${SLURM_JOB_ID:-}" ]; then trap : TERM; else trap 'kill -TERM "$child" 2>/dev/null || true' TERM INT; fi
status=0
wait "$child" || status=$?
while kill -0 "$child" 2>/dev/null; do # a signal ended the wait, not the child
  status=0
  wait "$child" || status=$?
done

case $status in
  3 | 140 | 143) # interrupted, or hit by the signal while it started: go on later, unless the job was cancelled
    if [ -n "${SLURM_JOB_ID:-}" ]; then
      job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
      state=$(squeue --noheader --jobs="$job" --format=%T)
      if [ "$state" = RUNNING ]; then scontrol requeue "$job"; fi
    fi
    ;;
esac
exit "$status"
