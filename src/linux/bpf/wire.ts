// A BpfObject as bytes for the launcher, which reads them back in native/bpf.c. Decides the layout alone; what is
// written is made by this library, and the launcher checks every length again.
//
// All numbers are little endian and unaligned. Version 1:
//
//   u8 version = 1, u8 maps, u8 programs
//   each map:      text name, u32 type, u32 key size, u32 value size, u32 max entries, u32 flags,
//                  u32 entries, each: key, value
//   each program:  text name, u32 type, u32 expected attach type, u32 attach BTF id,
//                  u8 attach (1 cgroup, 2 raw tracepoint, 3 LSM), text tracepoint (empty unless 2),
//                  u32 instructions, each: 8 bytes,
//                  u32 relocations, each: u32 instruction, u8 map
//   text:          u8 length, bytes without NUL
//
// A ring buffer has keys and values of no bytes, no entries, and its size in bytes for max entries.
//
// Nothing follows the last program.

import type { BpfMap, BpfObject, BpfProgram } from '../box.ts'

const VERSION = 1

/** BPF_MAX_* in native/bpf.h. */
const MAX_MAPS = 8
const MAX_PROGRAMS = 64
/** BPF_OBJ_NAME_LEN of linux/bpf.h, less the NUL. */
const MAX_NAME = 15
const MAX_TRACEPOINT = 63

const ATTACH = Object.freeze({ cgroup: 1, raw_tracepoint: 2, lsm: 3 })

/** Throws `TypeError` for an object that the launcher would not take. */
export function encodeBpf(object: BpfObject): Uint8Array {
  const { maps, programs } = object
  if (maps.length > MAX_MAPS) throw new TypeError(`more than ${MAX_MAPS} maps`)
  if (programs.length > MAX_PROGRAMS) throw new TypeError(`more than ${MAX_PROGRAMS} programs`)
  const parts: Uint8Array[] = [Uint8Array.of(VERSION, maps.length, programs.length)]
  for (const map of maps) putMap(parts, map)
  for (const program of programs) putProgram(parts, program, maps.length)
  return concat(parts)
}

function putMap(parts: Uint8Array[], map: BpfMap): void {
  parts.push(text(map.name, MAX_NAME))
  for (const number of [map.type, map.keySize, map.valueSize, map.maxEntries, map.flags]) parts.push(u32(number))
  parts.push(u32(map.entries.length))
  for (const { key, value } of map.entries) {
    if (key.length !== map.keySize || value.length !== map.valueSize)
      throw new TypeError(`an entry of the map ${map.name} has another size than the map`)
    parts.push(key, value)
  }
}

function putProgram(parts: Uint8Array[], program: BpfProgram, maps: number): void {
  const { attach, instructions, relocations } = program
  parts.push(text(program.name, MAX_NAME))
  for (const number of [program.type, program.expectedAttachType, program.attachBtfId]) parts.push(u32(number))
  const tracepoint = attach.to === 'raw_tracepoint' ? attach.tracepoint : ''
  parts.push(Uint8Array.of(ATTACH[attach.to]), text(tracepoint, MAX_TRACEPOINT))
  if (instructions.length === 0 || instructions.length % 8 !== 0)
    throw new TypeError(`the program ${program.name} is not a row of instructions`)
  parts.push(u32(instructions.length / 8), instructions, u32(relocations.length))
  for (const { instruction, map } of relocations) {
    if (!(map >= 0 && map < maps)) throw new TypeError(`the program ${program.name} uses a map that is not there`)
    parts.push(u32(instruction), Uint8Array.of(map))
  }
}

const PLAIN = /^[A-Za-z0-9_]*$/

function text(value: string, limit: number): Uint8Array {
  if (value.length > limit || !PLAIN.test(value)) throw new TypeError(`${JSON.stringify(value)} is not a name`)
  return Uint8Array.of(value.length, ...new TextEncoder().encode(value))
}

function u32(value: number): Uint8Array {
  if (!(Number.isInteger(value) && value >= 0 && value <= 0xffff_ffff))
    throw new TypeError(`${value} is not an unsigned number of 32 bits`)
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0))
  let at = 0
  for (const part of parts) {
    bytes.set(part, at)
    at += part.length
  }
  return bytes
}
