// Attacks on the rule that only granted files are read, and only those granted for it are changed.

import { existsSync, lstatSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type AttackHost, firstDisk } from '../support/attack-host.ts'
import { type Attack, changed, reading, reported, root, silent, writing } from './attack.ts'

const hidden = silent('hidden')
const readOnly = silent('read_only')
const told = reported('privilege')
const holes = { grants: { holes: true } } as const

const secret = (h: AttackHost): string => join(h.secret, 'secret.txt')
const data = (h: AttackHost): string => join(h.input, 'data.txt')
const hole = (h: AttackHost): string => join(h.input, 'private', 'key')
const hook = (h: AttackHost): string => join(h.work, 'repo', '.git', 'hooks', 'pre-commit')
const config = (h: AttackHost): string => join(h.work, 'repo', '.git', 'config')
const inWork = (h: AttackHost, name = 'x'): string => join(h.work, name)
const DISK = firstDisk()

const watchHole = {
  ...changed,
  ...holes,
  arrange: (h: AttackHost) => h.watch(join(h.work, 'repo', '.git'), join(h.work, '.npmrc')),
} as const
const hasSetuid = {
  succeededOnHost: (h: AttackHost) => existsSync(inWork(h)) && (statSync(inWork(h)).mode & 0o6000) !== 0,
}
const hasType = (type: 'isFIFO' | 'isSocket' | 'isCharacterDevice') => ({
  succeededOnHost: (h: AttackHost) => existsSync(inWork(h)) && lstatSync(inWork(h))[type](),
})

/** Every way to change a file or its name, against one that may only be read. */
const CHANGES = [
  'write',
  'append',
  'read-write-map',
  'open-truncate',
  'truncate',
  'reopen',
  'unlink',
  'chmod',
  'fchmod',
  'times',
  'xattr',
  'attributes',
] as const

export const FILE_ATTACKS: readonly Attack[] = [
  reading('read-secret', 'reads a file that was not granted', (h) => ['read', secret(h), h.token], hidden),
  reading(
    'read-dot-dot',
    'reads it by way of its own directory',
    (h) => ['read', `${h.work}/../secret/secret.txt`, h.token],
    hidden,
  ),
  reading(
    'read-symlink',
    'reads it through a symbolic link it made',
    (h) => ['read-symlinked', secret(h), h.token, inWork(h)],
    hidden,
  ),
  reading(
    'read-symlink-there',
    'reads it through a link that was there',
    (h) => ['read', join(h.work, 'linked'), h.token],
    hidden,
  ),
  reading(
    'read-symlink-directory',
    'reads it below a linked directory',
    (h) => ['read', join(h.work, 'linked-directory', 'secret.txt'), h.token],
    hidden,
  ),
  reading(
    'read-hard-link',
    'reads it through a hard link it made',
    (h) => ['read-linked', secret(h), h.token, inWork(h)],
    hidden,
  ),
  reading('read-openat2', 'reads it by openat2', (h) => ['read-by', 'openat2', secret(h), h.token], hidden),
  reading('read-uring', 'reads it by io_uring', (h) => ['read-by', 'uring', secret(h), h.token], silent('fallback')),
  reading('read-int80', 'reads it by int 0x80', (h) => ['read-by', 'int80', secret(h), h.token], silent('killed')),
  reading(
    'read-path-descriptor',
    'reads it by an O_PATH descriptor',
    (h) => ['read-by', 'path-descriptor', secret(h), h.token],
    hidden,
  ),
  reading('read-map', 'reads it by a mapping', (h) => ['read-by', 'map', secret(h), 'secret '], hidden),
  reading(
    'read-own-root',
    'reads it by /proc/self/root',
    (h) => ['read', `/proc/self/root${secret(h)}`, h.token],
    hidden,
  ),
  reading(
    'read-init-root',
    'reads it by /proc/1/root',
    (h) => ['read', `/proc/1/root${secret(h)}`, h.token],
    hidden,
    root,
  ),
  reading(
    'read-outsider-root',
    'reads it by the root of the outsider',
    (h) => ['process', 'below', `${h.outsider.pid}`, 'root', secret(h), h.token],
    hidden,
  ),
  reading(
    'read-outsider-cwd',
    'reads it by the directory of the outsider',
    (h) => ['process', 'below', `${h.outsider.pid}`, 'cwd', 'secret.txt', h.token],
    hidden,
  ),
  reading(
    'read-outsider-descriptor',
    'reads it by a descriptor of the outsider',
    (h) => ['process', 'descriptor', `${h.outsider.pid}`, `${h.outsider.descriptor}`, h.token],
    hidden,
  ),
  reading(
    'read-hole',
    'reads a hole in what was granted',
    (h) => ['read', hole(h), h.token],
    silent('read_only'),
    holes,
  ),
  reading(
    'read-hole-symlink',
    'reads the hole through a link',
    (h) => ['read-symlinked', hole(h), h.token, inWork(h)],
    silent('read_only'),
    holes,
  ),
  reading(
    'read-hole-hard-link',
    'reads the hole through a hard link',
    (h) => ['read-linked', hole(h), h.token, inWork(h)],
    hidden,
    holes,
  ),
  reading('read-gateway', 'reads the token of the gateway', (h) => ['read', join(h.gateway, 'token'), h.token], hidden),
  reading('read-shadow', 'reads the passwords of the machine', () => ['read', '/etc/shadow', ':'], hidden, root),
  reading('read-host-tmp', 'reads /tmp of the host', (h) => ['read', `/tmp/${h.name}`, h.token], hidden),
  reading('read-host-dev-shm', 'reads /dev/shm of the host', (h) => ['read', `/dev/shm/${h.name}`, h.token], hidden),
  reading('handle', 'opens a file by its number', (h) => ['handle', data(h)], told, root),
  reading('see-stat', 'finds out that a file exists', (h) => ['see', 'stat', secret(h)], hidden),
  reading('see-statx', 'the same, by statx', (h) => ['see', 'statx', secret(h)], hidden),
  reading('see-access', 'the same, by access', (h) => ['see', 'access', secret(h)], hidden),
  reading('see-statfs', 'the same, by statfs', (h) => ['see', 'statfs', secret(h)], hidden),
  reading('see-xattr', 'the same, by its attributes', (h) => ['see', 'xattr', secret(h)], hidden),
  reading('see-path-descriptor', 'the same, by O_PATH', (h) => ['see', 'path-descriptor', secret(h)], hidden),
  reading('see-create', 'the same, by trying to create it', (h) => ['see', 'create', secret(h)], hidden),
  reading('see-chdir', 'enters a directory that was not granted', (h) => ['see', 'chdir', h.secret], hidden),
  reading('see-watch', 'watches a directory that was not granted', (h) => ['see', 'watch', h.secret], hidden),
  reading('see-list', 'lists a directory that was not granted', (h) => ['see', 'list', h.secret, 'secret.txt'], hidden),
  reading('see-sibling', 'lists what lies beside what was granted', (h) => ['see', 'list', h.root, 'secret'], hidden),
  reading(
    'see-hole',
    'lists a hole',
    (h) => ['see', 'list', join(h.input, 'private'), 'key'],
    silent('read_only'),
    holes,
  ),
  reading('see-root-home', 'lists the home of the super-user', () => ['see', 'chdir', '/root'], hidden, root),
  reading('see-sys', 'looks around in /sys', () => ['see', 'chdir', '/sys/kernel'], hidden),

  ...CHANGES.map((how) =>
    writing(
      `secret-${how}`,
      `changes a file that was not granted: ${how}`,
      (h) => ['change', how, secret(h), inWork(h)],
      hidden,
      changed,
    ),
  ),
  writing(
    'secret-create',
    'creates a file where nothing was granted',
    (h) => ['change', 'create', join(h.secret, 'new')],
    hidden,
    changed,
  ),
  writing(
    'secret-mkdir',
    'creates a directory there',
    (h) => ['change', 'mkdir', join(h.secret, 'new')],
    hidden,
    changed,
  ),
  writing(
    'secret-rmdir',
    'removes a directory there',
    (h) => ['change', 'rmdir', join(h.secret, 'empty')],
    hidden,
    changed,
  ),
  writing(
    'secret-nameless',
    'creates a file there, first without a name',
    (h) => ['change', 'nameless', h.secret, join(h.secret, 'new')],
    hidden,
    changed,
  ),
  writing(
    'secret-symlink',
    'creates a link there',
    (h) => ['change', 'symlink', data(h), join(h.secret, 'new')],
    hidden,
    changed,
  ),
  writing(
    'secret-link-in',
    'links its own file into there',
    (h) => ['change', 'link', join(h.work, 'note.txt'), join(h.secret, 'new')],
    hidden,
    changed,
  ),
  writing(
    'secret-rename-out',
    'moves a file out of there',
    (h) => ['change', 'rename', secret(h), inWork(h)],
    hidden,
    changed,
  ),
  writing(
    'secret-rename-in',
    'moves its own file over one there',
    (h) => ['change', 'rename', join(h.work, 'note.txt'), secret(h)],
    hidden,
    changed,
  ),
  writing(
    'secret-exchange',
    'exchanges its own file with one there',
    (h) => ['change', 'exchange', join(h.work, 'note.txt'), secret(h)],
    hidden,
    changed,
  ),
  writing('secret-fifo', 'makes a fifo there', (h) => ['change', 'fifo', join(h.secret, 'new')], hidden, changed),
  writing('secret-chown', 'gives a file there to somebody else', (h) => ['change', 'chown', secret(h)], hidden, {
    ...changed,
    ...root,
  }),
  writing(
    'secret-symlinked-write',
    'writes it through a symbolic link it made',
    (h) => ['change', 'symlinked-write', secret(h), inWork(h)],
    hidden,
    changed,
  ),
  writing(
    'secret-symlink-there',
    'writes it through a link that was there',
    (h) => ['change', 'write', join(h.work, 'linked')],
    hidden,
    changed,
  ),
  writing(
    'secret-linked-write',
    'writes it through a hard link it made',
    (h) => ['change', 'linked-write', secret(h), inWork(h)],
    hidden,
    changed,
  ),
  writing('secret-uring', 'writes it by io_uring', (h) => ['change', 'uring', secret(h)], silent('fallback'), changed),

  ...CHANGES.map((how) =>
    writing(
      `input-${how}`,
      `changes a file that may only be read: ${how}`,
      (h) => ['change', how, data(h), inWork(h)],
      readOnly,
      changed,
    ),
  ),
  writing(
    'input-create',
    'creates a file beside it',
    (h) => ['change', 'create', join(h.input, 'new')],
    readOnly,
    changed,
  ),
  writing(
    'input-rename',
    'moves it into its own directory',
    (h) => ['change', 'rename', data(h), inWork(h)],
    readOnly,
    changed,
  ),
  writing(
    'input-link',
    'links it into its own directory',
    (h) => ['change', 'link', data(h), inWork(h)],
    readOnly,
    changed,
  ),
  writing(
    'input-linked-write',
    'writes it through a hard link it made',
    (h) => ['change', 'linked-write', data(h), inWork(h)],
    readOnly,
    changed,
  ),
  writing('input-chown', 'gives it to somebody else', (h) => ['change', 'chown', data(h)], readOnly, {
    ...changed,
    ...root,
  }),

  writing(
    'gateway-policy',
    'writes the policy',
    (h) => ['change', 'write', join(h.gateway, 'policy.yaml')],
    hidden,
    changed,
  ),
  writing(
    'gateway-audit',
    'cuts off the audit log',
    (h) => ['change', 'truncate', join(h.gateway, 'audit.jsonl')],
    hidden,
    changed,
  ),
  writing(
    'gateway-plant',
    'plants a configuration that was not there',
    (h) => ['change', 'create', join(h.gateway, 'settings.json')],
    hidden,
    changed,
  ),
  writing(
    'listed-chmod',
    'changes the mode of the listed program',
    (h) => ['change', 'chmod', h.listed],
    readOnly,
    changed,
  ),
  writing(
    'listed-times',
    'changes the times of the listed program',
    (h) => ['change', 'times', h.listed],
    readOnly,
    changed,
  ),
  writing(
    'host-tmp-write',
    'writes a file in /tmp of the host',
    (h) => ['change', 'write', `/tmp/${h.name}`],
    hidden,
    changed,
  ),
  writing(
    'host-dev-shm-write',
    'writes a file in /dev/shm of the host',
    (h) => ['change', 'write', `/dev/shm/${h.name}`],
    hidden,
    changed,
  ),

  writing(
    'hook-create',
    'plants a hook in a repository it may work in',
    (h) => ['change', 'create', hook(h)],
    readOnly,
    watchHole,
  ),
  writing(
    'hook-rename',
    'moves a file to be a hook',
    (h) => ['change', 'rename', join(h.work, 'note.txt'), hook(h)],
    readOnly,
    watchHole,
  ),
  writing(
    'hook-link',
    'links a file to be a hook',
    (h) => ['change', 'link', join(h.work, 'note.txt'), hook(h)],
    readOnly,
    watchHole,
  ),
  writing(
    'hook-moved-parent',
    'moves the repository away, plants a hook and moves it back',
    (h) => ['change', 'moved-parent', hook(h), join(h.work, 'repo')],
    readOnly,
    watchHole,
  ),
  writing(
    'git-config',
    'changes the configuration of the repository',
    (h) => ['change', 'append', config(h)],
    readOnly,
    watchHole,
  ),
  writing(
    'git-remove',
    'moves .git away',
    (h) => ['change', 'rename', join(h.work, 'repo', '.git'), inWork(h)],
    readOnly,
    watchHole,
  ),
  writing(
    'absent-denied',
    'creates a denied file that does not exist yet',
    (h) => ['change', 'create', join(h.work, '.npmrc')],
    readOnly,
    {
      ...watchHole,
      grants: { absentHole: true },
      mayBeRefused: 'profile',
    },
  ),

  writing(
    'plant-setuid',
    'leaves a program with a setuid bit',
    (h) => ['plant', 'setuid-chmod', inWork(h), h.payload],
    told,
    hasSetuid,
  ),
  writing('plant-setuid-fchmod', 'the same, by fchmod', (h) => ['plant', 'setuid-fchmod', inWork(h)], told, hasSetuid),
  writing(
    'plant-setuid-create',
    'the same, by the mode it is created with',
    (h) => ['plant', 'setuid-create', inWork(h)],
    told,
    hasSetuid,
  ),
  writing('plant-setuid-mknod', 'the same, by mknod', (h) => ['plant', 'setuid-mknod', inWork(h)], told, hasSetuid),
  writing(
    'plant-setuid-openat2',
    'the same, by openat2',
    (h) => ['plant', 'setuid-openat2', inWork(h)],
    silent('fallback'),
    hasSetuid,
  ),
  writing(
    'plant-capability',
    'leaves a program with a capability',
    (h) => ['plant', 'capability', inWork(h)],
    silent('no_privilege'),
    { ...root },
  ),
  writing(
    'plant-fifo',
    'leaves a fifo that whoever reads it hangs on',
    (h) => ['plant', 'fifo', inWork(h)],
    silent('landlock'),
    hasType('isFIFO'),
  ),
  writing(
    'plant-socket',
    'leaves a socket',
    (h) => ['plant', 'socket', inWork(h)],
    silent('landlock'),
    hasType('isSocket'),
  ),
  writing('plant-device', 'leaves a device', (h) => ['plant', 'device', inWork(h)], told, {
    ...root,
    ...hasType('isCharacterDevice'),
  }),

  reading('disk', 'reads the disk', () => ['read', DISK.path], hidden, root),
  reading(
    'disk-by-node',
    'reads the disk by a node of its own',
    (h) => ['device', DISK.major, DISK.minor, inWork(h)],
    told,
    root,
  ),
  reading(
    'kernel-memory',
    'opens the memory of the kernel',
    () => ['open', '/proc/kcore', 'read'],
    silent('no_privilege'),
    root,
  ),
  reading('kernel-log', 'opens the log of the kernel', () => ['open', '/dev/kmsg', 'read'], hidden, root),
  reading(
    'kernel-log-proc',
    'opens the log of the kernel by /proc',
    () => ['open', '/proc/kmsg', 'read'],
    silent('no_privilege'),
    root,
  ),
  reading('kernel-keys', 'lists the keys of the machine', (h) => ['read', '/proc/keys', h.name], silent('hidden')),
  reading(
    'sockets-list',
    'reads who listens on the host',
    (h) => ['read', '/proc/net/unix', h.name],
    silent('own_namespace'),
  ),
  reading('core-dump', 'leaves what it had in memory', (h) => ['core', h.work, h.token], silent('limit')),
  reading('descriptors', 'finds a descriptor it did not open', () => ['descriptors'], silent('hidden')),
]
