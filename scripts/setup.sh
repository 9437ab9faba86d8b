#!/usr/bin/env bash
# setup.sh VENV LOCKFILE: makes a virtual environment with what a lock file lists, and puts the models into the cache.
# PYTHON=... chooses the interpreter.
set -euo pipefail
venv=$1 lock=$2

suits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; }

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c '' 2>/dev/null; then
  for python in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python3.10; do
    suits "$python" && break
    python=
  done
  if [ -z "$python" ]; then
    cat >&2 <<EXPLANATION
setup: needs Python 3.10 to 3.14 (found: $(python3 --version 2>&1 | head -n 1)). To get one:
  a package manager        apt install python3 python3-venv (Debian, Ubuntu), dnf install python3.12 (Fedora, RHEL)
  without being root       uv python install 3.13, pyenv install 3.13, or conda create -n kps python=3.13
  a cluster                module avail python, then module load one
Then say where it is: PYTHON=/path/to/python3 make setup
EXPLANATION
    exit 2
  fi
  echo "setup: $venv from $("$python" --version 2>&1) and $lock"
  rm -rf "$venv"
  if ! "$python" -m venv "$venv" >/dev/null 2>&1; then # Debian's python3 without python3-venv has no ensurepip
    rm -rf "$venv"
    "$python" -m pip --version >/dev/null 2>&1 || {
      echo "setup: $python can't make a virtual environment with pip; install its venv package (Debian: python3-venv)" >&2
      exit 2
    }
    "$python" -m venv --without-pip "$venv"
    "$python" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check pip
  fi
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r "$lock"
# the package itself, from this folder, wherever the interpreter is started
"$venv/bin/python" -c 'import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "kpsbatch.pth").write_text(f"{pathlib.Path.cwd()}\n", encoding="utf-8")'
# the `kpsbatch` command, as an installer writes it: a shell's line, as the path may be too long for the kernel, or have blanks
# shellcheck disable=SC2016
"$venv/bin/python" -c 'import pathlib, sys
python = pathlib.Path(sys.executable).absolute()
command = python.with_name("kpsbatch")
command.write_text(f"""#!/bin/sh
{chr(39) * 3}exec{chr(39)} "{python}" "$0" "$@"
{chr(39)} {chr(39) * 3}
import sys
from kpsbatch.__main__ import start
sys.exit(start())
""", encoding="utf-8")
command.chmod(0o755)'
# the models are what a run would miss on a machine without a package index
"$venv/bin/kpsbatch" models >/dev/null
# everything loads here, and what workers import is compiled, for where the environment can't be written
PYTHONDONTWRITEBYTECODE='' "$venv/bin/python" -c '
import compileall, importlib, pkgutil, kpsbatch
from kpsbatch.landmarks.mediapipe_import import import_mediapipe, mediapipe_directory
import_mediapipe()
compileall.compile_dir(mediapipe_directory() / "tasks" / "metadata", quiet=1)
for module in pkgutil.walk_packages(kpsbatch.__path__, "kpsbatch."): importlib.import_module(module.name)'
