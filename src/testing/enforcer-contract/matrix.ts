// The whole contract in one go, as a table: every case with what became of it, by feature.

import { printable } from '../../core/text.ts'
import { FEATURES, type Feature } from '../../enforcer/feature.ts'
import { NotApplicableError } from './case.ts'
import { type ContractSubject, enforcerContract } from './contract.ts'

export type ContractOutcome = 'passed' | 'failed' | 'not_applicable'

export interface ContractResult {
  readonly name: string
  readonly feature?: Feature
  readonly outcome: ContractOutcome
  /** Why it failed, or why it is not applicable. */
  readonly reason?: string
  readonly ms: number
}

export interface ContractMatrix {
  readonly enforcer: string
  /** Whether no case failed. What was not applicable was not shown. */
  readonly ok: boolean
  readonly results: readonly ContractResult[]
}

/** Runs all cases, one after the other. Rejects only when `subject` itself cannot be opened. */
export async function runEnforcerContract(subject: ContractSubject): Promise<ContractMatrix> {
  const enforcer = await subject.open()
  const results: ContractResult[] = []
  for (const { name, feature, run } of enforcerContract({ ...subject, open: () => enforcer })) {
    const start = performance.now()
    const verdict = await run().then(
      () => ({ outcome: 'passed' }) as const,
      (error: unknown) =>
        ({
          outcome: error instanceof NotApplicableError ? 'not_applicable' : 'failed',
          reason: error instanceof Error ? error.message : String(error),
        }) as const,
    )
    const ms = Math.round(performance.now() - start)
    results.push(Object.freeze({ name, ...(feature === undefined ? {} : { feature }), ...verdict, ms }))
  }
  return Object.freeze({
    enforcer: enforcer.name,
    ok: results.every(({ outcome }) => outcome !== 'failed'),
    results: Object.freeze(results),
  })
}

const MARKS: Readonly<Record<ContractOutcome, string>> = { passed: 'ok  ', failed: 'FAIL', not_applicable: 'n/a ' }

/** The table as text: a line for every case under its feature, and the counts. */
export function renderMatrix({ enforcer, results }: ContractMatrix): string {
  const lines: string[] = []
  for (const feature of [undefined, ...FEATURES]) {
    const own = results.filter((result) => result.feature === feature)
    if (own.length === 0) continue
    lines.push(feature ?? 'port')
    for (const { name, outcome, reason } of own) {
      lines.push(`  ${MARKS[outcome]}  ${name}${reason === undefined ? '' : `\n        ${printable(reason)}`}`)
    }
  }
  const count = (outcome: ContractOutcome): number => results.filter((result) => result.outcome === outcome).length
  lines.push(
    `${printable(enforcer)}: ${count('passed')} passed, ${count('failed')} failed, ${count('not_applicable')} not applicable`,
  )
  return `${lines.join('\n')}\n`
}
