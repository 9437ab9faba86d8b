#!/usr/bin/env bash
# newer.sh DIR COMMAND...: runs a command with the SLURM of another Debian suite (SUITE, default unstable) first on PATH.
#
# Puts that SLURM into DIR, unless it is there: a minute, 100 MB; nothing is installed. Needs mmdebstrap, patchelf and the
# Debian mirror of this machine. Where they can't be had it says so and succeeds: SLURM is tested on its own release then.
set -eu
dir=$(readlink -m "$1") suite=${SUITE:-unstable} root=$(readlink -m "$1")/root
shift
skip() { echo "skipped, no newer SLURM: $*"; exit 0; }

# fetch: fills DIR
fetch() {
  for tool in mmdebstrap patchelf; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
  [ -e /etc/apt/sources.list.d/debian.sources ] || skip "this machine has no list of Debian's packages"
  rm -rf --one-file-system "$dir"
  mkdir -p "$dir"/libexec
  sed -e '/^$/q' -e "s/^Suites:.*/Suites: $suite/" /etc/apt/sources.list.d/debian.sources >"$dir/suite.sources"
  mmdebstrap --quiet --mode=root --variant=extract --include=slurmctld,slurmd,slurm-client \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    "$suite" "$root" "$dir/suite.sources" || skip "the mirror does not give the packages of $suite"

  # The programs run with the libraries of their own suite, whatever this machine has.
  lib=$root/usr/lib/x86_64-linux-gnu plugins=$root/usr/lib/x86_64-linux-gnu/slurm-wlm
  loader=$(find "$root" -name 'ld-linux-x86-64.so.2' -type f | head -n 1)
  mkdir "$dir/bin.new"
  for program in slurmctld slurmd slurmstepd sbatch srun squeue scancel scontrol sinfo; do
    for file in "$root/usr/sbin/$program-wlm" "$root/usr/bin/$program" "$root/usr/sbin/$program"; do
      if [ -f "$file" ]; then break; fi
    done
    cp -L "$file" "$dir/libexec/$program"
    patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$plugins:$lib" "$dir/libexec/$program"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$dir/libexec/$program" >"$dir/bin.new/$program"
  done
  printf '#!/bin/sh\nexec "%s" -d "%s" "$@"\n' "$dir/libexec/slurmd" "$dir/libexec/slurmstepd" >"$dir/bin.new/slurmd"
  chmod +x "$dir"/bin.new/*
  ln -s "$plugins" "$dir/plugins"
  mv "$dir/bin.new" "$dir/bin"
}

[ -e "$dir/bin/sbatch" ] || fetch
export PATH="$dir/bin:$PATH" SLURM_PLUGINS="$dir/plugins"
"$dir/libexec/slurmctld" -V
exec "$@"
