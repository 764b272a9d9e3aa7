// Attacks on the rule that only listed code runs.

import { existsSync, realpathSync } from 'node:fs'
import { chmod, chown, copyFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Attack, binary, ran, reported, root, silent } from './attack.ts'

const noexec = silent('noexec')
const told = reported('fs_execute')
const tool = { ...ran, grants: { tool: true }, mayBeRefused: 'profile' } as const

/** Where a program of this machine really is; one that is missing is a control that fails and says so. */
function installed(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}

const SH = installed('/bin/sh')
const BASH = installed('/bin/bash')
const PERL = installed('/usr/bin/perl')
const ENV = installed('/usr/bin/env')
const FIND = installed('/usr/bin/find')
const AWK = installed('/usr/bin/awk')
const XARGS = installed('/usr/bin/xargs')

const by = (program: string, evidence?: RegExp) =>
  ({
    ...ran,
    program,
    judge: 'host',
    grants: { binaries: [program] },
    ...(evidence === undefined ? {} : { evidence }),
  }) as const

// memfd_create, filled by the interpreter itself and run by its number.
const PERL_MEMFD = `$| = 1; print "trying\\n"; my ($nr, $from, $mark) = @ARGV; my $name = "m";
my $fd = syscall($nr + 0, $name, 0); exit 10 if $fd < 0;
open(my $in, "<", $from) or exit 10; binmode $in; local $/; my $code = <$in>;
open(my $out, ">&=", $fd) or exit 10; syswrite($out, $code); $^F = 255; exec { "/proc/$$/fd/$fd" } "m", $mark; exit 10`
const PERL_LOAD =
  '$| = 1; print "trying\\n"; $ENV{ATTACK_MARK} = $ARGV[1]; DynaLoader::boot_DynaLoader("DynaLoader"); DynaLoader::dl_load_file($ARGV[0], 0); exit 10'

export const BINARY_ATTACKS: readonly Attack[] = [
  binary(
    'exec-hidden',
    'runs a program outside of every grant',
    (h) => ['exec', h.hidden, h.mark],
    silent('hidden'),
    ran,
  ),
  binary(
    'exec-readable',
    'runs a readable program that is not listed',
    (h) => ['exec', h.payload, h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-writable',
    'runs a program it wrote',
    (h) => ['exec-copy', h.payload, join(h.work, 'dropped'), h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-tmp',
    'runs a program it wrote to /tmp',
    (h) => ['exec-copy', h.payload, `/tmp/${h.name}-x`, h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-dev-shm',
    'runs a program it wrote to /dev/shm',
    (h) => ['exec-copy', h.payload, `/dev/shm/${h.name}-x`, h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-hard-link',
    'runs an unlisted program by a hard link',
    (h) => ['exec-link', h.payload, join(h.work, 'link'), h.mark],
    silent('hidden'),
    ran,
  ),
  binary(
    'exec-symlink',
    'runs an unlisted program by a symbolic link',
    (h) => ['exec-symlink', h.payload, join(h.work, 'link'), h.mark],
    noexec,
    ran,
  ),
  binary('exec-thread', 'runs it from another thread', (h) => ['exec-thread', h.payload, h.mark], noexec, ran),
  binary(
    'exec-grandchild',
    'runs it from a grandchild in a session of its own',
    (h) => ['exec-grandchild', h.payload, h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-relative',
    'runs it by execveat below a directory',
    (h) => ['exec-descriptor', 'relative', h.payload, h.mark],
    told,
    ran,
  ),
  binary('exec-descriptor', 'runs an open file', (h) => ['exec-descriptor', 'open', h.payload, h.mark], told, ran),
  binary(
    'exec-path-descriptor',
    'runs an O_PATH descriptor',
    (h) => ['exec-descriptor', 'path', h.payload, h.mark],
    told,
    ran,
  ),
  binary('exec-proc-fd', 'runs /proc/self/fd/N', (h) => ['exec-descriptor', 'proc', h.payload, h.mark], noexec, ran),
  binary(
    'exec-memfd',
    'runs a memfd by its descriptor',
    (h) => ['exec-memory', 'execveat', h.payload, h.mark],
    told,
    ran,
  ),
  binary(
    'exec-memfd-proc',
    'runs a memfd by /proc/self/fd',
    (h) => ['exec-memory', 'proc', h.payload, h.mark],
    told,
    ran,
  ),
  binary(
    'exec-nameless',
    'runs a file without a name',
    (h) => ['exec-nameless', h.work, h.payload, h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-script',
    'runs a script whose interpreter is listed',
    (h) => ['exec-script', join(h.work, 's'), h.listed, 'script-body', h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-script-interpreter',
    'runs a script whose interpreter is not listed',
    (h) => ['exec-script', join(h.work, 's'), h.payload, '-', h.mark],
    noexec,
    ran,
  ),
  binary(
    'exec-race',
    'lets a name mean a listed file and then another',
    (h) => ['exec-race', h.listed, h.payload, join(h.work, 'link'), h.mark],
    noexec,
    ran,
  ),
  binary(
    'loader-file',
    'has the loader load an unlisted program',
    (h) => ['exec-loader', h.dynamicPayload, h.mark],
    noexec,
    { ...ran, judge: 'host' },
  ),
  binary(
    'preload',
    'LD_PRELOAD into a listed program',
    (h) => ['exec-with', h.listed, 'LD_PRELOAD', h.library, h.mark, 'survive'],
    noexec,
    ran,
  ),
  binary(
    'preload-written',
    'LD_PRELOAD of a library it may write',
    (h) => ['exec-with', h.listed, 'LD_PRELOAD', join(h.work, 'EVIL.so'), h.mark, 'survive'],
    noexec,
    ran,
  ),
  binary(
    'audit-library',
    'LD_AUDIT into a listed program',
    (h) => ['exec-with', h.listed, 'LD_AUDIT', h.library, h.mark, 'survive'],
    noexec,
    ran,
  ),
  binary(
    'character-set',
    'GCONV_PATH: a character set that is code',
    (h) => ['exec-with', h.listed, 'GCONV_PATH', h.work, h.mark, 'survive-iconv'],
    noexec,
    ran,
  ),
  binary('preload-by-caller', 'LD_PRELOAD given with the command', () => ['survive'], silent('no_privilege'), {
    ...ran,
    env: (h) => ({ LD_PRELOAD: h.library, ATTACK_MARK: h.mark }),
    judge: 'host',
    mayBeRefused: 'command',
  }),
  binary('load', 'dlopen of a readable library', (h) => ['load', h.library, h.mark], noexec, ran),
  binary(
    'load-written',
    'dlopen of a library it wrote',
    (h) => ['load-copy', h.library, join(h.work, 'mine.so'), h.mark],
    noexec,
    ran,
  ),
  binary(
    'load-tmp',
    'dlopen of a library it wrote to /tmp',
    (h) => ['load-copy', h.library, `/tmp/${h.name}-x.so`, h.mark],
    noexec,
    ran,
  ),
  binary('map-file', 'maps a file as code', (h) => ['map-file', 'execute', h.code, h.mark], noexec, ran),
  binary(
    'map-file-protect',
    'maps a file and makes it code',
    (h) => ['map-file', 'protect', h.code, h.mark],
    told,
    ran,
  ),
  binary(
    'map-file-private',
    'maps a file, changes the copy and makes it code',
    (h) => ['map-file', 'private', h.code, h.mark],
    told,
    ran,
  ),
  binary(
    'map-file-shared',
    'writes a file by a mapping that becomes code',
    (h) => ['map-file', 'shared', join(h.work, 'code'), h.mark],
    told,
    {
      ...ran,
      arrange: (h) => writeFile(join(h.work, 'code'), Buffer.alloc(4096)),
    },
  ),
  binary(
    'map-file-personality',
    'reading implies executing, by personality, for a file',
    (h) => ['map-file', 'personality', h.code, h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'map-listed-private',
    'writes into a private mapping of a listed file and makes it code',
    (h) => ['map-file', 'private', h.listed, h.mark],
    told,
    ran,
  ),
  binary('map-dev-zero', 'maps /dev/zero writable and executable', (h) => ['map-zero', h.mark], told, ran),
  binary(
    'map-anonymous',
    'maps memory that is writable and executable',
    (h) => ['map-memory', 'at-once', h.mark],
    told,
    ran,
  ),
  binary('map-anonymous-shared', 'the same, shared', (h) => ['map-memory', 'shared', h.mark], told, ran),
  binary('map-anonymous-protect', 'makes memory executable', (h) => ['map-memory', 'protect', h.mark], told, ran),
  binary(
    'map-anonymous-key',
    'makes memory executable by pkey_mprotect',
    (h) => ['map-memory', 'key', h.mark],
    told,
    ran,
  ),
  binary('map-heap', 'makes the heap executable', (h) => ['map-memory', 'heap', h.mark], told, ran),
  binary('map-data', 'makes its own data executable', (h) => ['map-memory', 'data', h.mark], told, ran),
  binary('map-stack', 'makes the stack executable', (h) => ['map-memory', 'stack', h.mark], told, ran),
  binary(
    'map-stack-grows',
    'makes the whole stack executable',
    (h) => ['map-memory', 'stack-grows', h.mark],
    told,
    ran,
  ),
  binary(
    'map-personality',
    'reading implies executing, by personality',
    (h) => ['map-memory', 'personality', h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'map-int80',
    'makes memory executable by int 0x80',
    (h) => ['map-memory', 'int80', h.mark],
    silent('killed'),
    ran,
  ),
  binary('map-memfd', 'maps a memfd as code', (h) => ['map-memfd', h.mark], told, ran),
  binary('map-segment', 'attaches a SysV segment as code', (h) => ['map-segment', 'execute', h.mark], told, ran),
  binary(
    'map-segment-bits',
    'the same, with bits the kernel drops',
    (h) => ['map-segment', 'high-bits', h.mark],
    told,
    ran,
  ),
  binary('map-segment-protect', 'makes an attached segment code', (h) => ['map-segment', 'protect', h.mark], told, ran),
  binary('map-dev-shm', 'maps a file of /dev/shm as code', (h) => ['map-scratch', '/dev/shm', h.mark], noexec, ran),
  binary('map-tmp', 'maps a file of /tmp as code', (h) => ['map-scratch', '/tmp', h.mark], noexec, ran),
  binary('map-work', 'maps a file it wrote as code', (h) => ['map-scratch', h.work, h.mark], noexec, ran),
  binary('patch-protect', 'makes its own code writable and code again', (h) => ['patch', 'protect', h.mark], told, ran),
  binary(
    'patch-memory-file',
    'writes its own code by /proc/self/mem',
    (h) => ['patch', 'file', h.mark],
    silent('read_only'),
    ran,
  ),
  binary(
    'patch-memory-file-thread',
    'writes its own code by /proc/thread-self/mem',
    (h) => ['patch', 'thread', h.mark],
    silent('read_only'),
    ran,
  ),
  binary(
    'patch-child',
    'writes the code of a child it traces',
    (h) => ['patch-child', h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'tamper-overwrite',
    'overwrites a listed program in a writable directory',
    (h) => ['tamper', 'overwrite', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'tamper-in-place',
    'overwrites it without truncating',
    (h) => ['tamper', 'in-place', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'tamper-replace',
    'removes it and puts another in its place',
    (h) => ['tamper', 'replace', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'tamper-rename',
    'renames another over it',
    (h) => ['tamper', 'rename', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'tamper-exchange',
    'exchanges it with another',
    (h) => ['tamper', 'exchange', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'tamper-symlink',
    'puts a symbolic link in its place',
    (h) => ['tamper', 'symlink', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'tamper-parent',
    'replaces the directory it is in',
    (h) => ['tamper', 'parent', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'tamper-mode',
    'makes it unusable for the next box',
    (h) => ['tamper', 'mode', h.tool, h.payload, h.mark],
    silent('read_only'),
    tool,
  ),
  binary(
    'remount-bind',
    'binds another program over a listed one',
    (h) => ['remount', 'bind', h.work, h.listed, h.payload, h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'remount-memory',
    'mounts a file system without noexec',
    (h) => ['remount', 'memory', h.work, h.listed, h.payload, h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'remount-flags',
    'takes noexec off its directory',
    (h) => ['remount', 'flags', h.work, h.listed, h.payload, h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'remount-overlay',
    'mounts an overlay',
    (h) => ['remount', 'overlay', h.work, h.listed, h.payload, h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'remount-new-calls',
    'mounts by fsopen and fsmount',
    (h) => ['remount', 'new-calls', h.work, h.listed, h.payload, h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'remount-move',
    'moves another program over a listed one',
    (h) => ['remount', 'move', h.work, h.listed, h.payload, h.mark],
    reported('privilege'),
    ran,
  ),
  binary(
    'jail',
    'gives itself a root in which the payload has any name',
    (h) => ['jail', h.work, h.payload],
    reported('privilege'),
    {
      succeededOnHost: (h) => existsSync(join(h.work, 'jail', 'ran')),
    },
  ),
  binary(
    'shell-exec',
    'a listed shell runs an unlisted program',
    (h) => ['-c', 'echo trying; exec "$1" "$2"', 'sh', h.payload, h.mark],
    noexec,
    by(SH),
  ),
  binary(
    'shell-written',
    'a listed shell runs what it wrote',
    (h) => ['-c', 'echo trying; exec "$1" "$2"', 'sh', join(h.work, 'link'), h.mark],
    noexec,
    {
      ...by(SH),
      arrange: (h) => symlink(h.payload, join(h.work, 'link')),
    },
  ),
  binary(
    'shell-preload',
    'a listed shell preloads a library into a listed program',
    (h) => [
      '-c',
      'echo trying; export ATTACK_MARK="$2"; LD_PRELOAD="$1" "$3" survive',
      'sh',
      h.library,
      h.mark,
      h.listed,
    ],
    noexec,
    by(SH),
  ),
  binary(
    'shell-builtin',
    'a listed shell loads a library as a builtin',
    (h) => ['-c', 'echo trying; export ATTACK_MARK="$2"; enable -f "$1" evil', 'bash', h.library, h.mark],
    noexec,
    by(BASH),
  ),
  binary(
    'env-split',
    'env runs an unlisted program',
    (h) => ['-v', '-S', `${h.payload} ${h.mark}`],
    noexec,
    by(ENV, /executing/),
  ),
  binary(
    'find-exec',
    'find runs an unlisted program',
    (h) => [h.input, '-name', 'payload', '-printf', 'trying\n', '-exec', '{}', h.mark, ';'],
    noexec,
    by(FIND, /trying/),
  ),
  binary(
    'awk-system',
    'awk runs a command by a shell that is not listed',
    (h) => [`BEGIN { print "trying"; fflush(); system("${h.payload} ${h.mark}") }`],
    silent('hidden'),
    by(AWK),
  ),
  binary('xargs', 'xargs runs an unlisted program', (h) => ['-t', '-a', join(h.work, 'arguments'), h.payload], noexec, {
    ...by(XARGS, /payload/),
    arrange: (h) => writeFile(join(h.work, 'arguments'), `${h.mark}\n`),
  }),
  binary(
    'perl-memory',
    'perl makes a memfd and runs it',
    (h) => ['-e', PERL_MEMFD, process.arch === 'arm64' ? '279' : '319', h.payload, h.mark],
    told,
    by(PERL),
  ),
  binary('perl-load', 'perl loads a library', (h) => ['-e', PERL_LOAD, h.library, h.mark], noexec, by(PERL)),
  binary('setuid-program', 'gains by a setuid bit', (h) => ['gain', h.setuid], silent('no_privilege'), {
    ...root,
    grants: { setuid: true },
    arrange: async (h) => {
      await copyFile(h.listed, h.setuid)
      // Nobody else can give a file away.
      if (process.getuid?.() === 0) await chown(h.setuid, 65534, 65534)
      await chmod(h.setuid, 0o4755)
    },
  }),
]
