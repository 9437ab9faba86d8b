#!/usr/bin/env bash
# down.sh RUNDIR: stops what up.sh started there, running jobs first (slurmstepd survives the death of slurmd).
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/slurm/lib.sh
. "$here/lib.sh"
dir=$(readlink -m "$1")
export SLURM_CONF="$dir/etc/slurm.conf"
if alive "$(cat "$dir/run/slurmctld.pid" 2>/dev/null)"; then
  timeout 5 scancel -u "$(id -un)" 2>/dev/null
  for _ in $(seq 1 150); do
    [ -z "$(timeout 5 squeue -h 2>/dev/null)" ] && break
    sleep 0.1
  done
fi
for file in "$dir"/run/slurmd.*.pid; do [ -e "$file" ] && stop "$file" slurmd; done
stop "$dir/run/slurmctld.pid" slurmctld
exit 0
