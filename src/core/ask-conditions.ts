// Asks the other engines before a call is judged, so that judging itself stays synchronous and repeatable. Trusts none of
// them to answer, to answer in time, or to answer with a boolean: what is not exactly true or false in time is left out, and
// the policy denies what it cannot be told.

import { type ConditionPort, type ConditionQuestion, conditionKey } from './condition-port.ts'
import { type Deadline, LATE } from './deadline.ts'
import type { JsonObject } from './json.ts'
import { LIMITS } from './limits.ts'
import { addMember } from './member.ts'
import { copyWithin } from './plain.ts'
import { describeError, isName } from './text.ts'

export interface AskOptions {
  /** Ends asking: what was not answered by then is left out. */
  readonly signal?: AbortSignal
  /** The deadline of the decision; ends asking likewise. */
  readonly deadline?: Deadline
  /** Told of each question that was left out, and why, in one line. Never a control path: what it throws is dropped. */
  readonly onUnanswered?: (question: ConditionQuestion, reason: string) => void
}

/**
 * Asks all questions at once, equal ones once, and returns the answers under their {@link conditionKey}. Never rejects.
 * As soon as it returns, the signal every port was given is aborted, so that nobody works on for a call that is decided.
 *
 * @param input copied and frozen before anybody is asked; when it is not plain data, nobody is
 */
export async function askConditions(
  ports: ReadonlyMap<string, ConditionPort>,
  questions: Iterable<ConditionQuestion>,
  input: JsonObject,
  options: AskOptions = {},
): Promise<Readonly<Record<string, boolean>>> {
  const asking = new Asking(ports, options)
  try {
    return await asking.ask(distinct(questions), input)
  } catch {
    // Ours or a caller's object that throws when read. What was answered before stands, the rest cannot be told.
    return asking.end()
  }
}

/**
 * The value of `work`, or a rejection with the reason of `signal` as soon as that is aborted, whether or not `work` heeds
 * it. What `work` does later is dropped.
 */
export async function untilAborted<T>(work: PromiseLike<T> | T, signal: AbortSignal): Promise<T> {
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    if (stop !== undefined) signal.removeEventListener('abort', stop)
  }
}

class Asking {
  readonly #ports: ReadonlyMap<string, ConditionPort>
  readonly #options: AskOptions
  readonly #controller = new AbortController()
  readonly #answers = new Map<string, boolean>()

  constructor(ports: ReadonlyMap<string, ConditionPort>, options: AskOptions) {
    this.#ports = ports
    this.#options = options
  }

  async ask(questions: readonly ConditionQuestion[], given: JsonObject): Promise<Readonly<Record<string, boolean>>> {
    if (questions.length === 0) return this.end()
    const { signal, deadline } = this.#options
    const input = copyWithin(given, LIMITS.documentValues, LIMITS.documentLength)
    if (!input.ok) {
      for (const question of questions) this.#leaveOut(question, `the input is not plain data: ${input.detail}`)
      return this.end()
    }
    const stop = (): void => this.#controller.abort(signal?.reason)
    signal?.addEventListener('abort', stop, { once: true })
    if (signal?.aborted === true) stop()
    try {
      const all = Promise.all(questions.map((question) => this.#one(question, input.value as JsonObject)))
      const ended = deadline === undefined ? await all : await deadline.race(all)
      if (ended === LATE) {
        this.#controller.abort(new Error('the deadline of the decision has passed'))
        // Each is now ended by the signal; waiting for that tells the observer about every one of them.
        await all
      }
      return this.end()
    } finally {
      signal?.removeEventListener('abort', stop)
    }
  }

  /** The answers so far, as they will stay: one that comes later changes nothing any more. */
  end(): Readonly<Record<string, boolean>> {
    this.#controller.abort(new Error('the answers were taken'))
    const answers: Record<string, boolean> = {}
    for (const [key, answer] of this.#answers) addMember(answers, key, answer)
    return Object.freeze(answers)
  }

  async #one(question: ConditionQuestion, input: JsonObject): Promise<void> {
    const { signal } = this.#controller
    try {
      signal.throwIfAborted()
      const port = this.#ports.get(question.engine)
      if (port === undefined) throw new Error('no engine of this name was given')
      const answer: unknown = await untilAborted(port.ask(question.query, input, signal), signal)
      // A port that never awaits can outlast both without either having had a chance to say so.
      signal.throwIfAborted()
      if (this.#options.deadline?.passed === true) throw new Error('the deadline of the decision has passed')
      // "true", 1 and {} are how an error page, a row count or a partial result say yes.
      if (typeof answer !== 'boolean') throw new TypeError(`it answered with ${kindOf(answer)}, not with a boolean`)
      this.#answers.set(conditionKey(question), answer)
    } catch (error) {
      this.#leaveOut(question, describeError(error, 'it failed'))
    }
  }

  #leaveOut(question: ConditionQuestion, reason: string): void {
    try {
      this.#options.onUnanswered?.(question, reason)
    } catch {
      // An observer's failure is the observer's.
    }
  }
}

/** Each question once, as a copy; what is no question is no question of any rule. */
function distinct(questions: Iterable<ConditionQuestion>): readonly ConditionQuestion[] {
  const own = new Map<string, ConditionQuestion>()
  for (const { engine, query } of questions) {
    if (!isName(engine) || typeof query !== 'string') continue
    const question = Object.freeze({ engine, query })
    own.set(conditionKey(question), question)
  }
  return [...own.values()]
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'a list' : `a value of type ${typeof value}`
}
