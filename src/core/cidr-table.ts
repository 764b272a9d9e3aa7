// Which of very many CIDR blocks hold an address: every one of them, or the longest. Blocks are compared as bits, as
// cidrHasIpv4 and cidrHasIpv6 do; whether a block speaks of an address is for the caller to judge. Trusts no host bits.

import type { Cidr } from './ip.ts'

/**
 * A set of (block, value) pairs, built once and never changed; a block may come any number of times. The answer to a
 * question depends on the pairs alone, and takes a binary search and one step for each block that holds the address.
 *
 * Blocks are nested or apart, never across each other. So the address space falls into intervals that have one innermost
 * block each (Lampson, Srinivasan and Varghese, "IP lookups using multiway and multicolumn search", 1998), and from there
 * each block knows the next one around it.
 */
export class CidrTable<T> {
  /** Number of pairs. */
  readonly size: number
  readonly #ipv4: Family<T>
  readonly #ipv6: Family<T>

  /** @throws TypeError for a block without address or with a prefix length out of range. */
  constructor(entries: Iterable<readonly [Cidr, T]>) {
    const rows4 = new Rows(2)
    const values4: T[] = []
    const rows6 = new Rows(5)
    const values6: T[] = []
    for (const [{ prefix, value4, groups }, value] of entries) {
      if (!(Number.isInteger(prefix) && prefix >= 0 && prefix <= (value4 === undefined ? 128 : 32))) {
        throw new TypeError('a cidr block with a prefix length out of range')
      }
      if (value4 !== undefined) {
        rows4.push(masked(value4, prefix))
        rows4.push(prefix)
        values4.push(value)
      } else if (groups !== undefined) {
        for (let at = 0; at < 4; at++) rows6.push(masked(word(groups, at), prefix - at * 32))
        rows6.push(prefix)
        values6.push(value)
      } else {
        throw new TypeError('a cidr block without address')
      }
    }
    this.size = values4.length + values6.length
    this.#ipv4 = build(rows4, values4)
    this.#ipv6 = build(rows6, values6)
  }

  /** Bytes in typed arrays: what the table keeps, beside one reference for each pair. */
  get byteLength(): number {
    return byteLength(this.#ipv4) + byteLength(this.#ipv6)
  }

  /** Adds to `found` the values of every block that holds `address` (uint32), those of the longest block first. */
  findIpv4(address: number, found: T[]): void {
    addAll(this.#ipv4, innermost4(this.#ipv4, address >>> 0), found)
  }

  /** Adds to `found` the values of every block that holds the address (eight 16-bit groups), those of the longest first. */
  findIpv6(groups: readonly number[], found: T[]): void {
    addAll(this.#ipv6, innermost6(this.#ipv6, groups), found)
  }

  /** Adds to `found` the values of the longest block that holds `address`; answers its prefix length, -1 for no block. */
  findLongestIpv4(address: number, found: T[]): number {
    return addLongest(this.#ipv4, innermost4(this.#ipv4, address >>> 0), found)
  }

  /** Adds to `found` the values of the longest block that holds the address; answers its prefix length, -1 for no block. */
  findLongestIpv6(groups: readonly number[], found: T[]): number {
    return addLongest(this.#ipv6, innermost6(this.#ipv6, groups), found)
  }
}

/** Blocks as rows of 32-bit words, most significant first: one (IPv4) or four (IPv6) of address, then the prefix length. */
class Rows {
  readonly stride: number
  #words = new Uint32Array(64)
  #length = 0

  constructor(stride: number) {
    this.stride = stride
  }

  push(value: number): void {
    if (this.#length === this.#words.length) {
      const longer = new Uint32Array(2 * this.#length)
      longer.set(this.#words)
      this.#words = longer
    }
    this.#words[this.#length++] = value
  }

  get words(): Uint32Array {
    return this.#words.subarray(0, this.#length)
  }
}

/** The first `bits` of a word; all of it for more than 32, none for less than 1. */
function masked(value: number, bits: number): number {
  return bits >= 32 ? value : bits <= 0 ? 0 : value & (-1 << (32 - bits))
}

/** Groups `2 * at` and `2 * at + 1` as a uint32. */
function word(groups: readonly number[], at: number): number {
  return (((groups[2 * at] ?? 0) << 16) | (groups[2 * at + 1] ?? 0)) >>> 0
}

/**
 * The blocks of one address family, numbered by address and then prefix length: what is around comes before. Numbers that
 * are read together stand together, because with a million blocks a look-up costs what it misses in the caches.
 */
interface Family<T> {
  /** Rows of the first address of an interval and the number of its innermost block, plus one; 0 for none. Ascending. */
  readonly intervals: Uint32Array
  /** Rows of two: the number of the next block around, plus one; the position of the first value. One row more ends it. */
  readonly blocks: Uint32Array
  readonly prefixes: Uint8Array
  readonly values: readonly T[]
  /** By the leading bits of an address, the interval in which the addresses with these bits begin; and the last one. */
  readonly jump: Uint32Array
  /** Turns the first word of an address into its leading bits. */
  readonly jumpShift: number
}

function byteLength<T>({ intervals, blocks, prefixes, jump }: Family<T>): number {
  return intervals.byteLength + blocks.byteLength + prefixes.byteLength + jump.byteLength
}

/** `block` is a number plus one, here and below. */
function addAll<T>({ blocks, values }: Family<T>, block: number, found: T[]): void {
  for (let inner = block; inner > 0; ) {
    const at = 2 * (inner - 1)
    const end = blocks[at + 3] as number
    for (let index = blocks[at + 1] as number; index < end; index++) found.push(values[index] as T)
    inner = blocks[at] as number
  }
}

function addLongest<T>({ blocks, values, prefixes }: Family<T>, block: number, found: T[]): number {
  if (block === 0) return -1
  const at = 2 * (block - 1)
  const end = blocks[at + 3] as number
  for (let index = blocks[at + 1] as number; index < end; index++) found.push(values[index] as T)
  return prefixes[block - 1] as number
}

/** The innermost block around an IPv4 address. */
function innermost4<T>({ intervals, jump, jumpShift }: Family<T>, address: number): number {
  const leading = address >>> jumpShift
  let low = jump[leading] as number
  let high = jump[leading + 1] as number
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((intervals[2 * middle] as number) <= address) low = middle
    else high = middle - 1
  }
  return intervals[2 * low + 1] as number
}

/** The innermost block around an IPv6 address. */
function innermost6<T>({ intervals, jump, jumpShift }: Family<T>, groups: readonly number[]): number {
  const word0 = word(groups, 0)
  const word1 = word(groups, 1)
  const word2 = word(groups, 2)
  const word3 = word(groups, 3)
  const leading = word0 >>> jumpShift
  let low = jump[leading] as number
  let high = jump[leading + 1] as number
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    const at = 5 * middle
    let difference = (intervals[at] as number) - word0
    if (difference === 0) difference = (intervals[at + 1] as number) - word1
    if (difference === 0) difference = (intervals[at + 2] as number) - word2
    if (difference === 0) difference = (intervals[at + 3] as number) - word3
    if (difference <= 0) low = middle
    else high = middle - 1
  }
  return intervals[5 * low + 4] as number
}

/** Most tables hold blocks of one family. */
const NONE: Family<never> = {
  intervals: new Uint32Array(5),
  blocks: new Uint32Array(2),
  prefixes: new Uint8Array(0),
  values: [],
  jump: new Uint32Array(3),
  jumpShift: 31,
}

function build<T>({ stride, words }: Rows, values: readonly T[]): Family<T> {
  if (values.length === 0) return NONE
  const order = sorted(words, stride)
  const { rows, firstValues } = merged(words, stride, order)
  const { intervals, around } = flattened(rows, stride)
  const count = around.length
  const blocks = new Uint32Array(2 * count + 2)
  const prefixes = new Uint8Array(count)
  for (let block = 0; block < count; block++) {
    blocks[2 * block] = around[block] as number
    blocks[2 * block + 1] = firstValues[block] as number
    prefixes[block] = rows[(block + 1) * stride - 1] as number
  }
  blocks[2 * count + 1] = values.length
  const inOrder: T[] = []
  for (let index = 0; index < order.length; index++) inOrder.push(values[order[index] as number] as T)
  return { intervals, blocks, prefixes, values: inOrder, ...jumpTable(intervals, stride) }
}

/**
 * Row numbers by row, equal ones as they came: a radix sort, byte by byte from the least significant, so that time is
 * linear whatever the input.
 */
function sorted(words: Uint32Array, stride: number): Uint32Array {
  const count = words.length / stride
  let order = new Uint32Array(count)
  let next = new Uint32Array(count)
  for (let index = 0; index < count; index++) order[index] = index
  const places = new Uint32Array(257)
  for (let byte = stride * 4 - 1; byte >= 0; byte--) {
    const at = byte >> 2
    const shift = 24 - (byte & 3) * 8
    places.fill(0)
    for (let index = at; index < words.length; index += stride) {
      const slot = (((words[index] as number) >>> shift) & 0xff) + 1
      places[slot] = (places[slot] as number) + 1
    }
    // All alike: nothing to move. So it is with half of the bytes of IPv6 networks.
    if (places.includes(count)) continue
    for (let slot = 1; slot < 257; slot++) places[slot] = (places[slot] as number) + (places[slot - 1] as number)
    for (let position = 0; position < count; position++) {
      const index = order[position] as number
      const digit = ((words[index * stride + at] as number) >>> shift) & 0xff
      const place = places[digit] as number
      next[place] = index
      places[digit] = place + 1
    }
    const last = order
    order = next
    next = last
  }
  return order
}

interface Merged {
  /** The blocks in order, each once. */
  readonly rows: Uint32Array
  /** By block, the position of its first value in the order. */
  readonly firstValues: Uint32Array
}

function merged(words: Uint32Array, stride: number, order: Uint32Array): Merged {
  const rows = new Uint32Array(words.length)
  const firstValues = new Uint32Array(order.length)
  let count = 0
  for (let position = 0; position < order.length; position++) {
    const from = (order[position] as number) * stride
    if (count > 0 && compare(rows, (count - 1) * stride, words, from, stride) === 0) continue
    for (let at = 0; at < stride; at++) rows[count * stride + at] = words[from + at] as number
    firstValues[count++] = position
  }
  return { rows: rows.subarray(0, count * stride), firstValues: firstValues.subarray(0, count) }
}

/** Sweeps over the blocks with a stack of those that are open: one inside the other, so at most one a prefix length. */
function flattened(rows: Uint32Array, stride: number): { intervals: Uint32Array; around: Uint32Array } {
  const width = stride - 1
  const count = rows.length / stride
  const around = new Uint32Array(count)
  const intervals = new Uint32Array((2 * count + 1) * stride)
  /** Where the last interval is; the first starts at address zero, outside of all blocks. */
  let last = 0
  const enter = (from: Uint32Array, at: number, block: number): void => {
    // A block that starts where another starts or ends takes the place of what began there.
    if (compare(intervals, last, from, at, width) !== 0) last += stride
    for (let index = 0; index < width; index++) intervals[last + index] = from[at + index] as number
    intervals[last + width] = block
  }

  /** Rows of the address behind an open block, and the block. What reaches the last address has zero behind it. */
  const open = new Uint32Array((width * 32 + 1) * stride)
  const zero = new Uint32Array(width)
  let depth = 0
  const leave = (): void => {
    depth--
    const block = depth === 0 ? 0 : (open[depth * stride - 1] as number)
    enter(open, depth * stride, block)
  }
  const isOver = (at: number): boolean =>
    depth > 0 && compare(open, (depth - 1) * stride, zero, 0, width) !== 0
      ? compare(open, (depth - 1) * stride, rows, at, width) <= 0
      : false

  for (let block = 0; block < count; block++) {
    const at = block * stride
    while (isOver(at)) leave()
    around[block] = depth === 0 ? 0 : (open[depth * stride - 1] as number)
    enter(rows, at, block + 1)
    setBehind(open, depth * stride, rows, at, width)
    open[depth * stride + width] = block + 1
    depth++
  }
  while (depth > 0 && compare(open, (depth - 1) * stride, zero, 0, width) !== 0) leave()
  return { intervals: intervals.slice(0, last + stride), around }
}

/** Writes the first address behind a block, zero when there is none. */
function setBehind(to: Uint32Array, toAt: number, rows: Uint32Array, at: number, width: number): void {
  const prefix = rows[at + width] as number
  // One more at the last bit of the prefix. /0 has no such bit, and nothing behind it either.
  let carry = 0
  for (let index = width - 1; index >= 0; index--) {
    const bit = prefix - index * 32
    const sum = (rows[at + index] as number) + carry + (bit >= 1 && bit <= 32 ? (1 << (32 - bit)) >>> 0 : 0)
    to[toAt + index] = sum
    carry = sum > 0xffff_ffff ? 1 : 0
  }
}

/** Below zero, zero or above, as the words from `a[atA]` on are before, the same as or behind those from `b[atB]` on. */
function compare(a: Uint32Array, atA: number, b: Uint32Array, atB: number, words: number): number {
  for (let index = 0; index < words; index++) {
    const difference = (a[atA + index] as number) - (b[atB + index] as number)
    if (difference !== 0) return difference
  }
  return 0
}

/** As many leading bits as there are intervals for, but no more than 16: what they do not tell apart is searched. */
function jumpTable(intervals: Uint32Array, stride: number): Pick<Family<unknown>, 'jump' | 'jumpShift'> {
  const count = intervals.length / stride
  const bits = Math.min(16, 32 - Math.clz32(count))
  const jumpShift = 32 - bits
  const jump = new Uint32Array(2 ** bits + 1)
  const first = new Uint32Array(stride - 1)
  let interval = 0
  for (let leading = 0; leading < 2 ** bits; leading++) {
    first[0] = leading << jumpShift
    while (interval + 1 < count && compare(intervals, (interval + 1) * stride, first, 0, stride - 1) <= 0) interval++
    jump[leading] = interval
  }
  jump[2 ** bits] = count - 1
  return { jump, jumpShift }
}
