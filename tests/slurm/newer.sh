#!/usr/bin/env bash
# newer.sh DIR [SUITE]: puts the SLURM of another Debian suite (default unstable) into DIR, to run on this machine
# beside its own. With DIR/bin first on PATH and SLURM_PLUGINS=DIR/plugins, up.sh and the tests use it.
#
# Needs mmdebstrap, patchelf and a Debian mirror (that of this machine). Nothing is installed.
set -eu
dir=$(readlink -m "$1") suite=${2:-unstable}
if [ -e "$dir/bin/sbatch" ]; then exit 0; fi
for tool in mmdebstrap patchelf; do
  command -v "$tool" >/dev/null || { echo "newer.sh: $tool is not installed" >&2; exit 3; }
done
root=$dir/root
rm -rf --one-file-system "$dir"
mkdir -p "$dir"/libexec
sed -e '/^$/q' -e "s/^Suites:.*/Suites: $suite/" /etc/apt/sources.list.d/debian.sources >"$dir/suite.sources"
mmdebstrap --quiet --mode=root --variant=extract --include=slurmctld,slurmd,slurm-client \
  --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
  "$suite" "$root" "$dir/suite.sources" || { echo "newer.sh: no packages of $suite from the mirror" >&2; exit 3; }

# The programs run with the libraries of their own suite, whatever this machine has.
lib=$root/usr/lib/x86_64-linux-gnu plugins=$root/usr/lib/x86_64-linux-gnu/slurm-wlm
loader=$(find "$root" -name 'ld-linux-x86-64.so.2' -type f | head -n 1)
mkdir "$dir/bin.new"
for program in slurmctld slurmd slurmstepd sbatch srun squeue scancel scontrol sinfo; do
  for file in "$root/usr/sbin/$program-wlm" "$root/usr/bin/$program" "$root/usr/sbin/$program"; do
    if [ -f "$file" ]; then break; fi
  done
  cp -L "$file" "$dir/libexec/$program"
  patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$plugins:$lib:$root/lib/x86_64-linux-gnu" "$dir/libexec/$program"
  printf '#!/bin/sh\nexec "%s" "$@"\n' "$dir/libexec/$program" >"$dir/bin.new/$program"
done
printf '#!/bin/sh\nexec "%s" -d "%s" "$@"\n' "$dir/libexec/slurmd" "$dir/libexec/slurmstepd" >"$dir/bin.new/slurmd"
chmod +x "$dir"/bin.new/*
ln -s "$plugins" "$dir/plugins"
mv "$dir/bin.new" "$dir/bin"
