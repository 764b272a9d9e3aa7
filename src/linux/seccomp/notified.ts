// What a refused call is called in a report. The arguments are the process's own, so only names of constants and numbers
// go into the text; and the words describe an attempt, they decide nothing.

import type { Feature } from '../../enforcer/feature.ts'
import {
  MODE_ARGUMENTS,
  type ModeArguments,
  O_CREAT,
  O_TMPFILE,
  S_IFBLK,
  S_IFCHR,
  S_IFMT,
  S_ISGID,
  S_ISUID,
} from './file-mode.ts'
import {
  CLONE_FLAGS,
  floorOf,
  MAP_ANONYMOUS,
  MSG_FASTOPEN,
  PR_SET_MM,
  PROT_EXEC,
  PROT_WRITE,
  REFUSED,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  type SeccompNeeds,
  SHARED_IPC,
  SHM_EXEC,
  SO_ATTACH,
  SOL_SOCKET,
  SUPERVISOR_SYSCALLS,
  TIOCLINUX,
  TIOCSETD,
  TIOCSTI,
} from './floor.ts'
import { answerTo, type RuleSet } from './rules.ts'
import { type Arch, syscallName } from './syscalls.ts'

export interface NotifiedSyscall {
  readonly feature: Feature
  /** One short line, e.g. `socket(AF_PACKET, SOCK_RAW, 768)`. */
  readonly subject: string
}

/**
 * Of a call that the filter handed to the listener. `args` are the six of struct seccomp_data, `forbidden` the names that
 * the profile forbids: a call that some box may make was then no attack on this one, but what the profile says it is.
 */
export function describeNotified(
  arch: Arch,
  nr: number,
  args: readonly bigint[],
  forbidden?: ReadonlySet<string>,
): NotifiedSyscall {
  const name = syscallName(arch, nr)
  if (forbidden?.has(name) && byProfileAlone(arch, nr, name, args)) {
    return Object.freeze({ feature: 'syscalls', subject: name })
  }
  const low = (index: number): number => Number(BigInt.asUintN(32, args[index] ?? 0n))
  const known = explain(name, low)
  // A call with nothing wrong about it was refused because the profile forbids it by name.
  if (known === undefined) return Object.freeze({ feature: featureOf(name), subject: name })
  return Object.freeze({ feature: known.feature, subject: `${name}(${known.arguments})` })
}

/** Whether nothing but the profile need have refused it. */
function byProfileAlone(arch: Arch, nr: number, name: string, args: readonly bigint[]): boolean {
  // Forbidden to commands by a program of their own, which tells nobody: what is told of them was refused to everybody.
  if (SUPERVISOR_SYSCALLS.includes(name)) return false
  const generous = GENEROUS.get(arch) ?? floorOf({ ...MOST_GENEROUS, arch }).box
  GENEROUS.set(arch, generous)
  return answerTo(generous.rules.get(nr) ?? generous.otherwise, args).kind === 'allow'
}

// Once: a box can have itself told as often as it likes.
const GENEROUS = new Map<Arch, RuleSet>()

/** A call that even this box refuses is an attack in any. */
const MOST_GENEROUS: Omit<SeccompNeeds, 'arch'> = Object.freeze({
  executableMemory: true,
  listen: true,
  inet: true,
  udp: true,
  unixSockets: true,
  forbiddenSyscalls: [],
  notify: true,
  namespaces: true,
  rootOutside: false,
})

function featureOf(name: string): Feature {
  if (REFUSED.privilege.includes(name) || SHARED_IPC.includes(name)) return 'privilege'
  if (REFUSED.fs_execute.includes(name)) return 'fs_execute'
  return name === 'listen' ? 'egress' : 'syscalls'
}

interface Explanation {
  readonly feature: Feature
  readonly arguments: string
}

function explain(name: string, low: (index: number) => number): Explanation | undefined {
  const modes = MODE_ARGUMENTS.get(name)
  if (modes !== undefined) return fileMode(modes, low)
  switch (name) {
    case 'socket':
    case 'socketpair': {
      const protocol = low(2)
      return {
        feature: 'egress',
        arguments: `${FAMILIES[low(0)] ?? low(0)}, ${TYPES[low(1) & 0xf] ?? low(1)}, ${protocol}`,
      }
    }
    case 'sendto':
    case 'sendmmsg':
      return when(low(3) & MSG_FASTOPEN, 'egress', 'MSG_FASTOPEN')
    case 'sendmsg':
      return when(low(2) & MSG_FASTOPEN, 'egress', 'MSG_FASTOPEN')
    case 'setsockopt':
      return when(low(1) === SOL_SOCKET && SO_ATTACH.includes(low(2)), 'privilege', `SOL_SOCKET, ${low(2)}`)
    case 'clone':
    case 'unshare': {
      const flags = Object.entries(CLONE_FLAGS).filter(
        ([flag, bit]) => (low(0) & bit) !== 0 && !(name === 'clone' && flag === 'CLONE_NEWTIME'),
      )
      return when(flags.length, 'privilege', flags.map(([flag]) => flag).join('|'))
    }
    case 'ioctl':
      return when(TERMINAL_REQUESTS[low(1)] !== undefined, 'privilege', TERMINAL_REQUESTS[low(1)] ?? '')
    case 'prctl':
      return when(low(0) === PR_SET_MM, 'privilege', 'PR_SET_MM')
    case 'personality':
      return { feature: 'privilege', arguments: `0x${low(0).toString(16)}` }
    case 'seccomp':
      return when(low(1) & SECCOMP_FILTER_FLAG_NEW_LISTENER, 'privilege', 'SECCOMP_FILTER_FLAG_NEW_LISTENER')
    case 'prlimit64':
    case 'migrate_pages':
    case 'move_pages':
      return when(low(0), 'privilege', `pid ${low(0)}`)
    case 'mmap':
      return when(
        low(2) & PROT_EXEC,
        'fs_execute',
        `${protection(low(2))}${low(3) & MAP_ANONYMOUS ? ', MAP_ANONYMOUS' : ''}`,
      )
    case 'mprotect':
    case 'pkey_mprotect':
      return when(low(2) & PROT_EXEC, 'fs_execute', protection(low(2)))
    case 'shmat':
      return when(low(2) & SHM_EXEC, 'fs_execute', 'SHM_EXEC')
    default:
      return undefined
  }
}

function when(holds: boolean | number, feature: Feature, text: string): Explanation | undefined {
  return holds ? { feature, arguments: text } : undefined
}

function fileMode({ mode, flags, typed }: ModeArguments, low: (index: number) => number): Explanation | undefined {
  if (flags !== undefined && (low(flags) & (O_CREAT | O_TMPFILE)) === 0) return undefined
  const bits = low(mode)
  const names = [
    ...(typed && (bits & S_IFMT) === S_IFCHR ? ['S_IFCHR'] : []),
    ...(typed && (bits & S_IFMT) === S_IFBLK ? ['S_IFBLK'] : []),
    ...(bits & S_ISUID ? ['S_ISUID'] : []),
    ...(bits & S_ISGID ? ['S_ISGID'] : []),
  ]
  return when(names.length, 'privilege', names.join('|'))
}

function protection(bits: number): string {
  return bits & PROT_WRITE ? 'PROT_WRITE|PROT_EXEC' : 'PROT_EXEC'
}

const TERMINAL_REQUESTS: Readonly<Record<number, string>> = Object.freeze({
  [TIOCSTI]: 'TIOCSTI',
  [TIOCLINUX]: 'TIOCLINUX',
  [TIOCSETD]: 'TIOCSETD',
})

const TYPES: Readonly<Record<number, string>> = Object.freeze({
  1: 'SOCK_STREAM',
  2: 'SOCK_DGRAM',
  3: 'SOCK_RAW',
  4: 'SOCK_RDM',
  5: 'SOCK_SEQPACKET',
  6: 'SOCK_DCCP',
  10: 'SOCK_PACKET',
})

/** Families that the report may well have to name; the others are shown as numbers. */
const FAMILIES: Readonly<Record<number, string>> = Object.freeze({
  0: 'AF_UNSPEC',
  1: 'AF_UNIX',
  2: 'AF_INET',
  10: 'AF_INET6',
  15: 'AF_KEY',
  16: 'AF_NETLINK',
  17: 'AF_PACKET',
  21: 'AF_RDS',
  29: 'AF_CAN',
  30: 'AF_TIPC',
  31: 'AF_BLUETOOTH',
  38: 'AF_ALG',
  40: 'AF_VSOCK',
  41: 'AF_KCM',
  42: 'AF_QIPCRTR',
  43: 'AF_SMC',
  44: 'AF_XDP',
})
