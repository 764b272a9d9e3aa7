// Counts the system calls of one control group by number, on a raw tracepoint. It observes and decides nothing. While it
// is attached every process of the host pays for it at every call, so that it is there only when asked for; it ends with
// the process that loaded it, which for an observer is right.

import type { BpfObject } from '../box.ts'
import { Assembler, HELPER } from './assembler.ts'

/** Name of the map to read when the box has ended. */
export const SYSCALLS_MAP = 'syscalls'
/** Calls with a number from here on are counted together: x32 calls, invalid ones, calls of the far future. */
export const SYSCALL_NUMBERS = 512

export interface SyscallCounts {
  /** Number of the call and how often, ascending, without zeros. */
  readonly counts: readonly (readonly [number: number, count: bigint])[]
  readonly overflow: bigint
  /** Events the kernel did not hand to the program because it was running on that processor. Not zero: a lower bound. */
  readonly lost: bigint
}

// linux/bpf.h: bpf_prog_type, bpf_map_type.
const RAW_TRACEPOINT = 17
const MAP_TYPE_ARRAY = 2
const COUNTER_BYTES = 8
/** Second of the arguments of sys_enter, in the context of a raw tracepoint: the number, as a long. */
const NUMBER_AT = 8

/** `cgroup` is the id of the v2 directory, its inode number. Processes in directories below it are not counted. */
export function syscallHistogram(cgroup: bigint): BpfObject {
  const asm = new Assembler()
    .mov('r6', 'r1')
    .call(HELPER.getCurrentCgroupId)
    .load64('r1', cgroup)
    .jumpIf('ne', 'r0', 'r1', 'done')
    .load(64, 'r1', 'r6', NUMBER_AT)
    // Unsigned: -1, which a tracer leaves behind for a call it took away, is large too.
    .jumpIf('lt', 'r1', SYSCALL_NUMBERS, 'count')
    .mov('r1', SYSCALL_NUMBERS)
    .label('count')
    .store(32, 'r10', -4, 'r1')
    .mov('r2', 'r10')
    .alu('add', 'r2', -4)
    .loadMap('r1', 0)
    .call(HELPER.mapLookupElem)
    .jumpIf('eq', 'r0', 0, 'done')
    .mov('r1', 1)
    .atomicAdd(64, 'r0', 0, 'r1')
    .label('done')
    .mov('r0', 0)
    .exit()
  return Object.freeze({
    maps: Object.freeze([
      Object.freeze({
        name: SYSCALLS_MAP,
        type: MAP_TYPE_ARRAY,
        keySize: 4,
        valueSize: COUNTER_BYTES,
        maxEntries: SYSCALL_NUMBERS + 1,
        flags: 0,
        entries: Object.freeze([]),
      }),
    ]),
    programs: Object.freeze([
      Object.freeze({
        name: 'ap_syscalls',
        type: RAW_TRACEPOINT,
        expectedAttachType: 0,
        attachBtfId: 0,
        ...asm.assemble(),
        attach: Object.freeze({ to: 'raw_tracepoint', tracepoint: 'sys_enter' } as const),
      }),
    ]),
  })
}

/** What the launcher read back. `undefined` for bytes that are not the map. */
export function readSyscalls(values: Uint8Array, lost: bigint): SyscallCounts | undefined {
  if (values.byteLength !== (SYSCALL_NUMBERS + 1) * COUNTER_BYTES) return undefined
  const view = new DataView(values.buffer, values.byteOffset, values.byteLength)
  const count = (index: number): bigint => view.getBigUint64(index * COUNTER_BYTES, true)
  const counts = Array.from({ length: SYSCALL_NUMBERS }, (_, number) => [number, count(number)] as const)
  return Object.freeze({
    counts: Object.freeze(counts.filter(([, times]) => times > 0n)),
    overflow: count(SYSCALL_NUMBERS),
    lost,
  })
}
