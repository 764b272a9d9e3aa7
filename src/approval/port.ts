// How a person is asked. A port is the operator's own code, yet it decides nothing: what it returns is checked like any
// other answer, and one that throws, hangs or returns rubbish leaves the question open until it expires.

import type { ApprovalAnswer, ApprovalDecision, ApprovalQuestion } from './question.ts'

/** A way of asking. */
export interface ApprovalPort {
  /** For records and messages. */
  readonly name: string
  /**
   * Tells somebody of `question`. It may return answers to this question, or none and have them handed to the desk
   * later. `signal` is aborted when the question is closed: an answer counts no more.
   */
  // biome-ignore lint/suspicious/noConfusingVoidType: a port that only sends a message returns nothing, or a promise of it
  ask(question: ApprovalQuestion, signal: AbortSignal): Promise<readonly ApprovalAnswer[] | void> | void
}

/** An answer to the question that was asked; which one that is need not be said. */
export interface CallbackAnswer {
  readonly approver: string
  readonly decision: ApprovalDecision
  readonly reason?: string
}

export type ApprovalCallback = (
  question: ApprovalQuestion,
  signal: AbortSignal,
) =>
  | CallbackAnswer
  | readonly CallbackAnswer[]
  | undefined
  | Promise<CallbackAnswer | readonly CallbackAnswer[] | undefined>

/** A port out of a function that returns the answer, several, or `undefined` for none yet. */
export function callbackApprovals(ask: ApprovalCallback, name = 'callback'): ApprovalPort {
  if (typeof ask !== 'function') throw new TypeError('callbackApprovals takes a function')
  return Object.freeze({
    name,
    ask: async (question: ApprovalQuestion, signal: AbortSignal) => {
      const answered = await ask(question, signal)
      if (answered === undefined) return undefined
      const answers = (Array.isArray(answered) ? answered : [answered]) as readonly CallbackAnswer[]
      // The function was shown this question and no other, so its answers are bound to it here.
      return answers.map((answer) => ({ ...answer, question: question.id, digest: question.digest }))
    },
  })
}
