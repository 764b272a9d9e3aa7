// Reading what comes back. An answer may come from a web hook, a chat or a port's return value: each member is read once,
// and what is no answer is no answer.

import { describeError, printable } from '../core/text.ts'
import type { ApprovalPort } from './port.ts'
import type { ApprovalAnswer, ApprovalQuestion } from './question.ts'

/** The answer in `value`, its reason made printable, or `undefined`. Never throws. */
export function readAnswer(value: unknown): ApprovalAnswer | undefined {
  try {
    if (typeof value !== 'object' || value === null) return undefined
    const { question, digest, approver, decision, reason } = value as Partial<Record<keyof ApprovalAnswer, unknown>>
    if (typeof question !== 'string' || typeof digest !== 'string' || typeof approver !== 'string') return undefined
    if (decision !== 'approve' && decision !== 'refuse') return undefined
    if (reason === undefined) return { question, digest, approver, decision }
    return typeof reason === 'string' ? { question, digest, approver, decision, reason: printable(reason) } : undefined
  } catch {
    // A getter or Proxy trap threw: nobody has answered.
    return undefined
  }
}

/** More than any quorum; a longer list is a mistake. */
const MAX_ANSWERS = 1_000

export type PortReply =
  | { readonly ok: true; readonly answers: readonly unknown[] }
  | { readonly ok: false; readonly detail: string }

/** What `port` returns, or what was wrong with it. Never rejects; settles when the port does, which may be never. */
export async function askPort(port: ApprovalPort, question: ApprovalQuestion, signal: AbortSignal): Promise<PortReply> {
  try {
    // Not before the desk is done with the question: a port may call the desk at once.
    await undefined
    const reply: unknown = await port.ask(question, signal)
    if (reply === undefined || reply === null) return { ok: true, answers: [] }
    if (!Array.isArray(reply)) return { ok: false, detail: 'the port answered with what is no list of answers' }
    if (reply.length > MAX_ANSWERS) return { ok: false, detail: 'the port answered with too many answers' }
    return { ok: true, answers: [...(reply as readonly unknown[])] }
  } catch (error) {
    return { ok: false, detail: describeError(error, 'the port failed') }
  }
}
