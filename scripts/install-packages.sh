#!/usr/bin/env bash
# Installs the Debian packages that the kernel tests run programs of. Does nothing where all of them are there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
while read -r package; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done < test/kernel/packages.txt

if [ "${#missing[@]}" -eq 0 ]; then
  echo "all packages of test/kernel/packages.txt are installed"
  exit 0
fi
echo "installing ${missing[*]}"
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
