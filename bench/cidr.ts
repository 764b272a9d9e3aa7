// `node --expose-gc .build/bench/cidr.js`: how long it takes to say which CIDR blocks hold an address, ours beside a hash
// for each prefix length, node's own BlockList and a loop of ipaddr.js, in one run and on the same addresses.
//
//   --file path        one prefix a line, plain or gzip; default ../shared/corpora/ip/bgp-prefixes.txt.gz, and without
//                      that a million made-up prefixes
//   --rounds 9         every way is timed once a round, in turn; the best round counts
//
// `CPU` and `load` are processor time, which a busy machine disturbs less than wall time; p50 and p99 are single calls by
// the clock.
//
// Half of the addresses lie in a block, half anywhere in the same family. They are ready values for each way (a number,
// groups, a SocketAddress, an object of ipaddr.js): reading them from text is not timed. Ours and the hashes find every
// block that holds the address, the other two only say whether there is one.

import { existsSync, readFileSync } from 'node:fs'
import { BlockList, SocketAddress } from 'node:net'
import { parseArgs } from 'node:util'
import { gunzipSync } from 'node:zlib'
import ipaddr from 'ipaddr.js'

import { CidrTable } from '../src/core/cidr-table.ts'
import { type Cidr, formatIpv4, formatIpv6, parseCidr } from '../src/core/ip.ts'

const CORPUS = '../shared/corpora/ip/bgp-prefixes.txt.gz'
const { values: options } = parseArgs({
  options: { file: { type: 'string' }, rounds: { type: 'string', default: '9' } },
})
const rounds = Number(options.rounds)
if (!Number.isInteger(rounds) || rounds < 1) throw new TypeError('--rounds: not a positive whole number')

const ADDRESSES = 100_000
/** The most prefixes for a way that looks at one after the other. */
const SMALL = 10_000

interface Address {
  readonly text: string
  readonly value4: number
  readonly groups: readonly number[]
}

/** Answers for the address of that number; a number, so that nothing can be left out. */
type Ask = (index: number) => number

interface Way {
  readonly name: string
  readonly largest: number
  /** Makes the structure, and what asks it. */
  readonly load: (prefixes: readonly string[]) => (addresses: readonly Address[]) => Ask
}

const WAYS: readonly Way[] = [
  { name: 'agentport CidrTable', largest: Number.POSITIVE_INFINITY, load: loadTable },
  { name: 'a Map a prefix length', largest: Number.POSITIVE_INFINITY, load: loadMaps },
  { name: 'net.BlockList', largest: SMALL, load: loadBlockList },
  { name: 'ipaddr.js, a loop', largest: SMALL, load: loadLoop },
]

/** Holds on to answers, so that the compiler cannot drop the work that made them. */
const sink = { total: 0 }

const random = mulberry(20_240_229)
const { prefixes, source } = readPrefixes()
console.log(`Node ${process.version}; ${source}; ${ADDRESSES.toLocaleString('en')} addresses, ${rounds} rounds\n`)

for (const family of ['IPv4', 'IPv6'] as const) {
  const own = prefixes.filter((text) => text.includes(':') === (family === 'IPv6'))
  for (const size of [10, 1_000, SMALL, own.length]) compare(family, evenly(own, size))
}
loadAll()

function compare(family: string, chosen: readonly string[]): void {
  const addresses = makeAddresses(chosen)
  const cells = WAYS.filter((way) => chosen.length <= way.largest).map((way) => {
    const before = memory()
    const started = cpuMillis()
    const structure = way.load(chosen)
    const loadMs = cpuMillis() - started
    const after = memory()
    return {
      name: way.name,
      loadMs,
      heapMb: (after.heapUsed + after.external - before.heapUsed - before.external) / 1e6,
      rssMb: (after.rss - before.rss) / 1e6,
      ask: structure(addresses),
      // What is slow gets fewer questions a round; the same ones every time.
      asked: Math.min(ADDRESSES, way.largest === SMALL ? 5_000_000 / chosen.length : ADDRESSES),
      cpu: Number.POSITIVE_INFINITY,
      p50: Number.POSITIVE_INFINITY,
      p99: Number.POSITIVE_INFINITY,
    }
  })
  for (let index = 0; index < 1_000; index++) {
    const answers = new Set(cells.map((cell) => cell.ask(index) > 0))
    if (answers.size > 1) throw new Error(`the ways disagree about ${addresses[index]?.text}`)
  }
  for (let round = 0; round < rounds; round++) {
    for (const cell of cells) {
      cell.cpu = Math.min(cell.cpu, cpuNanos(cell.ask, cell.asked))
      const each = nanosEach(cell.ask, Math.min(cell.asked, 20_000))
      cell.p50 = Math.min(cell.p50, each[each.length >> 1] ?? Number.NaN)
      cell.p99 = Math.min(cell.p99, each[Math.floor(each.length * 0.99)] ?? Number.NaN)
    }
  }
  const ours = cells[0]?.cpu ?? Number.NaN
  console.log(`${chosen.length.toLocaleString('en')} ${family} prefixes`)
  printTable(
    ['way', 'CPU', 'slower ×', 'p50', 'p99', 'load', 'heap+external', 'RSS'],
    cells.map((cell) => [
      cell.name,
      nanos(cell.cpu),
      (cell.cpu / ours).toFixed(1),
      nanos(cell.p50),
      nanos(cell.p99),
      `${cell.loadMs.toFixed(1)} ms`,
      `${cell.heapMb.toFixed(1)} MB`,
      `${cell.rssMb.toFixed(0)} MB`,
    ]),
  )
}

/** All prefixes of both families: the time to read them, and to build the table. */
function loadAll(): void {
  const times = Array.from({ length: 3 }, () => {
    const started = cpuMillis()
    const parsed = prefixes.map(cidrOf)
    const read = cpuMillis()
    const table = new CidrTable(parsed.map((cidr, index) => [cidr, index] as const))
    return { parse: read - started, build: cpuMillis() - read, bytes: table.byteLength }
  })
  const parse = Math.min(...times.map((time) => time.parse))
  const build = Math.min(...times.map((time) => time.build))
  const bytes = times[0]?.bytes ?? Number.NaN
  console.log(
    `Loading all ${prefixes.length.toLocaleString('en')} prefixes, processor time: parseCidr ${Math.round(parse)} ms, ` +
      `building the table ${Math.round(build)} ms; it keeps ${(bytes / 1e6).toFixed(1)} MB beside its values`,
  )
}

function loadTable(chosen: readonly string[]): (addresses: readonly Address[]) => Ask {
  const table = new CidrTable(pairs(chosen))
  return (addresses) => {
    const values = addresses.map(({ value4 }) => value4)
    const groups = addresses.map((address) => address.groups)
    return isIpv6(addresses)
      ? (index) => {
          const found: number[] = []
          table.findIpv6(groups[index] as readonly number[], found)
          return found.length
        }
      : (index) => {
          const found: number[] = []
          table.findIpv4(values[index] as number, found)
          return found.length
        }
  }
}

function* pairs(chosen: readonly string[]): Generator<readonly [Cidr, number]> {
  let index = 0
  for (const text of chosen) yield [cidrOf(text), index++]
}

function loadMaps(chosen: readonly string[]): (addresses: readonly Address[]) => Ask {
  const levels = new Map<number, Map<number | string, number>>()
  for (const [cidr, value] of pairs(chosen)) {
    let level = levels.get(cidr.prefix)
    if (level === undefined) {
      level = new Map()
      levels.set(cidr.prefix, level)
    }
    const { value4, groups = [] } = cidr
    level.set(value4 === undefined ? bits6(groups, cidr.prefix) : bits4(value4, cidr.prefix), value)
  }
  const lengths = [...levels].map(([prefix, level]) => ({ prefix, level }))
  return (addresses) => {
    const ipv6 = isIpv6(addresses)
    return (index) => {
      const { value4, groups } = addresses[index] as Address
      const found: number[] = []
      for (const { prefix, level } of lengths) {
        const value = level.get(ipv6 ? bits6(groups, prefix) : bits4(value4, prefix))
        if (value !== undefined) found.push(value)
      }
      return found.length
    }
  }
}

function bits4(value: number, prefix: number): number {
  return prefix === 0 ? 0 : value >>> (32 - prefix)
}

function bits6(groups: readonly number[], prefix: number): string {
  const whole = prefix >> 4
  const rest = prefix & 15
  let key = String.fromCharCode(...groups.slice(0, whole))
  if (rest !== 0) key += String.fromCharCode((groups[whole] ?? 0) >> (16 - rest))
  return key
}

function loadBlockList(chosen: readonly string[]): (addresses: readonly Address[]) => Ask {
  const list = new BlockList()
  for (const text of chosen) {
    const slash = text.indexOf('/')
    list.addSubnet(text.slice(0, slash), Number(text.slice(slash + 1)), text.includes(':') ? 'ipv6' : 'ipv4')
  }
  return (addresses) => {
    const family = isIpv6(addresses) ? 'ipv6' : 'ipv4'
    const sockets = addresses.map(({ text }) => new SocketAddress({ address: text, family }))
    return (index) => (list.check(sockets[index] as SocketAddress) ? 1 : 0)
  }
}

function loadLoop(chosen: readonly string[]): (addresses: readonly Address[]) => Ask {
  const blocks = chosen.map((text) => ipaddr.parseCIDR(text))
  return (addresses) => {
    const parsed = addresses.map(({ text }) => ipaddr.parse(text))
    return (index) =>
      blocks.some((block) => (parsed[index] as ipaddr.IPv4).match(block as [ipaddr.IPv4, number])) ? 1 : 0
  }
}

function isIpv6(addresses: readonly Address[]): boolean {
  return addresses[0]?.text.includes(':') === true
}

function cidrOf(text: string): Cidr {
  const parsed = parseCidr(text)
  if (!parsed.ok) throw new Error(`${text}: ${parsed.reason}`)
  return parsed.cidr
}

function makeAddresses(chosen: readonly string[]): Address[] {
  return Array.from({ length: ADDRESSES }, (_, index) => {
    const { prefix, value4, groups } = cidrOf(chosen[Math.floor(random() * chosen.length)] as string)
    // An IPv6 address from anywhere would miss all blocks at the first bits: keep three of them, which is 2000::/3.
    const kept = index % 2 === 0 ? prefix : groups === undefined ? 0 : 3
    if (groups === undefined) {
      const mask = kept === 0 ? 0 : -1 << (32 - kept)
      const value = (((value4 ?? 0) & mask) | (Math.floor(random() * 2 ** 32) & ~mask)) >>> 0
      return { text: formatIpv4(value), value4: value, groups: [] }
    }
    const own = groups.map((group, at) => {
      const bits = Math.min(16, Math.max(0, kept - at * 16))
      const mask = (0xffff << (16 - bits)) & 0xffff
      return (group & mask) | (Math.floor(random() * 0x1_0000) & ~mask & 0xffff)
    })
    return { text: formatIpv6(own), value4: 0, groups: own }
  })
}

function readPrefixes(): { prefixes: string[]; source: string } {
  const file = options.file ?? CORPUS
  if (options.file === undefined && !existsSync(file)) {
    const made = new Set<string>()
    while (made.size < 900_000) {
      const prefix = 8 + Math.floor(random() * 17)
      made.add(`${formatIpv4((Math.floor(random() * 2 ** 32) & (-1 << (32 - prefix))) >>> 0)}/${prefix}`)
    }
    while (made.size < 1_060_000) {
      const high = 0x2000 + Math.floor(random() * 0x2000)
      const [second, third] = [Math.floor(random() * 0x1_0000), Math.floor(random() * 0x1_0000)]
      made.add(
        random() < 0.3
          ? `${formatIpv6([high, second, 0, 0, 0, 0, 0, 0])}/32`
          : `${formatIpv6([high, second, third, 0, 0, 0, 0, 0])}/48`,
      )
    }
    return { prefixes: [...made], source: `${made.size.toLocaleString('en')} made-up prefixes (no ${file})` }
  }
  const bytes = readFileSync(file)
  const text = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1')
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  return { prefixes: lines, source: `${lines.length.toLocaleString('en')} prefixes of ${file}` }
}

function evenly(all: readonly string[], size: number): string[] {
  return Array.from({ length: size }, (_, index) => all[Math.floor((index * all.length) / size)] as string)
}

function cpuNanos(ask: Ask, asked: number): number {
  const started = cpuMillis()
  for (let index = 0; index < asked; index++) sink.total += ask(index)
  return ((cpuMillis() - started) * 1e6) / asked
}

function cpuMillis(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}

/** Sorted; the clock itself adds some 50 ns to each. */
function nanosEach(ask: Ask, asked: number): Float64Array {
  const samples = new Float64Array(asked)
  for (let index = 0; index < asked; index++) {
    const started = process.hrtime.bigint()
    sink.total += ask(index)
    samples[index] = Number(process.hrtime.bigint() - started)
  }
  return samples.sort()
}

function memory(): NodeJS.MemoryUsage {
  const { gc } = globalThis as { gc?: () => void }
  if (gc === undefined) throw new Error('run with node --expose-gc')
  gc()
  gc()
  return process.memoryUsage()
}

function nanos(value: number): string {
  return value < 1_000 ? `${Math.round(value)} ns` : `${(value / 1_000).toFixed(1)} µs`
}

function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)))
  for (const row of [header, ...rows]) {
    console.log(
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  '),
    )
  }
  console.log()
}

/** The same numbers in every run. */
function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
