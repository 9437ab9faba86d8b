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
# A dataset as a plain job array, without submitit: every task does its share of the videos that are left to do.
#
#   sbatch slurm/array.sh                                             51 tasks, configs/karsl.yaml
#   sbatch --array=0-9%5 --account=NAME slurm/array.sh my.yaml --set landmarks.running_mode=image
#
# What follows the config goes to `kpsbatch run`. Variables can stand before the config, as with `env`: so they arrive with
# --export=NONE too, which some sites make the default: sbatch --export=NONE slurm/array.sh KARSL_ROOT=/scratch/me/karsl my.yaml.
# sbatch copies this script, and SLURM says where it lay: the repository is
# the folder above. KPSBATCH_REPO names another. Other variables: KPSBATCH_PYTHON, the interpreter; KPSBATCH_CONTAINER, an Apptainer image to run in
# (it sees the current folder, the config's and $KARSL_ROOT; APPTAINER_BIND adds more); KPSBATCH_SHARDS, the number of
# shards, to do some of them over: KPSBATCH_SHARDS=51 sbatch --array=3,7 slurm/array.sh.
# Submitted again, it goes on: what is finished is passed over.
set -euo pipefail

fail() { echo "array.sh: $*" >&2; exit 2; }

while [[ ${1:-} =~ ^[A-Za-z_][A-Za-z0-9_]*= ]]; do
  export "${1?}"
  shift
done

# The repository is where this script was submitted from, by SLURM; the current folder may be one of downloads.
repo=${KPSBATCH_REPO:-$(dirname "$0")/..}
if [ ! -f "$repo/kpsbatch/__main__.py" ] && [ -n "${SLURM_JOB_ID:-}" ]; then
  repo=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=//p') || repo=
  case $repo in
    /*/slurm/array.sh*) repo=${repo%%/slurm/array.sh*} ;;
    *) repo= ;;
  esac
fi
if [ -f "$repo/kpsbatch/__main__.py" ]; then repo=$(cd "$repo" && pwd); else repo=; fi
config=${1:-${repo:+$repo/configs/karsl.yaml}}
[ -n "$config" ] || fail "there is no config, and no repository. Name the config, or set KPSBATCH_REPO to the repository."
[ -r "$config" ] || fail "$config can't be read from $PWD. Correct the path of the config."
shift "$(($# > 0))"

export PYTHONSAFEPATH=1
PYTHONPATH=$(printf ':%s:' "${PYTHONPATH:-}" | tr -s :) PYTHONPATH=${PYTHONPATH#:} PYTHONPATH=${PYTHONPATH%:} # an empty entry is the current folder

shard=()
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then shard=(--shard auto); fi

if [ -n "${KPSBATCH_CONTAINER:-}" ]; then
  apptainer=$(command -v apptainer || command -v singularity) || fail "apptainer is not on the PATH. Load it, such as with: module load apptainer"
  unset PYTHONPATH PYTHONHOME
  export PYTHONNOUSERSITE=1
  binds=()
  beside=$(cd "$(dirname "$config")" && pwd)
  [ "$beside" != "$PWD" ] || beside=
  for folder in "$PWD" ${beside:+"$beside"} ${KARSL_ROOT:+"$KARSL_ROOT"}; do
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
KPSBATCH_PID_FILE=$PWD/.kpsbatch-${SLURM_JOB_ID:-$$}.pid # in a folder that the container sees
export KPSBATCH_LOG KPSBATCH_PID_FILE
srun=()
if [ -n "${SLURM_JOB_ID:-}" ]; then srun=(srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}"); fi

# The functions of kpsbatch/cluster/batch.sh, as old or new as the package that does the work.
safe='import sys; sys.path[:1] == [""] and sys.path.pop(0)' # the current folder is not imported from
functions=$("${python[@]}" -c "$safe"'; import kpsbatch, os; print(open(os.path.dirname(kpsbatch.__file__) + "/cluster/batch.sh").read())') ||
  fail "${python[*]} does not start a Python that has kpsbatch. Set KPSBATCH_REPO, KPSBATCH_PYTHON or KPSBATCH_CONTAINER."
eval "$functions"
if [ -z "${SLURM_JOB_ID:-}" ]; then trap 'pass_on TERM' INT; fi
status=0
start="$safe; del sys.argv[0]; import runpy; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
run_task "${srun[@]}" "${python[@]}" -u -c "$start" kpsbatch run "$config" "${shard[@]}" "$@" || status=$?
exit "$status"
