#!/usr/bin/env bash
# node_crash.sh NODE RUNDIR: makes a virtual node vanish: its slurmd, its slurmstepds and every process of its jobs.
# (Killing slurmd alone is no loss of a node: slurmstepd and the job's processes go on.)
node=$1 dir=$(readlink -m "$2")
slurmd=$(cat "$dir/run/slurmd.$node.pid")
tr '\0' ' ' <"/proc/$slurmd/cmdline" | grep -q "slurmd .*-N $node " && kill -9 "$slurmd"
victims=()
for file in /proc/[0-9]*/environ; do
  pid=${file%/environ} pid=${pid#/proc/}
  environ=$({ tr '\0' '\n' <"$file"; } 2>/dev/null) || continue
  grep -qx "SLURMD_NODENAME=$node" <<<"$environ" || continue
  grep -qx "SLURM_CONF=$dir/etc/slurm.conf" <<<"$environ" || continue
  parent=$(awk '{print $4}' "/proc/$pid/stat" 2>/dev/null)
  if grep -q '^slurmstepd: \[' "/proc/$parent/cmdline" 2>/dev/null; then victims=("$parent" "${victims[@]}"); fi
  victims+=("$pid")
done
[ ${#victims[@]} -gt 0 ] && kill -9 "${victims[@]}" 2>/dev/null
echo "crashed $node: slurmd $slurmd, jobs: ${victims[*]}"
