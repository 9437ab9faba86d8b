#!/usr/bin/env bash
# base_image.sh OUT.tar: the root file system of a stand-in for python:3.x-slim, for machines that reach a
# Debian mirror and no image registry. Takes a CPython of this machine: pyenv's, or the one that $PYTHON comes from.
# Ends with 77 and the reason where it can't be made here.
set -euo pipefail
out=$1

copyable_pythons() {
  local root
  root=$(pyenv root 2>/dev/null) && for minor in 13 14 12 11 10; do ls -d "$root/versions/3.$minor".* 2>/dev/null || true; done
  "${PYTHON:-python3}" -c 'import sys; print(sys.base_prefix)'
}

sources=/etc/apt/sources.list.d/debian.sources
[ -r "$sources" ] || { echo "$sources names no Debian mirror"; exit 77; }
PREFIX=
while read -r prefix; do
  case $prefix in /usr | /usr/local) continue ;; esac # shared with other programs
  for python in "$prefix"/bin/python3.1[0-4]; do [ -x "$python" ] && PREFIX=$prefix NAME=${python##*/} && break 2; done
done < <(copyable_pythons)
[ -n "$PREFIX" ] || { echo "no CPython 3.10 to 3.14 with a prefix of its own (pyenv's, say)"; exit 77; }
export PREFIX NAME

# shellcheck disable=SC2016 # mmdebstrap's hooks expand $1, the new root
mmdebstrap --quiet --variant=minbase \
  --include=ca-certificates,netbase,tzdata,libssl3,libffi8,libsqlite3-0,zlib1g,libbz2-1.0,liblzma5,libreadline8,libncursesw6,libuuid1,libexpat1,libgdbm6,libtirpc3,libnsl2 \
  --aptopt='APT::Install-Recommends "false"' \
  --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='Acquire::Check-Date "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' \
  --customize-hook='tar -C "$PREFIX" --exclude=__pycache__ --exclude="*.a" --exclude="lib/python*/test" --exclude="lib/python*/site-packages/*" --exclude="lib/python*/idlelib" --exclude="lib/python*/tkinter" --exclude="lib/python*/turtledemo" --exclude="bin/pip*" --exclude=./share -c . | tar --no-same-owner -C "$1/usr/local" -x' \
  --customize-hook='chroot "$1" ldconfig' \
  --customize-hook='chroot "$1" "/usr/local/bin/$NAME" -m ensurepip --default-pip >/dev/null 2>&1' \
  --customize-hook='ln -sf "$NAME" "$1/usr/local/bin/python3"; ln -sf python3 "$1/usr/local/bin/python"' \
  --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*' \
  bookworm "$out" "$sources" 2>&1
