#!/usr/bin/env bash
# up.sh RUNDIR: starts a real SLURM with several virtual nodes on this machine; prints its SLURM_CONF.
#
# Needs slurmctld, slurmd and the client commands, nothing else: no root, no systemd, no munge, no cgroups; it listens
# on the loopback only. Set by environment: NODES, CPUS (of each node), PORT_BASE, MAX_ARRAY_SIZE, SLURM_PLUGINS (where
# another SLURM than this machine's is first on PATH, see newer.sh).
# Partition `main` is pre-empted by partition `high`; tasks spread over the nodes.
set -eu
here=$(dirname "$(readlink -f "$0")")
# shellcheck source=tests/slurm/lib.sh
. "$here/lib.sh"
dir=$(readlink -m "$1") nodes=${NODES:-3} cpus=${CPUS:-4} port=${PORT_BASE:-26800} me=$(id -un) host=$(hostname -s)
case $dir in *[[:space:]]*) echo "up.sh: no spaces in $dir: SLURM's own configuration can't hold them" >&2; exit 2 ;; esac
export PATH="$PATH:/usr/sbin:/sbin"
mkdir -p "$dir"/etc "$dir"/state "$dir"/log "$dir"/spool "$dir"/run
chmod 755 "$dir"

export SLURM_CONF="$dir/etc/slurm.conf"
cat >"$SLURM_CONF" <<CONF
ClusterName=lab
SlurmctldHost=$host(127.0.0.1)
SlurmUser=$me
SlurmdUser=$me
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
SlurmctldPort=$port
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd.%n.pid
SlurmdSpoolDir=$dir/spool/%n
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd.%n.log
PlugStackConfig=$dir/etc/plugstack.conf
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
SwitchType=switch/none
PropagateResourceLimits=NONE
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,preempt_youngest_first
SlurmctldParameters=preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
InactiveLimit=0
MinJobAge=3600
KillWait=10
WaitTime=0
CompleteWait=0
UnkillableStepTimeout=120
MessageTimeout=10
EpilogMsgTime=0
MaxArraySize=${MAX_ARRAY_SIZE:-1001}
NodeName=DEFAULT CPUs=$cpus Boards=1 SocketsPerBoard=1 CoresPerSocket=$cpus ThreadsPerCore=1 RealMemory=8000 State=UNKNOWN
CONF
for i in $(seq 1 "$nodes"); do
  echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((port + 10 + i))" >>"$SLURM_CONF"
done
cat >>"$SLURM_CONF" <<CONF
PartitionName=main Nodes=n[1-$nodes] Default=YES MaxTime=INFINITE DefaultTime=10 State=UP PriorityTier=1 PreemptMode=REQUEUE OverSubscribe=NO LLN=YES GraceTime=10
PartitionName=high Nodes=n[1-$nodes] MaxTime=INFINITE DefaultTime=10 State=UP PriorityTier=10 PreemptMode=OFF OverSubscribe=NO LLN=YES
CONF
: >"$dir/etc/plugstack.conf"
if [ -n "${SLURM_PLUGINS:-}" ]; then
  echo "PluginDir=$SLURM_PLUGINS" >>"$SLURM_CONF"
  echo "CgroupPlugin=disabled" >"$dir/etc/cgroup.conf" # SLURM 22.05 knows no such value
fi

slurmctld -c
for i in $(seq 1 "$nodes"); do slurmd -N "n$i"; done
for _ in $(seq 1 200); do
  if [ "$(timeout 5 sinfo -h -p main -t idle -o %D 2>/dev/null)" = "$nodes" ]; then
    echo "$SLURM_CONF"
    exit 0
  fi
  sleep 0.1
done
echo "up.sh: the cluster did not come up; see $dir/log" >&2
sinfo >&2
exit 1
