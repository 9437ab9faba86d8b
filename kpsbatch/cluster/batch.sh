# shellcheck shell=bash
# What a batch script does around its task. `kpsbatch submit` puts it into the scripts that it submits, slurm/array.sh reads it.
# KPSBATCH_PID_FILE: where the Python process writes its ID (work/signals.py); both sides must see that folder.
#
# A warning of SLURM comes to this shell alone (B: in --signal) and is passed on to the Python process alone: a signal to the
# whole job step also hits the process that serves a container's image, and the task dies of it.

# pass_on SIGNAL: sends it to the Python process, as soon as that has said its ID; gives up when the task has ended.
pass_on() {
  task_warned=$1
  [ -n "$task_id" ] || return 0 # run_task calls it again
  {
    until [ -s "$KPSBATCH_PID_FILE" ]; do
      sleep 0.5
      kill -0 "$task_id" 2>/dev/null || exit 0 # bash can wait for this messenger in place of a task that has ended
    done
    process=$(head -c 20 "$KPSBATCH_PID_FILE" | tr -dc 0-9)
    # others may be able to write that file: only a process of this very job is signalled
    if grep -qzxF "KPSBATCH_PID_FILE=$KPSBATCH_PID_FILE" "/proc/${process:-none}/environ" 2>/dev/null; then
      kill -s "$1" "$process" 2>/dev/null
    fi
  } &
  task_messengers="$task_messengers $!"
}

# keep_out_current_folder: Python imports nothing from it, either by itself or for an empty entry of PYTHONPATH.
keep_out_current_folder() {
  export PYTHONSAFEPATH=1
  [ -n "${PYTHONPATH:-}" ] || return 0
  PYTHONPATH=$(printf ':%s:' "$PYTHONPATH" | tr -s :) PYTHONPATH=${PYTHONPATH#:} PYTHONPATH=${PYTHONPATH%:}
}

# run_task COMMAND...: runs it, and has SLURM start the job again when it was interrupted, or when this node can't do it; returns its
# status. Where task_says_id is set, the Python process says its ID as soon as it runs: without one, the node has no such Python.
run_task() {
  local status messenger
  keep_out_current_folder
  unset SLURM_EXPORT_ENV # `sbatch --export=NONE` leaves NONE there, and srun would start the task without its variables
  "$@" &
  task_id=$!
  if [ -n "$task_warned" ]; then pass_on "$task_warned"; fi # a signal that came before
  status=0
  wait "$task_id" || status=$?
  while kill -0 "$task_id" 2>/dev/null; do # a signal ended the wait, not the task
    status=0
    wait "$task_id" || status=$?
  done
  if [ -n "$task_warned" ]; then # perhaps the last wait, too, was ended by a signal, just when the task ended
    status=0
    wait "$task_id" || status=$?
  fi
  for messenger in $task_messengers; do
    if jobs -pr | grep -qx "$messenger"; then kill -KILL "$messenger" 2>/dev/null || true; fi
  done
  if [ -n "$task_says_id" ] && [ ! -s "$KPSBATCH_PID_FILE" ] && [ -z "$task_warned" ]; then
    case $status in 1 | 2 | 126 | 127) status=$(not_begun "$status") ;; esac
  fi
  rm -f "$KPSBATCH_PID_FILE"
  if [ -n "${SLURM_JOB_ID:-}" ]; then requeue "$status"; fi
  return "$status"
}

# not_begun STATUS: keeps the node for a minute, so that it takes no other task; the status that then counts.
not_begun() {
  echo "kpsbatch: Python did not start on ${SLURMD_NODENAME:-$HOSTNAME} (exit status $1; the reason is above)" >&2
  if [ -z "${SLURM_JOB_ID:-}" ] || [ "${SLURM_RESTART_COUNT:-0}" -ge 3 ]; then echo "$1"; return; fi
  sleep "${KPSBATCH_NODE_SECONDS:-60}"
  echo 75
}

# write_log FILE [NODES]: from here on all output goes to FILE. SLURM itself would fail the job on a node that does not see that
# folder; so such a node keeps its place for a minute, and another one gets the job. NODES are left out since it was submitted.
write_log() {
  local node nodes
  if ! (: >>"$1") 2>/dev/null && sleep "${KPSBATCH_NODE_SECONDS:-60}" && ! (: >>"$1") 2>/dev/null; then
    if [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ]; then requeue 75; fi
    exit 75
  fi
  exec >>"$1" 2>&1
  if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] && nodes=$(left_out "$SLURM_JOB_ID") && [ -n "$nodes" ]; then
    for node in $(scontrol show hostnames "$nodes" | grep -vxF "$(scontrol show hostnames "${2:-none}")"); do
      KPSBATCH_LEFT_OUT=${KPSBATCH_LEFT_OUT:+$KPSBATCH_LEFT_OUT,}$node
    done
    export KPSBATCH_LEFT_OUT
  fi
}

# left_out JOB: the nodes that it does not start on.
left_out() { scontrol show job "$1" | sed -n 's/.* ExcNodeList=\([^ (]*\).*/\1/p'; }

# leave_out_this_node JOB: a job that was requeued starts on another node, where there is one. SLURM lets a user change a job that
# pends; a requeued job does so at once, and this script has until KillWait (30 s by default) after its SIGTERM.
leave_out_this_node() {
  local nodes others
  nodes=$(left_out "$1")
  nodes=$SLURMD_NODENAME${nodes:+,$nodes}
  others=$(sinfo --noheader --Node --responding --partition="$SLURM_JOB_PARTITION" --format=%N | sort -u |
    grep -vxcF "$(scontrol show hostnames "$nodes")") || return 0 # no other is left: SLURM may come back to this one
  echo "kpsbatch: $SLURMD_NODENAME is left out when job $1 starts again, on one of $others"
  scontrol update JobId="$1" ExcNodeList="$nodes"
}

# requeue STATUS: has SLURM start the job again, unless the task ended by itself or the job was cancelled.
# 3 is an interrupted run; 75 one that this node can't do, see work/node.py; 140 and 143 are a signal that came while Python started; 135 a container's image that went away.
requeue() {
  local job state answered='' give_up=$((SECONDS + ${KPSBATCH_RETRY_SECONDS:-60}))
  case $1 in
    0 | 1 | 2) return 0 ;;
    3 | 75 | 140 | 143) ;;
    135) [ -n "$task_warned" ] || [ "${SLURM_RESTART_COUNT:-0}" -lt 3 ] || return 0 ;;
    *) [ -n "$task_warned" ] || return 0 ;;
  esac
  job=${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}
  until state=$(squeue --noheader --jobs="$job" --format=%T) && answered=1; do # no answer does not mean cancelled
    [ "$SECONDS" -lt "$give_up" ] || break
    sleep 2
  done
  if [ -n "$answered" ] && [ "$state" != RUNNING ]; then return 0; fi
  until scontrol requeue "$job"; do
    [ "$SECONDS" -lt "$give_up" ] || return 0
    sleep 2
  done
  if [ "$1" = 75 ] && [ -n "${SLURMD_NODENAME:-}" ]; then (trap '' TERM; leave_out_this_node "$job") || true; fi
}

task_says_id=''
task_id='' task_warned='' task_messengers=''
rm -f "$KPSBATCH_PID_FILE"
trap 'pass_on USR2' USR2
trap 'pass_on TERM' TERM
