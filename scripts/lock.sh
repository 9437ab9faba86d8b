#!/usr/bin/env bash
# Renews requirements.lock (what kpsbatch needs to run) and requirements-dev.lock (that and the test tools), with
# hashes, for every Python from 3.10 on, x86-64 and Arm. Needs uv. pyproject.toml says what stays out, and why.
set -euo pipefail
cd "$(dirname "$0")/.."
args=(--universal --python-version 3.10 --group headless --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet)
lock() {
  { echo "# pip install --no-deps --require-hashes -r $1    (made by scripts/lock.sh)"
    uv pip compile pyproject.toml "${args[@]}" "${@:2}"; } >"$1.new"
  mv "$1.new" "$1"
}
lock requirements.lock
lock requirements-dev.lock --extra dev --constraint requirements.lock
