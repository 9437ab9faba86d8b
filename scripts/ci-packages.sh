#!/usr/bin/env bash
# Installs what .ci/run needs besides Python, on Debian: a SLURM for tests/slurm to bring up, a browser
# for the report's tests, ffmpeg for those of video files, and shellcheck.
set -euo pipefail
packages=(slurmctld slurmd slurm-client munge shellcheck chromium ffmpeg)
missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}"
