// What has to be true besides the tool and the resources for a statement to apply: the node where roles were listed too, the
// skill, labels, the place in the graph, arguments, facts, the time, where the data come from, what another engine says.
// Every guard answers in three values; of several the one `false` settles it.

import { conditionKey } from '../core/condition-port.ts'
import type { Glob } from '../core/glob.ts'
import { type Condition, holdsOne } from './condition.ts'
import type { Question } from './request.ts'
import type { Effect, Rule } from './rule.ts'
import type { TimeWindow } from './time-window.ts'
import type { Truth } from './value-test.ts'

export interface Guard {
  /** What it asks about. `node`, `skill`, `labels` and `position` are known before there is a call. */
  readonly about: 'node' | 'skill' | 'labels' | 'position' | 'args' | 'facts' | 'time' | 'source' | 'ask'
  test(question: Question): Truth
  /** How it reads, for explanations. */
  readonly text: string
  /** Of `args` and `facts`: where it looks. */
  readonly condition?: Condition
}

/** Whether all guards of the rule hold, by Kleene's "and". */
export function holds({ first, second, third, guards }: Rule, question: Question): Truth {
  if (first === undefined) return true
  let truth = first.test(question)
  if (truth === false || second === undefined) return truth
  const other = second.test(question)
  if (other === false) return false
  if (other === undefined) truth = undefined
  if (!third) return truth
  for (let index = 2; index < guards.length; index++) {
    const one = guards[index]?.test(question)
    if (one === false) return false
    if (one === undefined) truth = undefined
  }
  return truth
}

export function nodeGuard(globs: readonly Glob[]): Guard {
  return {
    about: 'node',
    test: ({ node }) => globs.some((glob) => glob.matches(node)),
    text: `nodes ${texts(globs)}`,
  }
}

/**
 * A rule for named skills and a call of no known skill: a grant must not apply, and a forbid must not be dodged. The facade
 * always knows the skill; an engine used alone that leaves it out gets the careful answer for each effect.
 */
export function skillGuard(globs: readonly Glob[], effect: Effect): Guard {
  // An approval grants what it lists: for a call of no known skill that would be a grant to be had by saying less.
  const unknown = effect === 'permit' ? false : effect === 'require_approval' ? undefined : true
  return {
    about: 'skill',
    test: ({ skill }) => (skill === undefined ? unknown : globs.some((glob) => glob.matches(skill))),
    text: `skills ${texts(globs)}`,
  }
}

export function labelGuard(wanted: ReadonlyMap<string, readonly Glob[]>): Guard {
  return {
    about: 'labels',
    test: ({ labels }) => (labels === undefined ? undefined : labelsMatch(wanted, labels)),
    text: `labels ${[...wanted].map(([key, globs]) => `${key}: ${texts(globs)}`).join(', ')}`,
  }
}

export function labelsMatch(
  wanted: ReadonlyMap<string, readonly Glob[]>,
  labels: Readonly<Record<string, string>>,
): boolean {
  for (const [key, globs] of wanted) {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined
    if (value === undefined || !globs.some((glob) => glob.matches(value))) return false
  }
  return true
}

export function positionGuard(side: 'after' | 'before', globs: readonly Glob[]): Guard {
  return {
    about: 'position',
    test: ({ upstream, downstream }) => {
      const around = side === 'after' ? upstream : downstream
      return around?.some((name) => globs.some((glob) => glob.matches(name)))
    },
    text: `${side} ${texts(globs)}`,
  }
}

export function conditionGuard(about: 'args' | 'facts', condition: Condition): Guard {
  const { range, tokens } = condition
  const [token] = tokens
  if (about === 'args' && range !== undefined && token !== undefined && tokens.length === 1) {
    return new RangeGuard(condition, token, range)
  }
  return new ConditionGuard(about, condition)
}

class ConditionGuard implements Guard {
  readonly about: 'args' | 'facts'
  readonly condition: Condition

  constructor(about: 'args' | 'facts', condition: Condition) {
    this.about = about
    this.condition = condition
  }

  get text(): string {
    return this.about === 'args' ? this.condition.text : `facts ${this.condition.text}`
  }

  test(question: Question): Truth {
    const root = this.about === 'args' ? question.args : question.facts
    return root === undefined ? undefined : holdsOne(this.condition, root)
  }
}

/**
 * A bound on one argument, all of it in one object. Large policies have a bound in nearly every rule and each another one:
 * what a decision costs then is how many objects it has to fetch.
 */
class RangeGuard implements Guard {
  readonly about = 'args'
  readonly condition: Condition
  readonly #token: string
  readonly #min: number
  readonly #max: number

  constructor(condition: Condition, token: string, { min, max }: { readonly min: number; readonly max: number }) {
    this.condition = condition
    this.#token = token
    this.#min = min
    this.#max = max
  }

  get text(): string {
    return this.condition.text
  }

  test({ args }: Question): Truth {
    const value = Object.hasOwn(args, this.#token) ? args[this.#token] : undefined
    if (typeof value === 'number' && !Number.isNaN(value)) return value >= this.#min && value <= this.#max
    return value === undefined && this.condition.optional ? false : undefined
  }
}

export function timeGuard(window: TimeWindow): Guard {
  return {
    about: 'time',
    test: ({ now }) => (now === undefined ? undefined : window.holds(now)),
    text: `during ${window.text}`,
  }
}

/**
 * For a permit all the data have to come from the regions, for anything else some. A region nobody defined is one nothing
 * is known of, a misspelt one perhaps: it grants nothing and leaves the rest untold.
 */
export function sourceGuard(wanted: ReadonlySet<string>, known: ReadonlySet<string>, effect: Effect): Guard {
  const grants = effect === 'permit'
  return {
    about: 'source',
    test: ({ dataRegions }) => {
      if (dataRegions === undefined) return undefined
      if (grants) return dataRegions.every((region) => wanted.has(region))
      if (dataRegions.some((region) => wanted.has(region))) return true
      return dataRegions.every((region) => known.has(region)) ? false : undefined
    },
    text: `residency source ${[...wanted].join(', ')}`,
  }
}

export function askGuard(engine: string, query: string): Guard {
  const asked = Object.freeze({ engine, query })
  const key = conditionKey(asked)
  return {
    about: 'ask',
    test: ({ answers, unanswered }) => {
      const answer: unknown = answers !== undefined && Object.hasOwn(answers, key) ? answers[key] : undefined
      if (answer === true || answer === false) return answer
      unanswered?.set(key, asked)
      return undefined
    },
    text: `ask ${key}`,
  }
}

function texts(globs: readonly Glob[]): string {
  return globs.map((glob) => glob.text).join(', ')
}
