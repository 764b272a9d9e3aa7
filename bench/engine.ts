// What the benchmark asks of an engine. The timed call is `answer` alone; `allows` reads its result outside the clock.

import type { WorkloadRequest, WorkloadRule } from './workload.ts'

export interface Engine {
  answer(request: WorkloadRequest): unknown
  /** Whether an answer of this engine allows the request. */
  allows(answer: unknown): boolean
}

/** Builds an engine; the whole call is its load time. */
export type LoadEngine = (rules: readonly WorkloadRule[]) => Promise<Engine>
