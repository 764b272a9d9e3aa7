// The control group programs that hold a box on the host's network to its direct grants: the kernel runs them inside
// socket, bind, connect and sendto of every member and answers EPERM when one returns 0. They trust nothing of the
// process but the registers the kernel fills in. Not seen here, and so left to seccomp: other socket families, `listen`
// on a socket that was never bound, sockets made before their holder joined the group.

import { AgentPortError } from '../../core/errors.ts'
import type { BpfMap, BpfObject, BpfProgram } from '../box.ts'
import { Assembler, HELPER } from './assembler.ts'
import {
  type DirectGrant,
  egressTrie,
  GRANTED,
  GRANTED_ISATAP,
  LOOKUP_BITS,
  MAX_TRIE_ENTRIES,
  PROTOCOL,
} from './egress-trie.ts'

export interface EgressOptions {
  /** Whether the box may give its sockets an address, which is what a server does. */
  readonly bind: boolean
  /** Whether it may connect or send to Unix sockets by path or name. `false` needs Linux 6.7. */
  readonly unixSockets: boolean
}

/** What the programs refuse, in the order of the counters in the map `denials`. */
export const EGRESS_DENIALS = Object.freeze([
  'socket',
  'bind4',
  'bind6',
  'connect4',
  'connect6',
  'send4',
  'send6',
  'unix_connect',
  'unix_send',
] as const)

export type EgressDenial = (typeof EGRESS_DENIALS)[number]

/** Name of the map to read when the box has ended. */
export const DENIALS_MAP = 'denials'

// linux/bpf.h: bpf_prog_type, bpf_attach_type, bpf_map_type.
const CGROUP_SOCK = 9
const CGROUP_SOCK_ADDR = 18
const MAP_TYPE_ARRAY = 2
const COUNTER_BYTES = 8

interface Hook {
  readonly denial: EgressDenial
  readonly type: number
  readonly attach: number
  readonly body: (asm: Assembler) => Assembler
}

const EGRESS = 0
const DENIALS = 1

// Offsets in struct bpf_sock and struct bpf_sock_addr.
const SOCK = { family: 4, type: 8, protocol: 12 }
const ADDR = { ip4: 4, ip6: 8, port: 24, protocol: 36 }

const AF_INET = 2
const AF_INET6 = 10
const SOCK_STREAM = 1
const SOCK_DGRAM = 2
const IPPROTO_MPTCP = 262

const HOOKS: readonly Hook[] = [
  { denial: 'socket', type: CGROUP_SOCK, attach: 2, body: socketBody },
  { denial: 'bind4', type: CGROUP_SOCK_ADDR, attach: 8, body: refuseBody },
  { denial: 'bind6', type: CGROUP_SOCK_ADDR, attach: 9, body: refuseBody },
  { denial: 'connect4', type: CGROUP_SOCK_ADDR, attach: 10, body: address4Body },
  { denial: 'connect6', type: CGROUP_SOCK_ADDR, attach: 11, body: address6Body },
  { denial: 'send4', type: CGROUP_SOCK_ADDR, attach: 14, body: address4Body },
  { denial: 'send6', type: CGROUP_SOCK_ADDR, attach: 15, body: address6Body },
  { denial: 'unix_connect', type: CGROUP_SOCK_ADDR, attach: 49, body: refuseBody },
  { denial: 'unix_send', type: CGROUP_SOCK_ADDR, attach: 50, body: refuseBody },
]

/**
 * Programs and maps for one box. A hook whose answer is always yes gets no program. Throws
 * `ERR_ENFORCEMENT_UNAVAILABLE` for more destinations than a trie is made for.
 */
export function egressBpf(grants: readonly DirectGrant[], options: EgressOptions): BpfObject {
  const trie = egressTrie(grants)
  if (trie.entries.length > MAX_TRIE_ENTRIES) {
    const message = `${grants.length} direct destinations are more than ${MAX_TRIE_ENTRIES} entries of a trie can hold`
    throw new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', message)
  }
  const open = (denial: EgressDenial): boolean =>
    (options.bind === true && denial.startsWith('bind')) || (options.unixSockets === true && denial.startsWith('unix_'))
  return Object.freeze({
    maps: Object.freeze([trie, DENIAL_COUNTERS]),
    programs: Object.freeze(HOOKS.filter(({ denial }) => !open(denial)).map(programOf)),
  })
}

/** The counts in the map `denials`, as the launcher reads it back. `undefined` for bytes that are not that map. */
export function readDenials(values: Uint8Array): Readonly<Record<EgressDenial, bigint>> | undefined {
  if (values.byteLength !== EGRESS_DENIALS.length * COUNTER_BYTES) return undefined
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength)
  const counts = EGRESS_DENIALS.map((denial, index) => [denial, view.getBigUint64(index * COUNTER_BYTES, true)])
  return Object.freeze(Object.fromEntries(counts) as Record<EgressDenial, bigint>)
}

const DENIAL_COUNTERS: BpfMap = Object.freeze({
  name: DENIALS_MAP,
  type: MAP_TYPE_ARRAY,
  keySize: 4,
  valueSize: COUNTER_BYTES,
  maxEntries: EGRESS_DENIALS.length,
  flags: 0,
  entries: Object.freeze([]),
})

function programOf({ denial, type, attach, body }: Hook): BpfProgram {
  const asm = new Assembler()
  body(asm).label('deny')
  countDenial(asm, EGRESS_DENIALS.indexOf(denial))
  return Object.freeze({
    name: `ap_${denial}`,
    type,
    expectedAttachType: attach,
    attachBtfId: 0,
    ...asm.assemble(),
    attach: Object.freeze({ to: 'cgroup' }),
  })
}

/** The answer no, counted. A missing counter changes nothing about the answer. */
function countDenial(asm: Assembler, index: number): void {
  asm
    .store(32, 'r10', -4, index)
    .mov('r2', 'r10')
    .alu('add', 'r2', -4)
    .loadMap('r1', DENIALS)
    .call(HELPER.mapLookupElem)
    .jumpIf('eq', 'r0', 0, 'counted')
    .mov('r1', 1)
    .atomicAdd(64, 'r0', 0, 'r1')
    .label('counted')
    .mov('r0', 0)
    .exit()
}

function refuseBody(asm: Assembler): Assembler {
  return asm
}

/**
 * Only TCP streams and UDP datagrams. Type and protocol are both looked at: SOCK_RAW takes any protocol number, UDP's
 * too, and writes packets that no other hook sees.
 */
function socketBody(asm: Assembler): Assembler {
  return asm
    .load(32, 'r2', 'r1', SOCK.family)
    .load(32, 'r3', 'r1', SOCK.type)
    .load(32, 'r4', 'r1', SOCK.protocol)
    .jumpIf('eq', 'r2', AF_INET, 'type')
    .jumpIf('ne', 'r2', AF_INET6, 'deny')
    .label('type')
    .jumpIf('eq', 'r3', SOCK_STREAM, 'stream')
    .jumpIf('ne', 'r3', SOCK_DGRAM, 'deny')
    .jumpIf('ne', 'r4', PROTOCOL.udp, 'deny')
    .jump('allow')
    .label('stream')
    .jumpIf('eq', 'r4', PROTOCOL.tcp, 'allow')
    .jumpIf('ne', 'r4', IPPROTO_MPTCP, 'deny')
    .label('allow')
    .mov('r0', 1)
    .exit()
}

/** Where the key of a lookup lies on the stack, and the parts of it. */
const KEY = -24
const KEY_PROTOCOL = KEY + 4
const KEY_PORT = KEY + 6
const KEY_ADDRESS = KEY + 8
/** The last word of `::ffff:0:0/96`, bytes 00 00 ff ff. */
const MAPPED_WORD = 0xffff_0000 | 0

/**
 * Also what an IPv6 socket sends to an IPv4 address, and `sendto` with AF_UNSPEC, which the kernel reads as AF_INET.
 * `connect` with AF_UNSPEC takes a connection away and comes by no hook.
 */
function address4Body(asm: Assembler): Assembler {
  asm
    .mov('r6', 'r1')
    .store(64, 'r10', KEY_ADDRESS, 0)
    .store(32, 'r10', KEY_ADDRESS + 8, MAPPED_WORD)
    .load(32, 'r1', 'r6', ADDR.ip4)
    .store(32, 'r10', KEY_ADDRESS + 12, 'r1')
    .mov('r7', GRANTED)
  return lookup(asm)
}

// Third word of an address whose last 64 bits are 0000:5efe or 0200:5efe and an IPv4 address (RFC 5214 §6.1), with and
// without the bit that tells the two apart.
const ISATAP_WORD = 0xfe5e_0000 | 0
const ISATAP_MASK = 0xffff_fffd | 0

function address6Body(asm: Assembler): Assembler {
  asm.mov('r6', 'r1')
  for (let word = 0; word < 4; word++) {
    asm.load(32, 'r1', 'r6', ADDR.ip6 + word * 4).store(32, 'r10', KEY_ADDRESS + word * 4, 'r1')
  }
  asm
    .mov('r7', GRANTED)
    .load(32, 'r1', 'r10', KEY_ADDRESS + 8)
    .alu32('and', 'r1', ISATAP_MASK)
    .jumpIf32('ne', 'r1', ISATAP_WORD, 'ordinary')
    .mov('r7', GRANTED_ISATAP)
    .label('ordinary')
  return lookup(asm)
}

/** Looks for the right r7 under the exact port, then under any port. Either is enough. */
function lookup(asm: Assembler): Assembler {
  asm
    .store(32, 'r10', KEY, LOOKUP_BITS)
    .store(32, 'r10', KEY_PROTOCOL, 0)
    .load(32, 'r1', 'r6', ADDR.protocol)
    // MPTCP is TCP to whoever is called; its further paths are sockets of TCP and come by these hooks themselves.
    .jumpIf('ne', 'r1', IPPROTO_MPTCP, 'protocol')
    .mov('r1', PROTOCOL.tcp)
    .label('protocol')
    // One byte of the key holds the protocol: a number that does not fit would be read as another one.
    .jumpIf('gt', 'r1', 0xff, 'deny')
    .store(8, 'r10', KEY_PROTOCOL, 'r1')
    .load(32, 'r1', 'r6', ADDR.port)
    .store(16, 'r10', KEY_PORT, 'r1')
  find(asm, 'any_port')
  asm.label('any_port').store(16, 'r10', KEY_PORT, 0)
  find(asm, 'deny')
  return asm
}

function find(asm: Assembler, otherwise: string): void {
  asm
    .mov('r2', 'r10')
    .alu('add', 'r2', KEY)
    .loadMap('r1', EGRESS)
    .call(HELPER.mapLookupElem)
    .jumpIf('eq', 'r0', 0, otherwise)
    .load(32, 'r1', 'r0', 0)
    .alu('and', 'r1', 'r7')
    .jumpIf('eq', 'r1', 0, otherwise)
    .mov('r0', 1)
    .exit()
}
