// The obligations of one verdict, joined into what the gateway does with the arguments and the result, and what it has to
// hear from the executor. They come from a loaded policy and are trusted; arguments, results and confirmations are not.
// Redactions are united, caps take the smallest, so that the order of the list never matters.

import { type Denial, deny } from '../core/denial.ts'
import type { JsonObject, JsonValue } from '../core/json.ts'
import { compileRegExp, type LinearRegExp } from '../core/linear-regexp.ts'
import type { CapObligation, Obligation, ObligedSide, RedactObligation } from '../core/obligation.ts'
import { copyPlain } from '../core/plain.ts'
import { parsePointer } from '../core/pointer.ts'
import { isName } from '../core/text.ts'
import { type Cap, type Capped, checkCap, cutToCap } from './cap.ts'
import { type Redaction, redact, TooMuchWork } from './redact.ts'

export type ObligedArguments =
  /** `args` is deep frozen; the call runs with it and nothing else. */
  | { readonly ok: true; readonly args: JsonObject; readonly changed: boolean }
  | { readonly ok: false; readonly denial: Denial }

export type ObligedResult =
  /** What the executor may hand on. Without an obligation on results it is the tool's own value, unread. */
  | { readonly ok: true; readonly value: unknown; readonly changed: boolean }
  | { readonly ok: false; readonly denial: Denial }

export interface CompiledObligations {
  /** Never throws. The denial is `obligation_unmet`, with `dispatched` false. */
  onArguments(args: JsonObject): ObligedArguments
  /**
   * Never throws. The denial is `obligation_unmet`, with `dispatched` true: a result that is not plain data, is over
   * LIMITS.argument*, or takes too much work to search cannot be told to be free of what was to be taken out.
   */
  onResult(value: unknown): ObligedResult
  /** What the executor has to confirm when it settles: `pin_addresses`, `confirm:<action>`. Sorted, each once. */
  readonly confirmations: readonly string[]
  /** `obligation_unmet`, with `dispatched` true, for the confirmations that are missing. Anything else in it is ignored. */
  unmet(confirmed: readonly string[]): Denial | undefined
  /** The tool that the call is to run as. */
  readonly rewriteTo: string | undefined
  /** Why no call can meet them: two different tools to run as. {@link onArguments} answers with it too. */
  readonly conflict: Denial | undefined
}

const compiled = new WeakMap<readonly Obligation[], CompiledObligations>()

/**
 * What `list` asks for. Kept for each list: a list and its obligations are read once, and changing them later changes
 * nothing.
 *
 * @throws TypeError for what loading a policy refuses: an unknown kind, a pointer or pattern that is none, a bound that is
 *   not a whole number from 0, an obligation that asks for nothing, or to redact the arguments as a whole.
 */
export function compileObligations(list: readonly Obligation[]): CompiledObligations {
  const known = compiled.get(list)
  if (known !== undefined) return known
  const made = compile(list)
  compiled.set(list, made)
  return made
}

/** What is done with one side of a call; `undefined` where nothing is. */
interface Side {
  readonly redaction: Redaction | undefined
  readonly cap: Cap | undefined
}

function compile(list: readonly Obligation[]): CompiledObligations {
  const redactions: RedactObligation[] = []
  const caps: CapObligation[] = []
  const confirmations = new Set<string>()
  const targets = new Set<string>()
  for (const obligation of list) {
    switch (obligation.kind) {
      case 'redact':
        redactions.push(obligation)
        break
      case 'cap':
        caps.push(obligation)
        break
      case 'pin_addresses':
        confirmations.add('pin_addresses')
        break
      case 'confirm':
        confirmations.add(`confirm:${nameOf(obligation.action, obligation)}`)
        break
      case 'rewrite':
        targets.add(nameOf(obligation.tool, obligation))
        break
      default:
        throw new TypeError('an obligation of unknown kind')
    }
  }
  const before = sideOf('arguments', redactions, caps)
  const after = sideOf('result', redactions, caps)
  if (before?.redaction?.fields.some((field) => field.length === 0)) {
    throw new TypeError('arguments cannot be redacted as a whole: a call needs an object')
  }
  const wanted = Object.freeze([...confirmations].sort())
  const [target, other] = [...targets].sort()
  const conflict =
    other === undefined
      ? undefined
      : deny('obligation_unmet', `the call is to run as ${target} and as ${other}: ambiguous`)
  return Object.freeze({
    confirmations: wanted,
    rewriteTo: other === undefined ? target : undefined,
    conflict,
    onArguments: (args: JsonObject): ObligedArguments =>
      conflict === undefined ? obligeArguments(args, before) : { ok: false, denial: conflict },
    onResult: (value: unknown): ObligedResult => obligeResult(value, after),
    unmet: (confirmed: readonly string[]): Denial | undefined => unmetOf(wanted, confirmed),
  })
}

function nameOf(name: unknown, { id }: Obligation): string {
  if (!isName(name)) throw new TypeError(`obligation ${id}: not a name`)
  return name
}

function sideOf(
  side: ObligedSide,
  redactions: readonly RedactObligation[],
  caps: readonly CapObligation[],
): Side | undefined {
  const taken = redactions.map(partsOf).filter((_, index) => redactions[index]?.on.includes(side))
  const bounds = caps.map(boundsOf).filter((_, index) => caps[index]?.on.includes(side))
  if (taken.length === 0 && bounds.length === 0) return undefined
  return {
    redaction:
      taken.length === 0
        ? undefined
        : {
            fields: taken.flatMap(({ fields }) => fields),
            patterns: [...new Map(taken.flatMap(({ patterns }) => patterns.map((one) => [one.source, one]))).values()],
            secrets: taken.some(({ secrets }) => secrets),
          },
    cap: bounds.length === 0 ? undefined : bounds.reduce(smaller),
  }
}

// A verdict has a list of its own; the obligations in it are those of the policy. Compiling a pattern takes longer than
// most calls.
const parts = new WeakMap<RedactObligation, Redaction>()

function partsOf(obligation: RedactObligation): Redaction {
  const known = parts.get(obligation)
  if (known !== undefined) return known
  const { id, fields, patterns, secrets } = obligation
  checkSides(obligation)
  if (fields.length === 0 && patterns.length === 0 && secrets !== true) {
    throw new TypeError(`obligation ${id}: nothing to redact`)
  }
  const made: Redaction = {
    fields: fields.map((field) => {
      const tokens = typeof field === 'string' ? parsePointer(field) : undefined
      if (tokens === undefined) throw new TypeError(`obligation ${id}: not a JSON Pointer`)
      return tokens
    }),
    patterns: patterns.map((pattern): LinearRegExp => {
      const regexp = compileRegExp(pattern)
      if (!regexp.ok) throw new TypeError(`obligation ${id}: ${regexp.reason}`)
      return regexp.regexp
    }),
    secrets: secrets === true,
  }
  parts.set(obligation, made)
  return made
}

const BOUNDS = ['maxBytes', 'maxText', 'maxItems'] as const

function boundsOf(obligation: CapObligation): Cap {
  checkSides(obligation)
  const given = BOUNDS.filter((bound) => obligation[bound] !== undefined)
  if (given.length === 0) throw new TypeError(`obligation ${obligation.id}: no bound`)
  for (const bound of given) {
    const value = obligation[bound]
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
      throw new TypeError(`obligation ${obligation.id}: ${bound} is not a whole number from 0`)
    }
  }
  return Object.fromEntries(given.map((bound) => [bound, obligation[bound]]))
}

function smaller(a: Cap, b: Cap): Cap {
  const bounds = BOUNDS.flatMap((bound) => {
    const least = Math.min(a[bound] ?? Number.POSITIVE_INFINITY, b[bound] ?? Number.POSITIVE_INFINITY)
    return Number.isFinite(least) ? [[bound, least]] : []
  })
  return Object.fromEntries(bounds)
}

function checkSides({ id, on }: RedactObligation | CapObligation): void {
  if (on.length === 0 || on.some((side) => side !== 'arguments' && side !== 'result')) {
    throw new TypeError(`obligation ${id}: a side that is neither arguments nor result`)
  }
}

function obligeArguments(args: JsonObject, side: Side | undefined): ObligedArguments {
  if (side === undefined) return { ok: true, args, changed: false }
  const done = apply(args, side, checkCap, false)
  return done.ok ? { ok: true, args: done.value as JsonObject, changed: done.changed } : done
}

function obligeResult(value: unknown, side: Side | undefined): ObligedResult {
  // A tool that returns nothing has nothing to be taken out or cut.
  if (side === undefined || value === undefined) return { ok: true, value, changed: false }
  return apply(value, side, cutToCap, true)
}

type Applied =
  | { readonly ok: true; readonly value: JsonValue; readonly changed: boolean }
  | { readonly ok: false; readonly denial: Denial }

/** Redacts, then caps: a bound must not cut a secret in two and let the half that is left go by unrecognised. */
function apply(
  value: unknown,
  { redaction, cap }: Side,
  capping: (value: JsonValue, cap: Cap) => Capped,
  dispatched: boolean,
): Applied {
  const what = dispatched ? 'the result' : 'the arguments'
  const unmet = (detail: string, argument?: string): Applied => {
    const subject = dispatched || argument === undefined || argument === '' ? {} : { argument }
    return { ok: false, denial: deny('obligation_unmet', `${what}: ${detail}`, { dispatched, subject }) }
  }
  try {
    const copy = copyPlain(value)
    if (!copy.ok) return unmet(copy.detail)
    const kept = redaction === undefined ? copy.value : redact(copy.value, redaction)
    const capped: Capped = cap === undefined ? { ok: true, value: kept } : capping(kept, cap)
    if (!capped.ok) return unmet(capped.detail, capped.pointer)
    return { ok: true, value: capped.value, changed: capped.value !== copy.value }
  } catch (error) {
    return unmet(error instanceof TooMuchWork ? 'searching it takes too much work' : 'it could not be searched')
  }
}

function unmetOf(wanted: readonly string[], confirmed: unknown): Denial | undefined {
  if (wanted.length === 0) return undefined
  const heard = confirmedNames(confirmed)
  const missing = wanted.filter((name) => !heard.has(name))
  if (missing.length === 0) return undefined
  return deny('obligation_unmet', `not confirmed: ${missing.join(', ')}`, { dispatched: true })
}

/** From the executor, and possibly from another process: what is not a list that can be read confirms nothing. */
function confirmedNames(confirmed: unknown): ReadonlySet<unknown> {
  try {
    return new Set<unknown>(Array.isArray(confirmed) ? confirmed : [])
  } catch {
    return new Set()
  }
}
