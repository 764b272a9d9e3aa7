#!/usr/bin/env bash
# The kernel tests once more, as an ordinary user that this script makes: what they show must not need root. Needs root to
# make the user and to show it this checkout, wherever that is; run as an ordinary user it just runs the tests.
#
#   scripts/kernel-as-user.sh [vitest arguments]
set -euo pipefail
cd "$(dirname "$0")/.."

USER_NAME=agentport-test
TESTS=(test/kernel test/linux/seccomp test/linux/observe)
run=(node node_modules/vitest/vitest.mjs run --configLoader runner --maxWorkers 1 "$@" "${TESTS[@]}")

if [ "$(id -u)" -ne 0 ]; then
  exec env AGENTPORT_REQUIRE_KERNEL=1 "${run[@]}"
fi

id "$USER_NAME" >/dev/null 2>&1 || useradd --system --no-create-home --shell /usr/sbin/nologin "$USER_NAME"
node_path="$(command -v node)"
work="$(mktemp -d /var/tmp/agentport-user-XXXXXX)"
trap 'rmdir "$work/checkout" 2>/dev/null; rm -rf "$work"' EXIT
mkdir "$work/checkout" "$work/home"
chmod 755 "$work"
chown "$USER_NAME" "$work/home"
chmod -R a+rX .

# A mount of its own: the checkout may be below a directory that nobody else may enter.
export work USER_NAME node_path
unshare --mount --propagation private bash -euo pipefail -c '
  mount --bind . "$work/checkout"
  cd "$work/checkout"
  exec setpriv --reuid "$USER_NAME" --regid "$USER_NAME" --clear-groups --inh-caps=-all --bounding-set=-all \
    env -i PATH="$(dirname "$node_path"):/usr/local/bin:/usr/bin:/bin" HOME="$work/home" TMPDIR=/tmp CI="${CI:-}" \
    AGENTPORT_REQUIRE_KERNEL=1 "$@"
' kernel-as-user "${run[@]}"
