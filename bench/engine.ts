// What the benchmark asks of an engine. The timed call is `answer` alone; `allows` reads its result outside the clock.

import type { WorkloadRequest, WorkloadRule } from './workload.ts'

export interface Engine {
  /**
   * What `answer` is asked with, made before anything is timed; the request itself when absent. The gateway's engine gets
   * resources that were canonicalised when the arguments were read, the others the plain values they compare.
   */
  prepare?(request: WorkloadRequest): unknown
  answer(request: unknown): unknown
  /** Whether an answer of this engine allows the request. */
  allows(answer: unknown): boolean
}

/** Builds an engine; the whole call is its load time. */
export type LoadEngine = (rules: readonly WorkloadRule[]) => Promise<Engine>
