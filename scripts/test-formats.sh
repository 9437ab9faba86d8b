#!/usr/bin/env bash
# Tests exports and the reader with the real libraries, in an environment of its own: pose-format, pyarrow, webdataset,
# and torch where the package index has a build without CUDA. PYTHON=... chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv.formats
if [ ! -e "$venv/ready" ] || [ scripts/requirements-formats.txt -nt "$venv/ready" ]; then
  rm -rf "$venv"
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r scripts/requirements-formats.txt
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: 'torch==2.13.0+cpu' ||
    echo "no torch without CUDA for $("$venv/bin/python" --version) in this package index: its tests are skipped"
  touch "$venv/ready"
fi
PYTHONPATH=$PWD "$venv/bin/python" -m pytest -q tests/export/test_formats.py tests/export/test_recipes.py \
  tests/export/test_pose_import.py tests/export/test_torch.py
