// What it costs to load a policy set: from YAML, from JSON, from a plain object, and the YAML library's share of it.

import { parseDocument } from 'yaml'

import { PolicyEngine } from '../src/policy/engine.ts'
import { policyValue, policyYaml } from './engines/agentport.ts'
import { makeWorkload } from './workload.ts'

export interface LoadPhases {
  readonly size: number
  readonly yamlLength: number
  readonly yamlMs: number
  /** The `yaml` package alone, on the same text. */
  readonly yamlLibraryMs: number
  readonly jsonMs: number
  readonly objectMs: number
  /** Heap that the engine keeps after loading from YAML. */
  readonly keptMb: number
}

export async function measureLoad(size: number): Promise<LoadPhases> {
  const { rules } = makeWorkload(size, 'sparse')
  const text = policyYaml(rules)
  const value = policyValue(rules)
  const json = JSON.stringify(value)
  const objectMs = best(() => PolicyEngine.from({ name: 'workload', value })).ms
  const jsonMs = best(() => PolicyEngine.from({ file: 'workload.json', text: json })).ms
  const yamlLibraryMs = best(() => parseDocument(text)).ms
  const before = heap()
  const fromYaml = best(() => PolicyEngine.from({ file: 'workload.yaml', text }))
  const keptMb = (heap() - before) / 1e6
  if (fromYaml.last?.ruleCount !== size) throw new Error('rules were lost')
  return { size, yamlLength: text.length, yamlMs: fromYaml.ms, yamlLibraryMs, jsonMs, objectMs, keptMb }
}

/** The shortest of three runs, and what the last one made. */
function best<T>(work: () => T): { readonly ms: number; readonly last: T | undefined } {
  let ms = Number.POSITIVE_INFINITY
  let last: T | undefined
  for (let round = 0; round < 3; round++) {
    last = undefined
    const start = performance.now()
    last = work()
    ms = Math.min(ms, performance.now() - start)
  }
  return { ms, last }
}

function heap(): number {
  const { gc } = globalThis as { gc?: () => void }
  if (gc === undefined) throw new Error('run with node --expose-gc')
  gc()
  gc()
  return process.memoryUsage().heapUsed
}
