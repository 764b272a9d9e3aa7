// One cell of the table: one engine, one size, one variant, alone in its process so that heaps and JITs do not mix.

import type { LoadEngine } from './engine.ts'
import { loadAgentPort, loadAgentPortFromText } from './engines/agentport.ts'
import { loadCasbin } from './engines/casbin.ts'
import { loadCasl } from './engines/casl.ts'
import { loadCedar } from './engines/cedar.ts'
import { allows, checkWorkload, makeWorkload, type Variant } from './workload.ts'

export const ENGINES: Readonly<Record<string, LoadEngine>> = {
  agentport: loadAgentPort,
  'agentport-text': loadAgentPortFromText,
  casl: loadCasl,
  casbin: loadCasbin,
  cedar: loadCedar,
}

export interface Cell {
  readonly engine: string
  readonly size: number
  readonly variant: Variant
  readonly loadMs: number
  /** What the loaded engine keeps: JavaScript heap, and resident memory, which counts WebAssembly too. */
  readonly heapMb: number
  readonly rssMb: number
  /** Requests whose verdict was compared with the brute-force reference, and how many differed. */
  readonly checked: number
  readonly mismatches: number
  /** Per second of processor time, which a busy machine disturbs less than wall time. */
  readonly decisionsPerCpuSecond: number
  readonly p50Micros: number
  readonly p99Micros: number
  readonly samples: number
}

const MAX_SAMPLES = 400_000
/** Calls between two looks at the clock. */
const BATCH = 16
/** Long enough for the compiler, which on a busy machine waits for a processor too. */
const WARM_UP_MS = 500
/** Each pass is made in rounds, and the best one counts: what other programs do to a round is not the engine's doing. */
const ROUNDS = 3

export async function measureCell(engineName: string, size: number, variant: Variant, budgetMs: number): Promise<Cell> {
  const load = ENGINES[engineName]
  if (load === undefined) throw new TypeError(`no engine "${engineName}"`)
  const workload = makeWorkload(size, variant)
  checkWorkload(workload, size, variant)
  const { rules, reqs } = workload

  const before = memory()
  const started = performance.now()
  const engine = await load(rules)
  const loadMs = performance.now() - started
  const after = memory()

  const expected = reqs.map((request) => allows(rules, request))
  const asked: readonly unknown[] = reqs.map((request) => engine.prepare?.(request) ?? request)
  let checked = 0
  let mismatches = 0
  const checkUntil = performance.now() + 2 * budgetMs
  for (const [index, request] of asked.entries()) {
    if (engine.allows(engine.answer(request)) !== expected[index]) mismatches++
    checked++
    if (performance.now() > checkUntil) break
  }

  const next = cycle(asked)
  const call = (): void => keep(engine.answer(next()))
  throughput(call, WARM_UP_MS)
  const rounds = Array.from({ length: ROUNDS }, () => {
    const decisionsPerCpuSecond = throughput(call, budgetMs / ROUNDS)
    return { decisionsPerCpuSecond, latencies: timeEach(call, budgetMs / ROUNDS) }
  })
  return {
    engine: engineName,
    size,
    variant,
    loadMs,
    heapMb: (after.heapUsed - before.heapUsed) / 1e6,
    rssMb: (after.rss - before.rss) / 1e6,
    checked,
    mismatches,
    decisionsPerCpuSecond: Math.max(...rounds.map((round) => round.decisionsPerCpuSecond)),
    p50Micros: Math.min(...rounds.map(({ latencies }) => percentile(latencies, 0.5))),
    p99Micros: Math.min(...rounds.map(({ latencies }) => percentile(latencies, 0.99))),
    samples: rounds.reduce((sum, { latencies }) => sum + latencies.length, 0),
  }
}

/** Calls per second of processor time. */
function throughput(call: () => void, budgetMs: number): number {
  const cpu = process.cpuUsage()
  const until = performance.now() + budgetMs
  let calls = 0
  do {
    for (let index = 0; index < BATCH; index++) call()
    calls += BATCH
  } while (performance.now() < until)
  const { user, system } = process.cpuUsage(cpu)
  return calls / ((user + system) / 1e6)
}

/** Microseconds of single calls, sorted, over `budgetMs`; the clock itself adds about 0.05 µs to each. */
export function timeEach(call: () => void, budgetMs: number): Float64Array {
  const samples = new Float64Array(MAX_SAMPLES)
  let count = 0
  const until = performance.now() + budgetMs
  while (count < MAX_SAMPLES && performance.now() < until) {
    for (let index = 0; index < BATCH && count < MAX_SAMPLES; index++) {
      const start = process.hrtime.bigint()
      call()
      samples[count++] = Number(process.hrtime.bigint() - start) / 1000
    }
  }
  return samples.subarray(0, count).sort()
}

export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

const sink: { answer?: unknown } = {}

/** Holds on to an answer, so that the compiler cannot drop the work that made it. */
function keep(answer: unknown): void {
  sink.answer = answer
}

function cycle(requests: readonly unknown[]): () => unknown {
  let index = 0
  return () => {
    const request = requests[index]
    index = index + 1 === requests.length ? 0 : index + 1
    return request
  }
}

function memory(): NodeJS.MemoryUsage {
  const { gc } = globalThis as { gc?: () => void }
  if (gc === undefined) throw new Error('run with node --expose-gc')
  gc()
  gc()
  return process.memoryUsage()
}
