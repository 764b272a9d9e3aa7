// Attacks on other processes, on the kernel and on whatever is shared by the machine.

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type AttackHost, cgroupMount } from '../support/attack-host.ts'
import { type Attack, privilege, reported, root, signalled, silent } from './attack.ts'

const told = reported('privilege')
const hidden = silent('hidden')
const own = silent('own_namespace')
const denied = silent('no_privilege')
const CGROUPS = cgroupMount()

const outsider =
  (how: string, ...more: readonly ((host: AttackHost) => string)[]) =>
  (h: AttackHost) => ['process', how, String(h.outsider.pid), ...more.map((one) => one(h))]
const address = (h: AttackHost): string => h.outsider.address
const token = (h: AttackHost): string => h.token
const owned = {
  succeededOnHost: async (h: AttackHost) => (await h.received()).includes('memory owned-by-attack!'),
}
const call = (id: string, visibility = told, rest: Partial<Attack> = {}): Attack =>
  privilege(`call-${id}`, `reaches the kernel by ${id}`, () => ['call', id], visibility, rest)

/** Alive: what a daemon writes grows although its box is gone. */
const outlives = {
  feature: 'process_tree_kill',
  judge: 'host',
  succeededOnHost: async (h: AttackHost) => {
    const size = (): number => (existsSync(join(h.work, 'alive')) ? statSync(join(h.work, 'alive')).size : 0)
    const before = size()
    await new Promise((resolve) => setTimeout(resolve, 200))
    return size() > before
  },
} as const

const scheduled = (field: string, value: string) => ({
  succeededOnHost: (h: AttackHost) => readFileSync(`/proc/${h.outsider.pid}/${field}`, 'utf8').includes(value),
})

export const PRIVILEGE_ATTACKS: readonly Attack[] = [
  privilege('attach', 'traces a process outside', outsider('attach'), told),
  privilege('seize', 'the same, without stopping it', outsider('seize'), told),
  privilege('read-memory', 'reads the memory of a process outside', outsider('read-memory', address, token), told),
  privilege('write-memory', 'writes it', outsider('write-memory', address), told, owned),
  privilege('memory-file', 'reads it by /proc', outsider('memory-file', address, token), hidden),
  privilege('memory-file-write', 'writes it by /proc', outsider('memory-file-write', address), hidden, owned),
  privilege(
    'take-descriptor',
    'takes a descriptor of a process outside',
    outsider('take-descriptor', (h) => String(h.outsider.descriptor), token),
    hidden,
  ),
  privilege('handle-process', 'gets hold of a process outside', outsider('handle'), hidden),
  privilege('handle-signal', 'signals it by that hold', outsider('handle-signal'), hidden, signalled),
  privilege('signal', 'signals a process outside', outsider('signal'), hidden, signalled),
  privilege('signal-thread', 'signals one of its threads', outsider('signal-thread'), hidden, signalled),
  privilege('signal-queue', 'signals it with a value', outsider('signal-queue'), hidden, signalled),
  privilege('signal-group', 'signals its group', outsider('signal-group'), hidden, signalled),
  privilege('signal-int80', 'signals it by int 0x80', outsider('signal-int80'), silent('killed'), signalled),
  privilege('signal-owner', 'has the kernel signal it', outsider('signal-owner'), hidden, {
    ...signalled,
    judge: 'host',
  }),
  privilege('exists', 'finds out that it exists', outsider('exists'), hidden),
  privilege('session', 'finds out its session', outsider('session'), hidden),
  privilege('limit-get', 'reads its limits', outsider('limit-get'), told),
  privilege(
    'limit-set',
    'sets its limits',
    outsider('limit-set'),
    told,
    scheduled('limits', 'Max open files            64 '),
  ),
  privilege('priority', 'makes it slower', outsider('priority'), hidden),
  privilege('scheduler', 'makes it idle', outsider('scheduler'), hidden),
  privilege('affinity', 'ties it to one processor', outsider('affinity'), hidden),
  privilege('io-priority', 'makes its files slower', outsider('io-priority'), hidden),
  privilege('compare', 'compares what it shares with it', outsider('compare'), told),
  privilege('robust-list', 'reads where its locks are', outsider('robust-list'), hidden),
  privilege('move-pages', 'asks where its pages are', outsider('move-pages', address), told),
  privilege('advise', 'has its pages put away', outsider('advise', address), hidden, root),
  privilege('count', 'counts what it does', outsider('count'), told),
  privilege('environ', 'reads its environment', outsider('environ', token), hidden),
  privilege('cmdline', 'reads its arguments', outsider('cmdline', token), hidden),
  privilege(
    'maps',
    'reads its map',
    outsider('maps', () => 'outsider'),
    hidden,
  ),
  privilege(
    'status',
    'reads its status',
    outsider('status', () => 'outsider'),
    hidden,
  ),
  privilege(
    'descriptor-name',
    'reads what it has open',
    outsider('descriptor-name', (h) => String(h.outsider.descriptor)),
    hidden,
  ),
  privilege('oom', 'has it killed first', outsider('oom'), hidden, scheduled('oom_score_adj', '500')),
  privilege('list-processes', 'lists the processes of the host', outsider('list'), hidden),
  privilege('gateway-exists', 'finds the gateway', () => ['process', 'exists', String(process.pid)], hidden),
  privilege(
    'gateway-environ',
    'reads the environment of the gateway',
    () => ['process', 'environ', String(process.pid), 'PATH='],
    hidden,
  ),
  privilege(
    'gateway-cmdline',
    'reads the arguments of the gateway',
    () => ['process', 'cmdline', String(process.pid)],
    hidden,
  ),
  privilege(
    'gateway-memory',
    'opens the memory of the gateway',
    () => ['open', `/proc/${process.pid}/mem`, 'read'],
    hidden,
  ),
  privilege('parent-environ', 'reads the environment of its parent', () => ['parent-environ'], denied),
  privilege('init-environ', 'reads the environment of pid 1', () => ['init', 'environ'], denied, root),
  privilege('init-memory', 'opens the memory of pid 1', () => ['init', 'memory'], denied, root),
  privilege('init-descriptors', 'reads what pid 1 has open', () => ['init', 'descriptors'], denied, root),
  privilege('init-maps', 'reads the map of pid 1', () => ['init', 'maps'], denied, root),
  privilege('init-take', 'takes a descriptor of pid 1', () => ['init', 'handle'], told, root),
  privilege(
    'join-net',
    'joins the network of the host',
    (h) => ['join', 'file', String(h.outsider.pid), 'net'],
    hidden,
    root,
  ),
  privilege(
    'join-mount',
    'joins the mounts of the host',
    (h) => ['join', 'file', String(h.outsider.pid), 'mnt'],
    hidden,
    root,
  ),
  privilege(
    'join-pid',
    'joins the processes of the host',
    (h) => ['join', 'file', String(h.outsider.pid), 'pid'],
    hidden,
    root,
  ),
  privilege(
    'join-handle',
    'joins by a hold on a process',
    (h) => ['join', 'handle', String(h.outsider.pid), '-'],
    hidden,
    root,
  ),
  ...['user', 'user-pid', 'net', 'clone3-user', 'clone3-plain'].map((kind) =>
    privilege(
      `clone-${kind}`,
      `makes a process by clone: ${kind}`,
      () => ['clone', kind],
      kind.startsWith('clone3') ? silent('fallback') : told,
    ),
  ),
  privilege('clone-mount', 'makes a process with mounts of its own', () => ['clone', 'mount'], told, root),
  privilege('thread-namespace', 'makes a namespace in a thread', () => ['thread-namespace'], told, root),
  call('unshare-user'),
  call('unshare-high-bits'),
  ...['mount', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'time'].map((kind) => call(`unshare-${kind}`, told, root)),
  call('setns'),
  ...[
    'pivot_root',
    'fsopen',
    'open_tree',
    'open_tree_attr',
    'fspick',
    'move_mount',
    'mount_setattr',
    'fsmount',
    'kexec_load',
    'kexec_file_load',
    'init_module',
    'finit_module',
    'delete_module',
    'acct',
    'swapon',
    'swapoff',
    'reboot',
    'syslog',
    'syslog-read',
    'sethostname',
    'setdomainname',
    'bpf',
    'iopl',
    'ioperm',
    'lookup_dcookie',
  ].map((name) => call(name, told, root)),
  ...[
    'mount',
    'umount',
    'quotactl',
    'chroot',
    'fsconfig',
    'perf_event_open',
    'userfaultfd',
    'add_key',
    'request_key',
    'keyctl',
    'keyctl-join',
    'personality',
    'process_madvise',
    'quotactl_fd',
    'clock_settime',
    'settimeofday',
    'fanotify_init',
    'modify_ldt',
  ].map((name) => call(name)),
  call('adjtimex', told, root),
  call('clock_adjtime', told, root),
  call('memfd_create', reported('fs_execute')),
  call('memfd_secret', reported('fs_execute')),
  call('io_uring_setup', silent('fallback')),
  call('io_uring_register', silent('fallback')),
  call('set-mm', told, root),
  call('nice', denied, root),
  call('real-time', denied, root),
  call('io-real-time', denied, root),
  call('limit-raise', denied),
  call('setgroups', denied, root),
  call('setuid', denied, root),
  call('setgid', denied, root),
  call('x32-getpid', silent('killed')),
  call('x32-ptrace', silent('killed')),
  call('x32-unshare', silent('killed')),
  call('x32-execve', silent('killed')),
  call('int80-getpid', silent('killed')),
  call('int80-unshare', silent('killed')),
  call('int80-ptrace', silent('killed')),
  call('int80-memfd', silent('killed')),
  ...['effective', 'permitted', 'ambient-raise'].map((set) =>
    privilege(`capabilities-${set}`, `has capabilities: ${set}`, () => ['capabilities', set], denied, root),
  ),
  privilege('capabilities-bounding', 'could gain capabilities', () => ['capabilities', 'bounding'], denied),
  privilege('new-privileges', 'could gain privileges by running a program', () => ['new-privileges'], denied),
  ...['inject', 'inject-high', 'linux', 'linux-high', 'discipline'].map((how) =>
    privilege(`terminal-${how}`, `types into its terminal: ${how}`, () => ['terminal', how], told),
  ),
  privilege(
    'host-terminal',
    'writes to a terminal outside',
    (h) => ['host-terminal', h.outsider.terminal, h.token],
    hidden,
    {
      succeededOnHost: (h) => h.heard(),
    },
  ),
  privilege('socket-filter', 'loads a filter onto a socket', () => ['socket-filter'], told),
  ...['listener', 'allow', 'log'].map((how) =>
    privilege(
      `nested-${how}`,
      `lets a refused call go on by a filter of its own: ${how}`,
      () => ['nested-filter', how],
      told,
    ),
  ),
  ...[
    ['core-pattern', '/proc/sys/kernel/core_pattern'],
    ['modprobe', '/proc/sys/kernel/modprobe'],
    ['sysctl-net', '/proc/sys/net/ipv4/ip_forward'],
    ['sysctl-vm', '/proc/sys/vm/overcommit_memory'],
    ['sysrq', '/proc/sysrq-trigger'],
    ['sys-module', '/sys/kernel/uevent_seqnum'],
    ['sys-profiling', '/sys/kernel/profiling'],
    ['sys-memory', '/sys/kernel/mm/transparent_hugepage/enabled'],
    ['irq', '/proc/irq/default_smp_affinity'],
    ['mtrr', '/proc/mtrr'],
  ].map(([name, path = '']) =>
    privilege(`knob-${name}`, `opens ${path} for writing`, () => ['knob', path], silent('read_only'), root),
  ),
  privilege(
    'cgroup-leave',
    'leaves its control group',
    () => ['cgroup', 'leave', `${CGROUPS}/cgroup.procs`],
    hidden,
    root,
  ),
  privilege('cgroup-make', 'makes a control group', (h) => ['cgroup', 'make', `${CGROUPS}/${h.name}`], hidden, root),
  privilege('cgroup-mount', 'mounts the control groups', (h) => ['cgroup', 'mount', h.work], told, root),
  privilege(
    'segment',
    'attaches memory that processes of the host share',
    (h) => ['segment', String(h.outsider.segment), h.token],
    own,
  ),
  privilege('segment-list', 'lists it', (h) => ['segment-list', String(h.outsider.segment)], own),
  privilege(
    'queue',
    'takes a message out of a queue of the host',
    (h) => ['queue', String(h.outsider.queue), h.token],
    own,
  ),
  privilege('semaphore', 'raises a semaphore of the host', (h) => ['semaphore', String(h.outsider.semaphore)], own),
  privilege(
    'posix-queue',
    'takes a message out of a POSIX queue of the host',
    (h) => ['posix-queue', h.name, h.token],
    own,
  ),
  privilege('keyring', 'reads a key of the user', (h) => ['keyring', h.name, h.token], told),
  privilege('keyring-leave', 'leaves a key for whoever comes next', (h) => ['keyring-leave', `${h.name}-x`], told),
  privilege(
    'environment-inherited',
    'finds what the gateway has in its environment',
    (h) => ['environment', 'ATTACK_GATEWAY_TOKEN', h.token],
    silent('hidden'),
    {
      feature: 'env',
      arrange: (h) => {
        process.env['ATTACK_GATEWAY_TOKEN'] = h.token
      },
    },
  ),
  privilege(
    'environment-given',
    'is given a variable that the profile does not pass',
    (h) => ['environment', 'AGENTPORT_TOKEN', h.token],
    silent('hidden'),
    {
      feature: 'env',
      env: (h) => ({ AGENTPORT_TOKEN: h.token }),
      mayBeRefused: 'command',
    },
  ),
  privilege('daemon', 'lives on after the call', (h) => ['daemon', join(h.work, 'alive')], silent('limit'), outlives),
  privilege('flood', 'makes more processes than it may', () => ['flood', 'processes', '400', '300'], silent('limit'), {
    feature: 'limits',
    grants: { limits: { processes: 64 } },
  }),
  privilege(
    'flood-threads',
    'makes more threads than it may',
    () => ['flood', 'threads', '400', '300'],
    silent('limit'),
    { feature: 'limits', grants: { limits: { processes: 64 } } },
  ),
  privilege('hog', 'takes more memory than it may', () => ['hog', String(256 << 20)], silent('limit'), {
    feature: 'limits',
    grants: { limits: { memoryBytes: 64 << 20 } },
  }),
  privilege(
    'hog-children',
    'takes more memory than it may, in parts',
    () => ['hog-children', String(32 << 20), '8'],
    silent('limit'),
    { feature: 'limits', grants: { limits: { memoryBytes: 96 << 20 } } },
  ),
  privilege('outstay', 'runs longer than it may', (h) => ['outstay', '1500', h.mark], silent('limit'), {
    feature: 'limits',
    grants: { limits: { wallMs: 700 } },
    succeededOnHost: (h) => h.marked(),
  }),
]
