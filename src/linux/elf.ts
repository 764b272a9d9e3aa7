// What a program needs to start, read from its own bytes: the ELF interpreter and libraries, or the `#!` line. The file may
// be anything at all, so every offset and length in it is checked before it is used and nothing here throws.

import { type ByteSource, pureReader } from './host-files.ts'

export type Machine = 'x64' | 'arm64'

export type ProgramFile =
  | ElfFile
  | { readonly kind: 'script'; readonly interpreter: string; readonly argument?: string }
  /** A program, and not one that can be planned for. */
  | { readonly kind: 'unsupported'; readonly reason: string }
  /** Neither ELF nor `#!`. */
  | { readonly kind: 'other' }

export interface ElfFile {
  readonly kind: 'elf'
  readonly machine: Machine
  /** PT_INTERP. */
  readonly interpreter?: string
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[]
  readonly soname?: string
  /** DT_RPATH and DT_RUNPATH, split at colons, `$ORIGIN` and the like as they stand. */
  readonly rpath?: readonly string[]
  readonly runpath?: readonly string[]
  /** DF_1_NODEFLIB of DT_FLAGS_1: neither the cache nor the usual directories are searched. */
  readonly noDefaultDirectories: boolean
}

// elf(5) and the System V ABI. Bounds are far above what any linker writes.
const HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const MAX_PROGRAM_HEADERS = 1024
const MAX_DYNAMIC_BYTES = 1024 * 1024
const MAX_STRING_BYTES = 4096
const MAX_NEEDED = 1024
const PT_LOAD = 1
const PT_DYNAMIC = 2
const PT_INTERP = 3
const DT_NULL = 0
const DT_NEEDED = 1
const DT_STRTAB = 5
const DT_STRSZ = 10
const DT_SONAME = 14
const DT_RPATH = 15
const DT_RUNPATH = 29
const DT_FLAGS_1 = 0x6ffffffb
const DF_1_NODEFLIB = 0x800n

// BINPRM_BUF_SIZE of the kernel: how much of a script it looks at.
const SCRIPT_HEAD_BYTES = 256

class Malformed extends Error {}

const unsupported = (reason: string): ProgramFile => ({ kind: 'unsupported', reason })

/** Reads what kind of program a file is. Never throws. */
export function parseProgram(file: ByteSource | Uint8Array): ProgramFile {
  const source = file instanceof Uint8Array ? sourceOf(file) : file
  try {
    const head = source.read(0, SCRIPT_HEAD_BYTES)
    if (head[0] === 0x23 && head[1] === 0x21) return parseScript(head)
    const isElf = head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46
    return isElf ? parseElf(source, head) : { kind: 'other' }
  } catch (error) {
    return unsupported(error instanceof Malformed ? `a malformed ELF file: ${error.message}` : 'an unreadable file')
  }
}

/** {@link parseProgram} for `HostFiles.read`, which keeps what it gives for as long as the file is the same. */
export const readProgram: (source: ByteSource) => ProgramFile = pureReader(parseProgram)

export function sourceOf(bytes: Uint8Array): ByteSource {
  return { size: bytes.length, read: (offset, length) => bytes.subarray(offset, offset + length) }
}

function parseScript(head: Uint8Array): ProgramFile {
  const end = head.findIndex((byte) => byte === 0x0a || byte === 0)
  const line = decode(head.subarray(2, end === -1 ? head.length : end))
  if (line === undefined) return unsupported('a #! line that is not UTF-8')
  const [, interpreter, rest] = /^[ \t]*([^ \t]*)(.*)$/s.exec(line) ?? []
  if (interpreter === undefined || interpreter === '') return unsupported('an empty #! line')
  // What the kernel saw of the name might not be all of it (load_script).
  if (end === -1 && head.length === SCRIPT_HEAD_BYTES && rest === '') return unsupported('a #! line that is too long')
  if (!interpreter.startsWith('/')) return unsupported('a #! line with a relative path')
  const argument = rest?.replace(/^[ \t]+|[ \t]+$/g, '') ?? ''
  return { kind: 'script', interpreter, ...(argument === '' ? {} : { argument }) }
}

interface Segment {
  readonly type: number
  readonly offset: number
  readonly address: number
  readonly size: number
}

function parseElf(source: ByteSource, head: Uint8Array): ProgramFile {
  if (head[4] === 1) return unsupported('a 32-bit program')
  if (head.length < HEADER_BYTES || head[4] !== 2 || head[6] !== 1) throw new Malformed('bad header')
  if (head[5] !== 1) return unsupported('a program for a big-endian machine')
  const view = viewOf(head)
  const machine = machineOf(view.getUint16(18, true))
  if (machine === undefined) return unsupported('a program for another machine')
  const type = view.getUint16(16, true)
  if (type !== 2 && type !== 3) return unsupported('an ELF file that is neither a program nor a library')
  const segments = readSegments(source, view)
  const interp = segments.find((segment) => segment.type === PT_INTERP)
  const interpreter = interp === undefined ? undefined : readInterpreter(source, interp)
  const dynamic = segments.find((segment) => segment.type === PT_DYNAMIC)
  return {
    kind: 'elf',
    machine,
    ...(interpreter === undefined ? {} : { interpreter }),
    ...(dynamic === undefined ? { needed: [], noDefaultDirectories: false } : readDynamic(source, segments, dynamic)),
  }
}

function machineOf(number: number): Machine | undefined {
  if (number === 62) return 'x64'
  return number === 183 ? 'arm64' : undefined
}

function readSegments(source: ByteSource, header: DataView): readonly Segment[] {
  const count = header.getUint16(56, true)
  if (count === 0) return []
  if (header.getUint16(54, true) !== PROGRAM_HEADER_BYTES) throw new Malformed('program headers of another size')
  if (count > MAX_PROGRAM_HEADERS) throw new Malformed('too many program headers')
  const view = viewOf(readExactly(source, safe(header, 32), count * PROGRAM_HEADER_BYTES))
  return Array.from({ length: count }, (_, index) => {
    const at = index * PROGRAM_HEADER_BYTES
    return {
      type: view.getUint32(at, true),
      offset: safe(view, at + 8),
      address: safe(view, at + 16),
      size: safe(view, at + 32),
    }
  })
}

function readInterpreter(source: ByteSource, { offset, size }: Segment): string {
  if (size === 0 || size > MAX_STRING_BYTES) throw new Malformed('interpreter name of an impossible length')
  const text = stringIn(readExactly(source, offset, size))
  if (text?.startsWith('/') !== true) throw new Malformed('interpreter that is not an absolute path')
  return text
}

function readDynamic(source: ByteSource, segments: readonly Segment[], dynamic: Segment) {
  if (dynamic.size > MAX_DYNAMIC_BYTES) throw new Malformed('dynamic section that is too long')
  const view = viewOf(readExactly(source, dynamic.offset, dynamic.size - (dynamic.size % 16)))
  const needed: bigint[] = []
  const found = new Map<number, bigint>()
  for (let at = 0; at < view.byteLength; at += 16) {
    const tag = view.getBigUint64(at, true)
    const value = view.getBigUint64(at + 8, true)
    if (tag === BigInt(DT_NULL)) break
    if (tag === BigInt(DT_NEEDED)) needed.push(value)
    else if (tag <= 0xffffffffn) found.set(Number(tag), value)
  }
  if (needed.length > MAX_NEEDED) throw new Malformed('too many libraries')
  const strings = stringTable(source, segments, found)
  const text = (tag: number): string | undefined => {
    const offset = found.get(tag)
    return offset === undefined ? undefined : strings(offset)
  }
  const soname = text(DT_SONAME)
  const rpath = text(DT_RPATH)
  const runpath = text(DT_RUNPATH)
  return {
    needed: needed.map(strings),
    ...(soname === undefined ? {} : { soname }),
    ...(rpath === undefined ? {} : { rpath: rpath.split(':') }),
    ...(runpath === undefined ? {} : { runpath: runpath.split(':') }),
    noDefaultDirectories: ((found.get(DT_FLAGS_1) ?? 0n) & DF_1_NODEFLIB) !== 0n,
  }
}

function stringTable(
  source: ByteSource,
  segments: readonly Segment[],
  found: ReadonlyMap<number, bigint>,
): (offset: bigint) => string {
  const address = found.get(DT_STRTAB)
  const size = found.get(DT_STRSZ)
  return (offset) => {
    if (address === undefined || size === undefined) throw new Malformed('names without a string table')
    if (offset >= size) throw new Malformed('a name outside the string table')
    const start = address + offset
    const segment = segments.find(
      ({ type, address: from, size: length }) =>
        type === PT_LOAD && start >= BigInt(from) && start < BigInt(from) + BigInt(length),
    )
    if (segment === undefined) throw new Malformed('a string table that is not in the file')
    const inside = Number(start - BigInt(segment.address))
    const left = Math.min(MAX_STRING_BYTES, segment.size - inside, Number(size - offset))
    const text = stringIn(source.read(segment.offset + inside, left))
    if (text === undefined || text === '') throw new Malformed('a name that is empty, too long or not text')
    return text
  }
}

function readExactly(source: ByteSource, offset: number, length: number): Uint8Array {
  const bytes = offset + length > source.size ? new Uint8Array(0) : source.read(offset, length)
  if (bytes.length !== length) throw new Malformed('the file ends too early')
  return bytes
}

function safe(view: DataView, at: number): number {
  const value = view.getBigUint64(at, true)
  // Low enough that two of them can be added without loss.
  if (value >= 1n << 52n) throw new Malformed('an impossible offset')
  return Number(value)
}

function stringIn(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0)
  return end === -1 ? undefined : decode(bytes.subarray(0, end))
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
