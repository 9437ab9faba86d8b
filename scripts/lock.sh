#!/usr/bin/env bash
# Renews requirements.lock (what kpsbatch needs to run), requirements-dev.lock (that and the test tools),
# requirements-release.lock (what builds and uploads a release) and requirements-docs.lock (what builds the site), with hashes, for every Python from 3.10 on, x86-64 and Arm. Needs uv. pyproject.toml says what stays out, and why.
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
{ echo "# pip install --require-hashes -r requirements-release.lock    (made by scripts/lock.sh): what builds and uploads a release"
  printf '%s\n' build 'setuptools>=77' wheel 'twine>=6.1' pip-licenses cyclonedx-bom |
    uv pip compile - --universal --python-version 3.13 "${args[@]:5}"; } >requirements-release.lock.new
mv requirements-release.lock.new requirements-release.lock
{ echo "# pip install --require-hashes -r requirements-docs.lock    (made by scripts/lock.sh): what builds the site"
  printf '%s\n' 'mkdocs>=1.6,<2' 'mkdocs-material>=9.5' |
    uv pip compile - --universal --python-version 3.10 "${args[@]:5}"; } >requirements-docs.lock.new
mv requirements-docs.lock.new requirements-docs.lock
