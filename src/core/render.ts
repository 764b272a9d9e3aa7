// One denial, three readers. The model gets what it needs to choose better and nothing to probe the policy with; the
// operator gets the rule, the place and the mend; the audit log gets the facts.

import { DENIALS, type Denial, type Recoverable, type RuleRef } from './denial.ts'
import { printable } from './text.ts'

const ADVICE: Record<Recoverable, string> = {
  never: 'Trying again will not help.',
  narrower: 'A narrower request may be permitted.',
  after_approval: 'It can run once approved.',
  after_wait: 'It may be tried again later.',
}

/** Safe to put into a model's context: a fixed sentence per code, and the name of the tool. */
export function renderForModel(denial: Denial): string {
  const tool = denial.subject.tool === undefined ? '' : ` (${denial.subject.tool})`
  return `[${denial.code}]${tool} ${DENIALS[denial.code].model} ${ADVICE[denial.recoverable]}`
}

/** Several lines for the person who can change policy or manifest. */
export function renderForOperator(denial: Denial): string {
  const { node, skill, tool, argument, resource } = denial.subject
  const about = [
    node === undefined ? undefined : `node ${node}`,
    skill === undefined ? undefined : `skill ${skill}`,
    tool === undefined ? undefined : `tool ${tool}`,
    argument === undefined ? undefined : `argument ${argument === '' ? '(all)' : printable(argument)}`,
    resource,
  ].filter((part) => part !== undefined)
  return [
    `${denial.code}: ${denial.detail}`,
    about.length === 0 ? undefined : `  at: ${about.join(', ')}`,
    ...denial.rules.map((rule) => `  rule: ${formatRule(rule)}`),
    denial.missing === undefined ? undefined : `  would allow it: ${denial.missing}`,
    `  recoverable: ${denial.recoverable}`,
  ]
    .filter((line) => line !== undefined)
    .join('\n')
}

/** Plain data for one audit record; keys as they stand in the log. */
export function renderForAudit(denial: Denial): Record<string, unknown> {
  return {
    code: denial.code,
    layer: denial.layer,
    recoverable: denial.recoverable,
    detail: denial.detail,
    subject: denial.subject,
    rules: denial.rules.map(formatRule),
    dispatched: denial.dispatched,
  }
}

/** `id (effect) file:line:column`, with the author's reason when there is one. */
export function formatRule(rule: RuleRef): string {
  const reason = rule.reason === undefined ? '' : ` — ${rule.reason}`
  return `${rule.id} (${rule.effect}) ${printable(rule.file)}:${rule.line}:${rule.column}${reason}`
}
