#!/usr/bin/env bash
# site.sh [FOLDER]: builds the site of docs/ into FOLDER (site/), with an environment of its own from requirements-docs.lock.
# Warnings are errors. PYTHON=... chooses the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv.docs
if [ ! -f "$venv/ready" ] || [ requirements-docs.lock -nt "$venv/ready" ]; then
  "${PYTHON:-python3}" -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-docs.lock
  touch "$venv/ready"
fi
NO_MKDOCS_2_WARNING=1 "$venv/bin/python" -m mkdocs build --strict --site-dir "${1:-site}"
