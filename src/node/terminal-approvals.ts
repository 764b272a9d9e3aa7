// Asking on a terminal: a card, and the first digits of its digest to be typed. Whoever can type there is taken for the
// approver named by the operator; that is all the identification there is. Nothing that is typed by habit approves.

import type { ApprovalPort } from '../approval/port.ts'
import type { ApprovalAnswer, ApprovalQuestion } from '../approval/question.ts'
import { renderApproval } from '../approval/render.ts'
import { AgentPortError } from '../core/errors.ts'

/** What is used of `process.stdin`. */
export interface TerminalInput {
  readonly isTTY?: boolean
  on(event: 'data', listener: (chunk: string | Uint8Array) => void): unknown
  on(event: 'end' | 'close', listener: () => void): unknown
  on(event: 'error', listener: (error: Error) => void): unknown
  off(event: 'data', listener: (chunk: string | Uint8Array) => void): unknown
  off(event: 'end' | 'close', listener: () => void): unknown
  off(event: 'error', listener: (error: Error) => void): unknown
  resume(): unknown
  pause(): unknown
}

/** What is used of `process.stderr`. */
export interface TerminalOutput {
  readonly isTTY?: boolean
  readonly columns?: number
  write(text: string): unknown
}

export interface TerminalApprovalsOptions {
  /** Who sits at the terminal, as the policy's `approvers` name them. */
  readonly approver: string
  /** Standard input unless given. While a question is shown, what is typed there is read here. */
  readonly input?: TerminalInput
  /** Standard error unless given: standard output may be the program's result. */
  readonly output?: TerminalOutput
  /**
   * What has to be typed to approve: at least 4 characters, no spaces. The first 6 hex digits of the digest unless given.
   */
  readonly confirm?: (question: ApprovalQuestion) => string
}

/**
 * Shows each question on the terminal, one at a time, the first asked first. `no`, perhaps with a reason behind it,
 * refuses; anything but the digits or `no` asks again. An end of input answers nothing.
 *
 * @throws AgentPortError `ERR_CONFIG_INVALID` when input or output is no terminal: nobody would be there to read, and
 *   what a file or pipe holds was not written for this question.
 */
export function terminalApprovals(options: TerminalApprovalsOptions): ApprovalPort {
  const { approver, input = process.stdin, output = process.stderr, confirm = firstDigits } = options
  if (typeof approver !== 'string' || approver === '')
    throw new TypeError('terminalApprovals needs the name of an approver')
  requireTerminal(input, output)
  let last: Promise<unknown> = Promise.resolve()
  return Object.freeze({
    name: 'terminal',
    ask: (question: ApprovalQuestion, signal: AbortSignal): Promise<readonly ApprovalAnswer[]> => {
      const turn = last.then(() => askOne(question, signal, { approver, input, output, confirm }))
      last = turn.catch(() => undefined)
      return turn
    },
  })
}

function requireTerminal(input: TerminalInput, output: TerminalOutput): void {
  if (input.isTTY === true && output.isTTY === true) return
  const what = input.isTTY === true ? 'output' : 'input'
  throw new AgentPortError('ERR_CONFIG_INVALID', `approvals are asked on a terminal, and the ${what} is not one`)
}

/** The digits after `sha256:`. */
function firstDigits({ digest }: ApprovalQuestion): string {
  return digest.slice(digest.indexOf(':') + 1).slice(0, 6)
}

const NO = /^no(?:\s+(.+))?$/iu

async function askOne(
  question: ApprovalQuestion,
  signal: AbortSignal,
  { approver, input, output, confirm }: Required<TerminalApprovalsOptions>,
): Promise<readonly ApprovalAnswer[]> {
  // It may have been answered elsewhere, or have expired, while another one was on the screen.
  if (signal.aborted) return []
  requireTerminal(input, output)
  const word = confirm(question)
  if (!/^\S{4,}$/u.test(word) || NO.test(word))
    throw new TypeError('what confirms has at least 4 characters, no spaces')
  const columns = output.columns ?? 0
  output.write(`\n${renderApproval(question, columns > 0 ? { width: columns } : {})}\n\n`)
  const to = { question: question.id, digest: question.digest, approver }
  for (;;) {
    output.write(`Type ${word} to approve, no to refuse: `)
    const line = await readLine(input, signal)
    if (line === undefined) {
      output.write(signal.aborted ? '\nThis question is closed.\n' : '\nNo answer.\n')
      return []
    }
    const typed = line.trim()
    if (typed === word) return [{ ...to, decision: 'approve' }]
    const no = NO.exec(typed)
    if (no !== null) return [{ ...to, decision: 'refuse', ...(no[1] === undefined ? {} : { reason: no[1] }) }]
  }
}

/** Longer lines are no answer. A terminal's own limit is 4,096 bytes. */
const LONGEST_LINE = 4_096

/**
 * One line, or `undefined` when input ends or `signal` is aborted. What comes in one piece behind the line is dropped. A
 * line that is typed ahead can at most refuse the next question: its digits were not yet to be seen.
 */
function readLine(input: TerminalInput, signal: AbortSignal): Promise<string | undefined> {
  return new Promise((resolve) => {
    const decoder = new TextDecoder()
    let text = ''
    let tooLong = false
    const finish = (line: string | undefined): void => {
      input.off('data', onData)
      input.off('end', onEnd)
      input.off('close', onEnd)
      input.off('error', onEnd)
      signal.removeEventListener('abort', onEnd)
      // Or the terminal would keep the process alive.
      input.pause()
      resolve(line)
    }
    const onData = (chunk: string | Uint8Array): void => {
      text += typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true })
      const end = text.search(/[\r\n]/)
      if (end !== -1) finish(tooLong || end > LONGEST_LINE ? '' : text.slice(0, end))
      else if (text.length > LONGEST_LINE) {
        tooLong = true
        text = ''
      }
    }
    const onEnd = (): void => finish(undefined)
    input.on('data', onData)
    input.on('end', onEnd)
    input.on('close', onEnd)
    input.on('error', onEnd)
    signal.addEventListener('abort', onEnd)
    if (signal.aborted) finish(undefined)
    else input.resume()
  })
}
