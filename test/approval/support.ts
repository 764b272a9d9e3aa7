import { ApprovalDesk, type ApprovalDeskOptions } from '../../src/approval/desk.ts'
import type { ApprovalChange, ApprovalQuestion, Asked } from '../../src/approval/question.ts'
import type { ApprovalSubject } from '../../src/approval/subject.ts'
import { APPROVAL_DEFAULTS, type ApprovalDemand } from '../../src/core/approval.ts'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'

export function subject(over: Partial<ApprovalSubject> = {}): ApprovalSubject {
  return {
    run: 'run-1',
    node: 'checkout',
    attempt: 1,
    principal: 'shop-bot',
    skill: 'payments',
    skillDigest: `sha256:${'a'.repeat(64)}`,
    tool: 'pay',
    args: { to: 'bob@example.com', amount: 250 },
    resources: ['network https://bank.example.com:443'],
    policyDigest: `sha256:${'b'.repeat(64)}`,
    rules: [{ id: 'pay', effect: 'require_approval', file: 'policy.yaml', line: 12, column: 5 }],
    ...over,
  }
}

/** `subject` without arguments, which is not the same as with `null`. */
export function withoutArgs(): ApprovalSubject {
  const { args: _, ...rest } = subject()
  return rest
}

export function demand(over: Partial<ApprovalDemand> = {}): ApprovalDemand {
  return { rule: 'pay', approvers: [], ...APPROVAL_DEFAULTS, ...over }
}

export interface Bench {
  readonly clock: ManualClock
  readonly desk: ApprovalDesk
  readonly changes: ApprovalChange[]
}

export function bench(over: Partial<ApprovalDeskOptions> = {}): Bench {
  const clock = manualClock()
  const changes: ApprovalChange[] = []
  return { clock, changes, desk: new ApprovalDesk({ clock, onChange: (change) => changes.push(change), ...over }) }
}

/** The question of an asking that has to have worked. */
export function questionOf(asked: Asked): ApprovalQuestion {
  if (!asked.ok) throw new Error(asked.denial.detail)
  return asked.question
}

/** Lets everything run that is ready to. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}
