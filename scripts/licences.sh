#!/usr/bin/env bash
# Renews docs/licences.md, the table of what requirements.lock installs, with its licences; with the tools of
# requirements-release.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$PWD/.venv/bin/python
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
"${PYTHON:-python3}" -m venv "$tools"
"$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-release.lock
{
  echo "# What an installation brings"
  echo
  echo "Made by \`make licences\` from an environment of requirements.lock. The models and the font are in [NOTICE](../NOTICE)."
  echo
  cat <<'COPYLEFT'
Copyleft parts: av's wheel holds an FFmpeg that calls itself LGPL-3.0-or-later, and libx264 and libx265, which are
GPL-2.0-or-later, as shared libraries of their own (`av.libs/`). kpsbatch decodes with FFmpeg and writes `preview -o NAME.mp4` with
libx264; it links to none of them itself. Whoever hands on an installation or an image hands on these parts, and owes their sources
and notices. The image says so in its label (`org.opencontainers.image.licenses`).
COPYLEFT
  echo
  "$tools/bin/pip-licenses" --python "$python" --from=mixed --format=markdown --with-urls --ignore-packages pip setuptools wheel
} >docs/licences.new
mv docs/licences.new docs/licences.md
