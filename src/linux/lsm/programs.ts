// Security module programs that hold the processes of one control group to a list of files: what may be executed and what may
// be mapped as code. Decides by the kernel's own identity of a file, its number on its super block, and by no path. Trusts the
// BTF of the running kernel for where that is found; every field is read with a helper that takes any address, because the
// verifier of some kernels believes that the file of an anonymous mapping is never NULL and would drop the test for it.

import { AgentPortError } from '../../core/errors.ts'
import type { BpfMap, BpfObject, BpfProgram } from '../box.ts'
import { Assembler, HELPER, type Register } from '../bpf/assembler.ts'
import type { Btf } from './btf.ts'
import { EVENT, EVENT_BYTES, LSM_HOOKS, LSM_REASONS } from './events.ts'

/** A file by the numbers the kernel knows it by; {@link openLsmFiles} finds them out. */
export interface LsmFile {
  readonly major: number
  readonly minor: number
  readonly ino: bigint
  /** May be started; it is then mapped as well. */
  readonly execute: boolean
  /** May be mapped as code by something that was started: a library, the ELF interpreter. */
  readonly map: boolean
}

export interface LsmOptions {
  /** Id of the control group, the inode number of its v2 directory. Tasks of any other group are not looked at. */
  readonly cgroup: bigint
  readonly files: readonly LsmFile[]
  /** Whether code may be made in memory: anonymous mappings, and pages of files that were written to. */
  readonly executableMemory?: boolean
}

/** Names of the maps: a ring buffer of {@link LsmDenial} records, and the number of those that did not fit. */
export const LSM_EVENTS_MAP = 'lsm_events'
export const LSM_DROPPED_MAP = 'lsm_dropped'

const MAX_FILES = 65_536
/** A power of two and whole pages, whatever a page is. */
const RING_BYTES = 1 << 18

// linux/bpf.h: bpf_prog_type, bpf_attach_type, bpf_map_type, bpf_func_id.
const PROG_LSM = 29
const ATTACH_LSM_MAC = 27
const MAP_HASH = 1
const MAP_ARRAY = 2
const MAP_RINGBUF = 27
const CALL = {
  getCurrentPidTgid: 14,
  getCurrentComm: 16,
  probeReadKernel: 113,
  ringbufReserve: 131,
  ringbufSubmit: 132,
}

const FILES = 0
const EVENTS = 1
const DROPPED = 2

const EXECUTE = 1
const MAP = 2
const PROT_WRITE = 2
const PROT_EXEC = 4
const EPERM = 1

// The frame: the key { u64 ino, u32 dev, u32 0 } for the lookup, and one pointer.
const INO_AT = -16
const DEV_AT = -8
const POINTER_AT = -24

type Hook = (typeof LSM_HOOKS)[number]
type Reason = (typeof LSM_REASONS)[number]

interface Layout {
  readonly bprmFile: number
  readonly vmaFile: number
  readonly vmaAnon: number
  readonly fileInode: number
  readonly inodeNumber: number
  readonly inodeSuper: number
  readonly superDev: number
}

/**
 * Programs and maps for one box. Throws ERR_ENFORCEMENT_UNAVAILABLE when this kernel's hooks or structures are not the ones
 * these programs know, and for more files than the map holds; `TypeError` for numbers that are none.
 */
export function lsmPrograms(btf: Btf, options: LsmOptions): BpfObject {
  const layout = layoutOf(btf)
  const memory = options.executableMemory === true
  const exec = argumentsOf(btf, 'bprm_check_security', ['bprm'])
  const map = argumentsOf(btf, 'mmap_file', ['file', 'reqprot', 'prot', 'flags'])
  const protect = argumentsOf(btf, 'file_mprotect', ['vma', 'reqprot', 'prot'])
  return Object.freeze({
    maps: Object.freeze([filesMap(options.files), RING, DROPPED_COUNTER]),
    programs: Object.freeze([
      program(options.cgroup, 'exec', exec.id, layout, false, (body) => {
        body.argument('r7', exec.at('bprm')).field('r7', layout.bprmFile, 'r7')
        body.identify('unlisted').require(EXECUTE, 'not-executable')
      }),
      program(options.cgroup, 'map', map.id, layout, !memory, (body) => {
        body.argument('r8', map.at('prot')).allowUnlessExec('r8')
        const noFile = memory ? 'allow' : 'anonymous'
        body.argument('r7', map.at('file')).asm.jumpIf('eq', 'r7', 0, noFile)
        // What can be written while it is code is memory and not the file.
        if (!memory) body.asm.jumpIf('set', 'r8', PROT_WRITE, 'anonymous')
        // Where the verifier dropped the test for NULL, this is it: only NULL cannot be read.
        body.identify(noFile).require(MAP, 'not-mappable')
      }),
      program(options.cgroup, 'protect', protect.id, layout, !memory, (body) => {
        body.argument('r8', protect.at('prot')).allowUnlessExec('r8')
        body.argument('r9', protect.at('vma')).field('r7', layout.vmaFile, 'r9')
        body.asm.jumpIf('eq', 'r7', 0, memory ? 'allow' : 'anonymous')
        if (!memory) {
          body.asm.jumpIf('set', 'r8', PROT_WRITE, 'anonymous')
          // A private page of the file that was written to is no longer the file.
          body.field('r9', layout.vmaAnon, 'r9').asm.jumpIf('ne', 'r9', 0, 'anonymous')
        }
        body.identify('unlisted').require(MAP, 'not-mappable')
      }),
    ]),
  })
}

/** One program under construction; r6 is the context, r7 the address of the `struct file`. */
class Body {
  readonly asm = new Assembler()
  readonly #layout: Layout

  constructor(layout: Layout) {
    this.#layout = layout
  }

  argument(into: Register, index: number): this {
    this.asm.load(64, into, 'r6', 8 * index)
    return this
  }

  /** `into` = the pointer at `offset` of what `base` points to. An address that cannot be read holds no listed file. */
  field(into: Register, offset: number, base: Register, unreadable = 'unlisted'): this {
    this.#read(POINTER_AT, 8, base, offset, unreadable)
    this.asm.load(64, into, 'r10', POINTER_AT)
    return this
  }

  allowUnlessExec(register: Register): this {
    const { asm } = this
    asm.jumpIf('set', register, PROT_EXEC, 'code').jump('allow').label('code')
    return this
  }

  /** Leaves in r0 the address of the bits of the file, or jumps to `unlisted`; to `noFile` when r7 is the address of none. */
  identify(noFile: string): this {
    const { fileInode, inodeNumber, inodeSuper, superDev } = this.#layout
    this.field('r7', fileInode, 'r7', noFile)
    this.#read(INO_AT, 8, 'r7', inodeNumber)
    this.field('r7', inodeSuper, 'r7')
    this.#read(DEV_AT, 4, 'r7', superDev)
    this.asm
      .mov('r2', 'r10')
      .alu('add', 'r2', INO_AT)
      .loadMap('r1', FILES)
      .call(HELPER.mapLookupElem)
      .jumpIf('eq', 'r0', 0, 'unlisted')
    return this
  }

  require(bit: number, reason: Reason): this {
    this.asm
      .load(32, 'r1', 'r0', 0)
      .jumpIf('set', 'r1', bit, 'allow')
      .mov('r7', LSM_REASONS.indexOf(reason))
      .jump('deny')
    return this
  }

  #read(to: number, bytes: number, base: Register, offset: number, unreadable = 'unlisted'): void {
    this.asm
      .mov('r1', 'r10')
      .alu('add', 'r1', to)
      .mov('r2', bytes)
      .mov('r3', base)
      .alu('add', 'r3', offset)
      .call(CALL.probeReadKernel)
      .jumpIf('ne', 'r0', 0, unreadable)
  }
}

function program(
  cgroup: bigint,
  hook: Hook,
  attachBtfId: number,
  layout: Layout,
  /** Whether anything jumps there: the verifier takes no instruction that nothing leads to. */
  anonymous: boolean,
  decide: (body: Body) => void,
): BpfProgram {
  const body = new Body(layout)
  const { asm } = body
  asm
    .mov('r6', 'r1')
    .call(HELPER.getCurrentCgroupId)
    .load64('r1', cgroup)
    // Everyone else on the host.
    .jumpIf('ne', 'r0', 'r1', 'allow')
    .store(64, 'r10', INO_AT, 0)
    .store(64, 'r10', DEV_AT, 0)
  decide(body)
  asm.label('unlisted').mov('r7', LSM_REASONS.indexOf('unlisted'))
  if (anonymous) asm.jump('deny').label('anonymous').mov('r7', LSM_REASONS.indexOf('anonymous'))
  asm
    .label('deny')
    .loadMap('r1', EVENTS)
    .mov('r2', EVENT_BYTES)
    .mov('r3', 0)
    .call(CALL.ringbufReserve)
    .jumpIf('eq', 'r0', 0, 'full')
    .mov('r8', 'r0')
    .store(32, 'r8', EVENT.hook, LSM_HOOKS.indexOf(hook))
    .store(32, 'r8', EVENT.reason, 'r7')
    .store(32, 'r8', EVENT.errno, EPERM)
    .load(64, 'r1', 'r10', INO_AT)
    .store(64, 'r8', EVENT.ino, 'r1')
    .load(64, 'r1', 'r10', DEV_AT)
    .store(64, 'r8', EVENT.dev, 'r1')
    .call(CALL.getCurrentPidTgid)
    .alu('rsh', 'r0', 32)
    .store(32, 'r8', EVENT.pid, 'r0')
    .mov('r1', 'r8')
    .alu('add', 'r1', EVENT.comm)
    .mov('r2', EVENT_BYTES - EVENT.comm)
    .call(CALL.getCurrentComm)
    .mov('r1', 'r8')
    .mov('r2', 0)
    .call(CALL.ringbufSubmit)
    .jump('refused')
    .label('full')
    .store(32, 'r10', POINTER_AT, 0)
    .mov('r2', 'r10')
    .alu('add', 'r2', POINTER_AT)
    .loadMap('r1', DROPPED)
    .call(HELPER.mapLookupElem)
    .jumpIf('eq', 'r0', 0, 'refused')
    .mov('r1', 1)
    .atomicAdd(64, 'r0', 0, 'r1')
    .label('refused')
    .mov('r0', -EPERM)
    .exit()
    .label('allow')
    .mov('r0', 0)
    .exit()
  return Object.freeze({
    name: `ap_lsm_${hook}`,
    type: PROG_LSM,
    expectedAttachType: ATTACH_LSM_MAC,
    attachBtfId,
    ...asm.assemble(),
    attach: Object.freeze({ to: 'lsm' } as const),
  })
}

interface HookArguments {
  readonly id: number
  at(name: string): number
}

/**
 * Hooks gain and lose arguments between kernels, and a program that counts on an old place reads another value without any
 * error. So each one is found by its name, and a hook with other names is one these programs do not know.
 */
function argumentsOf(btf: Btf, hook: string, names: readonly string[]): HookArguments {
  const id = btf.functionId(`bpf_lsm_${hook}`)
  // A suffix is how the kernel marks what may be NULL.
  const found = btf.parameters(`bpf_lsm_${hook}`)?.map((name) => name.replace(/__nullable$/, ''))
  if (id === undefined || found === undefined) throw unavailable(`this kernel has no hook ${hook}`)
  if (found.length !== names.length || names.some((name, index) => found[index] !== name)) {
    throw unavailable(`the hook ${hook} of this kernel takes (${found.join(', ')}), which is not known here`)
  }
  return { id, at: (name) => names.indexOf(name) }
}

function layoutOf(btf: Btf): Layout {
  const offset = (structure: string, field: string, size: number, pointer: boolean): number => {
    const found = btf.member(structure, field)
    if (found === undefined || found.size !== size || found.pointer !== pointer) {
      throw unavailable(`${field} of struct ${structure} of this kernel is not known here`)
    }
    return found.offset
  }
  return {
    bprmFile: offset('linux_binprm', 'file', 8, true),
    vmaFile: offset('vm_area_struct', 'vm_file', 8, true),
    vmaAnon: offset('vm_area_struct', 'anon_vma', 8, true),
    fileInode: offset('file', 'f_inode', 8, true),
    inodeNumber: offset('inode', 'i_ino', 8, false),
    inodeSuper: offset('inode', 'i_sb', 8, true),
    superDev: offset('super_block', 's_dev', 4, false),
  }
}

function filesMap(files: readonly LsmFile[]): BpfMap {
  if (files.length > MAX_FILES) throw unavailable(`${files.length} files are more than ${MAX_FILES}`)
  const bits = new Map<string, { key: Uint8Array; bits: number }>()
  for (const { major, minor, ino, execute, map } of files) {
    if (!(fits(major, 12) && fits(minor, 20)) || BigInt.asUintN(64, ino) !== ino || ino === 0n) {
      throw new TypeError(`${major}:${minor} ${ino} are not the numbers of a file`)
    }
    const name = `${major}:${minor}:${ino}`
    // The kernel maps what it starts, so that a program that may not be mapped could not be started either.
    const more = (execute ? EXECUTE | MAP : 0) | (map ? MAP : 0)
    const entry = bits.get(name)
    if (entry === undefined) bits.set(name, { key: keyOf(major, minor, ino), bits: more })
    else entry.bits |= more
  }
  return Object.freeze({
    name: 'lsm_files',
    type: MAP_HASH,
    keySize: 16,
    valueSize: 4,
    maxEntries: Math.max(1, bits.size),
    flags: 0,
    entries: Object.freeze([...bits.values()].map((entry) => ({ key: entry.key, value: u32(entry.bits) }))),
  })
}

function keyOf(major: number, minor: number, ino: bigint): Uint8Array {
  const key = new Uint8Array(16)
  const view = new DataView(key.buffer)
  view.setBigUint64(0, ino, true)
  // dev_t inside the kernel: 12 bits and 20 bits, unlike the number that stat(2) gives.
  view.setUint32(8, ((major << 20) | minor) >>> 0, true)
  return key
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

function fits(value: number, bits: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** bits
}

const RING: BpfMap = Object.freeze({
  name: LSM_EVENTS_MAP,
  type: MAP_RINGBUF,
  keySize: 0,
  valueSize: 0,
  maxEntries: RING_BYTES,
  flags: 0,
  entries: Object.freeze([]),
})

const DROPPED_COUNTER: BpfMap = Object.freeze({
  name: LSM_DROPPED_MAP,
  type: MAP_ARRAY,
  keySize: 4,
  valueSize: 8,
  maxEntries: 1,
  flags: 0,
  entries: Object.freeze([]),
})

function unavailable(message: string): AgentPortError {
  return new AgentPortError('ERR_ENFORCEMENT_UNAVAILABLE', message)
}
