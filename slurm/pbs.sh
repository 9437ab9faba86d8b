#!/usr/bin/env bash
#PBS -N kpsbatch
#PBS -J 0-49
#PBS -l select=1:ncpus=8:mem=5gb
#PBS -l walltime=04:00:00
#PBS -r y
#PBS -j oe
#
# A dataset as a job array of PBS Pro or OpenPBS: each of the 50 tasks does its share of the signs.
#
#   qsub -v KPSBATCH_CONFIG=/scratch/me/my.yaml slurm/pbs.sh
#
# The number of shards is that of the tasks: change both. Torque: `#PBS -t 0-49`, `-l nodes=1:ppn=8`.
# Submitted again, it goes on: what is finished is passed over.
export KPSBATCH_SHARDS=50
cd "${PBS_O_WORKDIR:-.}" || exit 2
exec "${KPSBATCH_PYTHON:-.venv/bin/python}" -u -m kpsbatch run "${KPSBATCH_CONFIG:-configs/karsl.yaml}" --shard auto
