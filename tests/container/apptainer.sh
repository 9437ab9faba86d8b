#!/usr/bin/env bash
# Apptainer from Debian's sid in a folder of its own, run as a cluster would: by a user without rights.
#   apptainer.sh install ROOT            puts a Debian with Apptainer there
#   apptainer.sh run ROOT SHARED ARG...  `apptainer ARG...` as user 54321; the folder SHARED is there under its own name
set -euo pipefail
command=$1 root=$2
shift 2

if [ "$command" = install ]; then
  rm -rf "$root"
  sources=$(mktemp)
  trap 'rm -f "$sources"' EXIT
  sed -e '/^$/q' -e 's/^Suites:.*/Suites: sid/' /etc/apt/sources.list.d/debian.sources >"$sources"
  # shellcheck disable=SC2016 # mmdebstrap's hooks expand $1, the new root
  mmdebstrap --quiet --variant=minbase --include=apptainer,squashfuse,fuse3,ca-certificates \
    --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='chroot "$1" useradd -m -u 54321 user; echo user:200000:65536 | tee "$1/etc/subuid" >"$1/etc/subgid"' \
    --customize-hook='mknod -m 666 "$1/fuse.node" c 10 229' \
    sid "$root" "$sources"
  exit
fi

shared=$1
shift
mkdir -p "$root$shared"
cp -L /etc/hosts /etc/resolv.conf "$root/etc/"
# shellcheck disable=SC2016
exec unshare -m --propagation private bash -c '
  root=$1 shared=$2; shift 2
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount --rbind /sys "$root/sys"
  mount --rbind /dev "$root/dev"
  mount --bind "$root/fuse.node" "$root/dev/fuse" # this machine may keep its own for root
  mount --bind "$shared" "$root$shared"
  cd "$root"
  mkdir -p .old
  pivot_root . .old
  cd "$shared"
  umount -l /.old
  exec setpriv --reuid 54321 --regid 54321 --clear-groups --inh-caps=-all \
    env -i HOME=/home/user USER=user PATH=/usr/bin:/bin:/usr/sbin:/sbin apptainer --quiet "$@"' \
  _ "$root" "$shared" "$@"
