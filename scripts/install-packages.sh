#!/usr/bin/env bash
# Installs what the tests need from the system: Debian packages, and the OPA server. Does nothing where all of it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
while read -r package; do
  dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done < <(cat test/kernel/packages.txt test/limit/packages.txt)

if [ "${#missing[@]}" -eq 0 ]; then
  echo "all Debian packages of the tests are installed"
else
  echo "installing ${missing[*]}"
  apt-get update -qq
  # The tests start their servers themselves, on loopback; none is to run beside them.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi
bash scripts/install-opa.sh
