#!/usr/bin/env bash
# Proves the security module programs of src/linux/lsm in stock Debian kernels, under QEMU without hardware virtualisation. The
# host is left as it is: packages are downloaded and unpacked, not installed. It needs apt-get, a C compiler, mke2fs, Node and
# the development dependencies, and no root.
set -euo pipefail

usage() {
  cat <<'TEXT'
Usage: scripts/kernel-qemu.sh [--kernel 6.1|6.12|all] [--timeout SECONDS] [--keep] [--help]

Boots Debian kernels with `lsm=landlock,lockdown,yama,bpf` and runs test/qemu/guest.ts in them. Prints one line for each
thing that was tried; progress goes to standard error.

  --kernel   which kernel, `all` unless told
  --timeout  of one boot, 420 unless told
  --keep     keep images and console logs, and say where

AGENTPORT_QEMU_CACHE is where packages are kept, ~/.cache/agentport-kernel-qemu unless set.
Exit codes: 0 everything held, 1 something did not, 2 it could not be tried.
TEXT
}

say() { printf '%s\n' "kernel-qemu: $*" >&2; }
stop() {
  say "$*"
  exit 2
}

kernels='6.1 6.12' seconds=420 keep=no
while [ $# -gt 0 ]; do
  case $1 in
    --kernel)
      case ${2-} in
        6.1 | 6.12) kernels=$2 ;;
        all) kernels='6.1 6.12' ;;
        *) stop "--kernel takes 6.1, 6.12 or all" ;;
      esac
      shift ;;
    --timeout)
      [[ ${2-} =~ ^[1-9][0-9]{0,4}$ ]] || stop '--timeout takes seconds'
      seconds=$2
      shift ;;
    --keep) keep=yes ;;
    --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${AGENTPORT_QEMU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/agentport-kernel-qemu}
[ "$(uname -sm)" = 'Linux x86_64' ] || stop 'needs Linux on x86-64'
for tool in apt-get apt-cache dpkg-deb cc mke2fs node xz timeout ldd; do
  command -v "$tool" >/dev/null || stop "$tool is missing"
done
[ -x "$root/node_modules/.bin/esbuild" ] || stop 'the development dependencies are missing: npm ci'

mkdir -p "$cache"
work=$(mktemp -d "${TMPDIR:-/tmp}/agentport-qemu-XXXXXX")
finish() {
  if [ $keep = yes ]; then say "kept $work"; else rm -rf "$work"; fi
}
trap finish EXIT

# package NAME...: downloads each and unpacks it into the directory $into, once.
package() {
  local name
  mkdir -p "$into"
  for name in "$@"; do
    [ ! -e "$into/.unpacked-$name" ] || continue
    say "unpacking $name"
    rm -rf "$work/deb" && mkdir "$work/deb"
    (cd "$work/deb" && apt-get -qq download "$name" 2>"$work/apt.log") || stop "$name cannot be downloaded: $(tail -1 "$work/apt.log")"
    dpkg-deb -x "$work/deb/"*.deb "$into"
    touch "$into/.unpacked-$name"
  done
}

# The emulator and its libraries: those of the host when it has them, else beside it.
tools() {
  local wanted missing='' name
  for name in qemu-system-x86_64:qemu-system-x86 cpio:cpio; do
    command -v "${name%:*}" >/dev/null || missing+=" ${name#*:}"
  done
  into=$cache/tools
  qemu=(qemu-system-x86_64) cpio=(cpio)
  # Never the host's own: the guest must not depend on how it was linked there.
  package busybox-static
  busybox=$into/bin/busybox
  [ -n "$missing" ] || return 0
  if [ ! -e "$into/.complete" ]; then
    # shellcheck disable=SC2086
    wanted=$(apt-get install -s --no-install-recommends $missing 2>/dev/null | awk '$1 == "Inst" { print $2 }')
    [ -n "$wanted" ] || stop "apt-get knows no$missing; run apt-get update"
    # shellcheck disable=SC2086
    package $wanted
    touch "$into/.complete"
  fi
  local libraries=$into/usr/lib/x86_64-linux-gnu:$into/lib/x86_64-linux-gnu
  if [ -x "$into/usr/bin/qemu-system-x86_64" ]; then
    qemu=(env "LD_LIBRARY_PATH=$libraries" "$into/usr/bin/qemu-system-x86_64" -L "$into/usr/share/qemu" -L "$into/usr/share/seabios")
  fi
  [ ! -x "$into/bin/cpio" ] || cpio=(env "LD_LIBRARY_PATH=$libraries" "$into/bin/cpio")
}

# kernel VERSION: unpacks the newest stock image of that version; sets $vmlinuz and $modules.
kernel() {
  local pattern="^linux-image-${1//./\\.}\\.[0-9]+([.+-][0-9a-z]+)*-amd64$" name
  name=$(apt-cache pkgnames linux-image- | grep -E "$pattern" | grep -vE -- '-(cloud|rt|dbg|unsigned)' | sort -V | tail -1)
  [ -n "$name" ] || stop "apt-get knows no image of Linux $1; add bookworm-security or bookworm-backports and run apt-get update"
  into=$cache/$name
  package "$name"
  vmlinuz=$(echo "$into"/boot/vmlinuz-*)
  modules=$(echo "$into"/lib/modules/*)
}

# The modules that exist, plain, under numbers that keep their order.
initramfs() {
  local tree=$work/initramfs name file number=10
  rm -rf "$tree" && mkdir -p "$tree/bin" "$tree/modules"
  cp "$busybox" "$tree/bin/busybox"
  cp "$root/test/qemu/initramfs-init" "$tree/init"
  chmod 755 "$tree/init" "$tree/bin/busybox"
  for name in virtio virtio_ring virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk crc16 crc32c_generic \
    libcrc32c mbcache jbd2 ext4 exportfs overlay; do
    file=$(find "$modules/kernel" -name "$name.ko" -o -name "$name.ko.xz" | head -1)
    case $file in
      *.xz) xz -dc "$file" >"$tree/modules/$number-$name.ko" ;;
      *.ko) cp "$file" "$tree/modules/$number-$name.ko" ;;
    esac
    number=$((number + 1))
  done
  (cd "$tree" && find . | "${cpio[@]}" --quiet -o -H newc | gzip -1) >"$work/initrd.gz"
}

# bundle SOURCE OUTPUT: one program for a plain Node.
bundle() {
  "$root/node_modules/.bin/esbuild" "$root/$1" --bundle --platform=node --format=esm --target=node20 --log-level=error \
    '--banner:js=import { createRequire } from "node:module"; const require = createRequire(import.meta.url)' \
    --outfile="$2"
}

# with_libraries FILE...: into the image, with what the loader needs for them.
with_libraries() {
  local file
  for file in "$@"; do
    mkdir -p "$image$(dirname "$file")"
    cp -L "$file" "$image$file"
    ldd "$file" 2>/dev/null | grep -oE '/[^ ]+' | sort -u | while read -r library; do
      mkdir -p "$image$(dirname "$library")"
      [ -e "$image$library" ] || cp -L "$library" "$image$library"
    done
  done
}

root_image() {
  image=$work/image
  local job=$image/opt/agentport flags=(-Wall -Wextra -Werror -O2 -std=gnu11) node name
  node=$(readlink -f "$(command -v node)")
  mkdir -p "$job" "$image"/{bin,sbin,etc,proc,sys,dev,run,tmp,root,usr/bin,usr/lib,usr/local/bin,lib64}
  # As Debian has it: the loader's own paths lead through these.
  rmdir "$image/bin" "$image/sbin" "$image/lib64" && mkdir -p "$image/usr/lib64" "$image/usr/sbin"
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$image/$name"; done
  cp "$busybox" "$image/usr/bin/busybox"
  for name in sh mount umount mkdir chmod chown ip cat uname sleep; do ln -s busybox "$image/usr/bin/$name"; done
  with_libraries "$node" /usr/bin/true
  [ -e "$image/usr/bin/node" ] || ln -s "$node" "$image/usr/bin/node"
  cp "$root/test/qemu/guest-init" "$image/usr/sbin/init"
  chmod 755 "$image/usr/sbin/init" "$image/usr/bin/busybox"
  printf 'root:x:0:0:root:/root:/bin/sh\n' >"$image/etc/passwd"
  printf 'root:x:0:\n' >"$image/etc/group"
  printf 'root:*:1::::::\n' >"$image/etc/shadow"
  : >"$image/etc/ld.so.conf"

  cp "$root/package.json" "$job/"
  mkdir "$job/native" && cp "$root"/native/*.[ch] "$job/native/"
  cc "${flags[@]}" -static -o "$job/bpf-load" "$root/native/bpf.c" "$root/native/test/bpf-load.c"
  cc "${flags[@]}" -o "$job/attempt" "$root/test/qemu/attempt.c"
  for name in listed unlisted; do
    echo "int agentport_$name(void) { return 1; }" | cc -shared -fPIC -O2 -x c -o "$job/$name.so" -
  done
  bundle test/qemu/guest.ts "$job/guest.mjs"
  bundle src/cli/bin.ts "$job/dist/cli/bin.mjs"
  node "$job/dist/cli/bin.mjs" build >&2
  rm -f "$work/root.img"
  mke2fs -q -F -t ext4 -E root_owner=0:0 -d "$image" "$work/root.img" 600M >&2
}

boot() {
  local console=$work/console-$1.log
  say "booting $(basename "$vmlinuz"), at most $seconds s"
  timeout "$seconds" "${qemu[@]}" -machine q35,accel=tcg -cpu max -smp 2 -m 2048 -nographic -no-reboot -net none \
    -kernel "$vmlinuz" -initrd "$work/initrd.gz" -drive "file=$work/root.img,if=virtio,format=raw,snapshot=on" \
    -append 'console=ttyS0 quiet panic=-1 lsm=landlock,lockdown,yama,bpf' </dev/null 2>"$work/qemu.log" |
    tr -d '\r' | tee "$console" | awk -F '\t' '/^RESULT\t/ { print "  " $2 "  " $3 }' >&2 || true
}

# table VERSION: prints what the console says; fails unless the job ended well and everything in it held.
table() {
  local console=$work/console-$1.log begin held failed
  begin=$(grep -aoE 'AGENTPORT-GUEST begin .*' "$console" | head -1 || true)
  printf '\nLinux %s\n' "${begin#AGENTPORT-GUEST begin }"
  grep -a -P '^RESULT\t' "$console" | awk -F '\t' '{ printf "  %-4s  %-72s  %s\n", $2, $3, $4 }' || true
  held=$(grep -acP '^RESULT\tok\t' "$console" || true)
  failed=$(grep -acP '^RESULT\tFAIL\t' "$console" || true)
  printf '  %s held, %s did not\n' "$held" "$failed"
  if ! grep -aq '^AGENTPORT-GUEST end 0' "$console"; then
    printf '  the job did not end well; the last of the console:\n'
    grep -avP '^RESULT\t' "$console" | tail -n 25 | sed 's/^/    /'
    return 1
  fi
  [ "$failed" -eq 0 ] && [ "$held" -gt 0 ]
}

tools
say 'building the root file system'
root_image
status=0
for version in $kernels; do
  kernel "$version"
  initramfs
  boot "$version"
  table "$version" || status=1
done
exit $status
