// Conditions the slow way, in three answers: on arguments and facts, on time, by JSON Schema. Part of the second reading of
// the policy language; regular expressions are those of the platform, and the clock on the wall is read anew every time.

import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import type { RawCondition, RawDuring, RawItemCondition } from '../../src/policy/schema.ts'
import { textMatches } from './reference-patterns.ts'

/** Yes, no, or cannot be told. */
export type Answer = 'yes' | 'no' | 'untold'

/** No beats untold beats yes: one condition that fails settles a conjunction, whatever the others are. */
export function all(answers: readonly Answer[]): Answer {
  if (answers.includes('no')) return 'no'
  return answers.includes('untold') ? 'untold' : 'yes'
}

/** Yes beats untold beats no. */
function any(answers: readonly Answer[]): Answer {
  if (answers.includes('yes')) return 'yes'
  return answers.includes('untold') ? 'untold' : 'no'
}

export function yesIf(value: boolean): Answer {
  return value ? 'yes' : 'no'
}

/** Whether conditions by pointer hold for what lies at the pointers; without anything to look into nothing can be told. */
export function conditionsHold(
  conditions: Readonly<Record<string, RawCondition>> | undefined,
  root: JsonObject | undefined,
): Answer {
  return all(
    Object.entries(conditions ?? {}).map(([pointer, { optional, ...tests }]) => {
      if (root === undefined) return 'untold'
      const found = valueAt(root, pointer)
      if (found === undefined) return optional === true ? 'no' : 'untold'
      return testsHold(tests, found)
    }),
  )
}

type Tests = RawItemCondition & Pick<RawCondition, 'every' | 'some'>

function testsHold(tests: Tests, found: JsonValue): Answer {
  const { equals, one_of, min, max, min_length, max_length, glob, pattern, contains, schema, every, some } = tests
  const answers: Answer[] = []
  if (equals !== undefined) answers.push(kind(found) === kind(equals) ? yesIf(found === equals) : 'untold')
  if (one_of !== undefined) {
    answers.push(
      one_of.some((one) => kind(one) === kind(found)) ? yesIf(one_of.some((one) => one === found)) : 'untold',
    )
  }
  const measure = (low: number | undefined, high: number | undefined, value: number | undefined): void => {
    if (low === undefined && high === undefined) return
    if (value === undefined) answers.push('untold')
    else answers.push(yesIf(value >= (low ?? Number.NEGATIVE_INFINITY) && value <= (high ?? Number.POSITIVE_INFINITY)))
  }
  measure(min, max, typeof found === 'number' ? found : undefined)
  measure(min_length, max_length, typeof found === 'string' || Array.isArray(found) ? found.length : undefined)
  const ofText = (test: (text: string) => boolean): void => {
    answers.push(typeof found === 'string' ? yesIf(test(found)) : 'untold')
  }
  const ofList = (test: (list: readonly JsonValue[]) => Answer): void => {
    answers.push(Array.isArray(found) ? test(found) : 'untold')
  }
  const fold = (text: string): string => (tests.ignore_case === true ? text.toLowerCase() : text)
  if (glob !== undefined) ofText((text) => textMatches(fold(glob), fold(text)))
  if (pattern !== undefined) ofText((text) => new RegExp(`^(?:${pattern})$`, 'u').test(text))
  if (contains !== undefined) ofList((list) => any(list.map((item) => testsHold({ equals: contains }, item))))
  if (every !== undefined) ofList((list) => all(list.map((item) => testsHold(every, item))))
  if (some !== undefined) ofList((list) => any(list.map((item) => testsHold(some, item))))
  if (schema !== undefined)
    answers.push(hasType(schema as Schema, found) ? yesIf(fits(schema as Schema, found)) : 'untold')
  return all(answers)
}

/** What a JSON Pointer leads to. */
export function valueAt(root: JsonObject, pointer: string): JsonValue | undefined {
  let value: JsonValue | undefined = root
  for (const token of pointer.split('/').slice(1)) {
    if (value === null || typeof value !== 'object') return undefined
    const name = token.replaceAll('~1', '/').replaceAll('~0', '~')
    value = Object.entries(value).find(([key]) => key === name)?.[1] as JsonValue | undefined
  }
  return value
}

function kind(value: JsonValue): string {
  if (Array.isArray(value)) return 'array'
  return value === null ? 'null' : typeof value
}

// JSON Schema, as much of it as the random conditions use

interface Schema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: false
  readonly items?: Schema
  readonly maxItems?: number
  readonly maxProperties?: number
  readonly minimum?: number
  readonly maxLength?: number
}

function hasType({ type }: Schema, value: JsonValue): boolean {
  if (type === undefined) return true
  const types = typeof type === 'string' ? [type] : type
  return types.includes(kind(value)) || (types.includes('integer') && Number.isInteger(value))
}

function fits(schema: Schema, value: JsonValue): boolean {
  if (!hasType(schema, value)) return false
  const { properties = {}, required = [], items } = schema
  if (typeof value === 'number') return value >= (schema.minimum ?? value)
  if (typeof value === 'string') return [...value].length <= (schema.maxLength ?? value.length)
  if (Array.isArray(value)) {
    return (
      value.length <= (schema.maxItems ?? value.length) &&
      value.every((item) => items === undefined || fits(items, item as JsonValue))
    )
  }
  if (value === null || typeof value !== 'object') return true
  const members = Object.entries(value)
  return (
    members.length <= (schema.maxProperties ?? members.length) &&
    required.every((name) => members.some(([key]) => key === name)) &&
    members.every(([key, member]) => {
      const of = Object.entries(properties).find(([name]) => name === key)?.[1]
      return of === undefined ? schema.additionalProperties !== false : fits(of, member as JsonValue)
    })
  )
}

// Time

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']

/** Whether the window is open; a night belongs to the day on which it begins. */
export function isOpen(during: RawDuring, now: number): boolean {
  const { days, from, to, zone = 'UTC', not_before, not_after } = during
  if (not_before !== undefined && now < Date.parse(not_before)) return false
  if (not_after !== undefined && now >= Date.parse(not_after)) return false
  const { day, clock } = wallClock(zone, now)
  const isListed = (one: number): boolean => days === undefined || days.some((name) => name === DAYS[one % 7])
  if (from === undefined || to === undefined) return isListed(day)
  if (from <= to) return isListed(day) && from <= clock && clock < to
  return (isListed(day) && from <= clock) || (isListed(day + 6) && clock < to)
}

/** Monday is 0; the time of day as `HH:MM`, so that text compares like time. */
function wallClock(zone: string, now: number): { readonly day: number; readonly clock: string } {
  const parts = formatOf(zone).formatToParts(new Date(now))
  const part = (type: string): string => parts.find((one) => one.type === type)?.value ?? ''
  const day = DAYS.indexOf(part('weekday').slice(0, 3).toLowerCase())
  return { day, clock: `${part('hour').padStart(2, '0')}:${part('minute').padStart(2, '0')}` }
}

const formats = new Map<string, Intl.DateTimeFormat>()

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone,
    weekday: 'long',
    hour: 'numeric',
    minute: 'numeric',
    hourCycle: 'h23',
  })
  formats.set(zone, made)
  return made
}
