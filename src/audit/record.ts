// One record as one line, in both directions. Writing trusts nothing in a value: whatever stands in it, the line is one
// printable line of JSON under the size limit. Reading trusts nothing in the line.

import { AgentPortError } from '../core/errors.ts'
import { type JsonObject, parseJson } from '../core/json.ts'
import { LIMITS } from '../core/limits.ts'
import { GENESIS, isHash } from './chain.ts'
import { utf8Length } from './commit.ts'
import { AUDIT_EVENTS, type AuditEventKind, type AuditEventType } from './event.ts'
import { AUDIT_FIELDS, type AuditField, type AuditFieldKind, type AuditFieldName } from './field.ts'

/** `v` of every record. */
export const RECORD_VERSION = 1

// `{"v":1,"seq":9007199254740991,"prev":"…","ts":"…",` is 134 bytes.
const HEADER_BYTES = 134
const ROOM = LIMITS.auditRecordBytes - HEADER_BYTES

// How long one text may be, and a quarter of it how many items one list may have, at the first try. Each further try
// halves it. Nothing under LIMITS is cut at the first: pathLength, urlLength and resources are all inside.
const FIRST_TRY = 8192
const LAST_TRY = 64

type SaltName = 'args' | 'result'

/** A record without the part that depends on its place in the log. */
export interface EncodedBody {
  readonly type: AuditEventType
  /** `"type":…}` */
  readonly text: string
  /** Salts left out of the text because they are kept apart. */
  readonly salts: readonly { readonly field: SaltName; readonly salt: string }[]
}

interface PlannedField {
  readonly name: AuditFieldName
  readonly key: string
  readonly kind: AuditFieldKind
  readonly words: readonly string[] | undefined
  /** What stands before the value; for a `fixed` field all that is written. */
  readonly prefix: string
  readonly needed: boolean
  readonly fixed: boolean
}

interface Plan {
  readonly type: AuditEventType
  readonly head: string
  readonly fields: readonly PlannedField[]
}

const PLANS: ReadonlyMap<string, Plan> = new Map(
  (Object.keys(AUDIT_EVENTS) as AuditEventType[]).map((type) => [type, planOf(type)]),
)

function planOf(type: AuditEventType): Plan {
  const event: AuditEventKind = AUDIT_EVENTS[type]
  return {
    type,
    head: `"type":"${type}"`,
    // The order of AUDIT_FIELDS, whatever the order in the event: two writers make the same bytes.
    fields: (Object.keys(AUDIT_FIELDS) as AuditFieldName[])
      .filter((name) => event.needs.includes(name) || event.may.includes(name) || isDecided(event, name))
      .map((name) => {
        const { key, kind, words }: AuditField = AUDIT_FIELDS[name]
        const fixed = isDecided(event, name)
        const prefix = fixed ? `,"${key}":"${event.decision}"` : `,"${key}":`
        return { name, key, kind, words, prefix, needed: event.needs.includes(name), fixed }
      }),
  }
}

function isDecided(event: AuditEventKind, name: AuditFieldName): boolean {
  return name === 'decision' && event.decision !== undefined
}

interface Cutter {
  readonly limit: number
  readonly keepSaltsApart: boolean
  readonly salts: { readonly field: SaltName; readonly salt: string }[]
  /** Keys of the fields that were cut. */
  readonly cut: string[]
}

/**
 * The part of a line that comes from the event. Values that are too long are cut and named in `cut`.
 *
 * @throws AgentPortError ERR_AUDIT_UNAVAILABLE when the event is not one of {@link AUDIT_EVENTS}: unknown type or
 *   field, missing field, value of another type, or a getter that throws.
 */
export function encodeBody(event: object, keepSaltsApart: boolean): EncodedBody {
  try {
    for (let limit = FIRST_TRY; limit >= LAST_TRY; limit /= 2) {
      const cutter: Cutter = { limit, keepSaltsApart, salts: [], cut: [] }
      const plan = planFor(event)
      const text = encodeFields(event, plan, cutter)
      if (fits(text)) return { type: plan.type, text, salts: cutter.salts }
    }
  } catch (cause) {
    if (cause instanceof AgentPortError) throw cause
    throw new AgentPortError('ERR_AUDIT_UNAVAILABLE', 'An audit record could not be encoded.', { cause })
  }
  throw unencodable('the record', 'is too long even when cut')
}

function fits(text: string): boolean {
  return text.length * 3 <= ROOM || (text.length <= ROOM && utf8Length(text) <= ROOM)
}

function planFor(event: object): Plan {
  const type = Object.hasOwn(event, 'type') ? (event as { readonly type: unknown }).type : undefined
  const plan = typeof type === 'string' ? PLANS.get(type) : undefined
  if (plan === undefined) throw unencodable('type', 'is not a type of audit record')
  return plan
}

function encodeFields(event: object, plan: Plan, cutter: Cutter): string {
  const values = event as Readonly<Record<string, unknown>>
  let text = plan.head
  let seen = 1
  for (const field of plan.fields) {
    if (field.fixed) {
      text += field.prefix
      continue
    }
    const value = values[field.name]
    // Own properties only: a polluted prototype must not write itself into every record.
    if (value !== undefined && Object.hasOwn(event, field.name)) {
      text += field.prefix + encodeValue(field, value, cutter)
      seen++
      // This try has failed; going on would let long values cost more than the line can hold.
      if (text.length > ROOM) return text
    } else if (field.needed) {
      throw unencodable(field.name, 'is missing')
    }
  }
  // What would not be written is an error, not a silent loss.
  const keys = Object.keys(event)
  if (keys.length !== seen) refuseUnknown(keys, values, plan)
  if (cutter.cut.length > 0) text += `,"cut":[${[...new Set(cutter.cut)].map((key) => `"${key}"`).join(',')}]`
  return `${text}}`
}

function refuseUnknown(keys: readonly string[], values: Readonly<Record<string, unknown>>, plan: Plan): void {
  const unknown = keys.find(
    (key) =>
      key !== 'type' && values[key] !== undefined && !plan.fields.some((field) => field.name === key && !field.fixed),
  )
  if (unknown !== undefined) throw unencodable(quote(cutText(unknown, 64)), 'is not a field of this type')
}

function encodeValue(field: PlannedField, value: unknown, cutter: Cutter): string {
  switch (field.kind) {
    case 'text':
      if (typeof value !== 'string') throw unencodable(field.name, 'is not text')
      if (field.words !== undefined && !field.words.includes(value))
        throw unencodable(field.name, 'is not a known word')
      return encodeText(value, field.key, cutter.limit, cutter)
    case 'texts':
      return encodeTexts(value, field, cutter)
    case 'count':
      return encodeCount(value, field.name)
    case 'duration':
      if (typeof value !== 'number' || !Number.isFinite(value)) throw unencodable(field.name, 'is not a duration')
      return encodeCount(Math.max(0, Math.round(value)), field.name)
    case 'flag':
      if (typeof value !== 'boolean') throw unencodable(field.name, 'is not a boolean')
      return String(value)
    case 'head':
      return encodeHead(value, field.name)
    case 'commitment':
      return encodeCommitment(value, field, cutter)
  }
}

function encodeCount(value: unknown, name: string): string {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw unencodable(name, 'is not a whole number from 0')
  return String(value)
}

function encodeTexts(value: unknown, field: PlannedField, cutter: Cutter): string {
  if (!Array.isArray(value)) throw unencodable(field.name, 'is not a list of texts')
  const length = value.length
  const kept = Math.min(length, cutter.limit / 4)
  let text = ''
  for (let i = 0; i < kept && text.length <= ROOM; i++) {
    const item: unknown = value[i]
    if (typeof item !== 'string') throw unencodable(field.name, 'is not a list of texts')
    text += `${i === 0 ? '' : ','}${encodeText(item, field.key, cutter.limit, cutter)}`
  }
  if (kept < length) {
    cutter.cut.push(field.key)
    text += `,"…(+${length - kept})"`
  }
  return `[${text}]`
}

function encodeHead(value: unknown, name: string): string {
  const { seq, hash } = asObject(value, name)
  if (!isHash(hash)) throw unencodable(name, 'has no hash')
  return `{"seq":${encodeCount(seq, name)},"hash":"${hash}"}`
}

const SALT = /^[0-9a-f]{32}$/

function encodeCommitment(value: unknown, field: PlannedField, cutter: Cutter): string {
  const { salt, digest, bytes } = asObject(value, field.name)
  if (!isHash(digest)) throw unencodable(field.name, 'has no digest')
  const rest = `"digest":"${digest}","bytes":${encodeCount(bytes, field.name)}}`
  if (salt === undefined) return `{${rest}`
  if (typeof salt !== 'string' || !SALT.test(salt)) throw unencodable(field.name, 'has a malformed salt')
  if (!cutter.keepSaltsApart) return `{"salt":"${salt}",${rest}`
  cutter.salts.push({ field: field.name as SaltName, salt })
  return `{${rest}`
}

function asObject(value: unknown, name: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) throw unencodable(name, 'is not an object')
  return value as Readonly<Record<string, unknown>>
}

function encodeText(text: string, key: string, limit: number, cutter: Cutter): string {
  if (text.length <= limit) return quote(text)
  cutter.cut.push(key)
  return quote(cutText(text, limit))
}

/** The first `limit` code units and how many are missing; never half a surrogate pair. */
function cutText(text: string, limit: number): string {
  if (text.length <= limit) return text
  const last = text.charCodeAt(limit - 1)
  const end = last >= 0xd800 && last < 0xdc00 ? limit - 1 : limit
  return `${text.slice(0, end)}…(+${text.length - end})`
}

const PLAIN = /^[ !#-[\]-~]*$/

// What JSON.stringify leaves raw and a terminal acts upon: DEL and C1 controls (an 8-bit CSI is an escape sequence),
// format characters (bidi overrides, zero width, tags), line and paragraph separators, and letters of right-to-left
// scripts, which reorder the quotes, digits and commas around them without any override (UAX #9, rule N1).
const HAZARD =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/gu
const LONE_SURROGATE = /\p{Cs}/gu

/** `text` as a JSON string that stays on its line and in its order wherever it is printed. */
function quote(text: string): string {
  if (PLAIN.test(text)) return `"${text}"`
  // A lone surrogate has no UTF-8 and strict readers refuse its escape; one replacement character stands for each.
  return JSON.stringify(text.replace(LONE_SURROGATE, '\ufffd')).replace(HAZARD, escapeUnits)
}

function escapeUnits(character: string): string {
  let text = ''
  for (let i = 0; i < character.length; i++) text += `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`
  return text
}

function unencodable(what: string, why: string): AgentPortError {
  return new AgentPortError('ERR_AUDIT_UNAVAILABLE', `An audit record could not be encoded: ${what} ${why}.`)
}

/** The whole line. `time` is {@link timestamp} text. */
export function encodeLine(seq: number, prev: string, time: string, body: string): string {
  return `{"v":${RECORD_VERSION},"seq":${seq},"prev":"${prev}","ts":"${time}",${body}`
}

// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const LAST_INSTANT = 253_402_300_799_999

/** Writes milliseconds since the epoch as RFC 3339 UTC with milliseconds. One instance keeps the last second. */
export class Timestamps {
  #second = Number.NaN
  #prefix = ''

  /** @throws AgentPortError ERR_AUDIT_UNAVAILABLE when `now` is not a time in the years 1970 to 9999. */
  format(now: number): string {
    const ms = Math.floor(now)
    if (!(ms >= 0 && ms <= LAST_INSTANT)) throw unencodable('ts', 'is not a time')
    const second = Math.floor(ms / 1000)
    if (second !== this.#second) {
      this.#prefix = new Date(second * 1000).toISOString().slice(0, 20)
      this.#second = second
    }
    return `${this.#prefix}${String(ms - second * 1000).padStart(3, '0')}Z`
  }
}

/** A line that was read. */
export interface AuditRecord {
  readonly seq: number
  readonly prev: string
  readonly ts: string
  readonly type: string
  /** All of it, with the keys of the line. */
  readonly value: JsonObject
}

export type ReadRecord =
  | { readonly ok: true; readonly record: AuditRecord }
  | { readonly ok: false; readonly detail: string }

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Reads one line, without its newline. Never throws: what is not a record is said to be none. */
export function readRecord(line: string | Uint8Array): ReadRecord {
  const bytes = typeof line === 'string' ? utf8Length(line) : line.length
  if (bytes > LIMITS.auditRecordBytes) return { ok: false, detail: `longer than ${LIMITS.auditRecordBytes} bytes` }
  let value: unknown
  try {
    value = parseJson(line)
  } catch (error) {
    return { ok: false, detail: error instanceof AgentPortError ? error.message : 'not JSON' }
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return { ok: false, detail: 'not an object' }
  const { v, seq, prev, ts, type } = value as Readonly<Record<string, unknown>>
  if (v !== RECORD_VERSION) return { ok: false, detail: `"v" is not ${RECORD_VERSION}` }
  if (!Number.isSafeInteger(seq) || (seq as number) < 0) return { ok: false, detail: '"seq" is not a sequence number' }
  if (!isHash(prev)) return { ok: false, detail: '"prev" is not a hash' }
  if (typeof ts !== 'string' || !TIME.test(ts)) return { ok: false, detail: '"ts" is not a time' }
  if (typeof type !== 'string') return { ok: false, detail: '"type" is missing' }
  if ((seq === 0) !== (prev === GENESIS)) return { ok: false, detail: 'only record 0 has no record before it' }
  return { ok: true, record: { seq: seq as number, prev, ts, type, value: value as JsonObject } }
}
