// Where the secrets of a text stand. Every scan goes once over the text: no expression is tried again from the next
// character, so that a text made for it cannot make the gateway slow. What it does not see stands in docs/obligations.md.

import { type Alphabet, alphabet, DIGITS, type Run, SECRET_FORMS, type SecretForm } from './secret-forms.ts'
import { looksGenerated, type SecretName, secretName } from './secret-names.ts'
import type { Span } from './spans.ts'

/** Stretches of `text` that hold a recognised secret, in no order; they may overlap. */
export function secretSpans(text: string): readonly Span[] {
  const spans: Span[] = []
  for (const form of SECRET_FORMS) for (const hint of form.hints) scanForm(text, form, hint, spans)
  scanPrivateKeys(text, spans)
  scanUrls(text, spans)
  scanAssignments(text, spans)
  scanBearers(text, spans)
  return spans
}

const WORD = alphabet('A-Za-z0-9')

function has(chars: Alphabet, text: string, at: number): boolean {
  // Beyond the table, and before or behind the text (NaN), there is nothing: undefined is not 1.
  return chars[text.charCodeAt(at)] === 1
}

function runEnd(chars: Alphabet, text: string, at: number): number {
  let end = at
  while (has(chars, text, end)) end++
  return end
}

function scanForm(text: string, form: SecretForm, hint: string, spans: Span[]): void {
  let at = text.indexOf(hint)
  while (at !== -1) {
    const behind = at + hint.length
    let next = at + 1
    const start = leadStart(form, text, at)
    if (start !== -1 && !(form.apart === true && has(WORD, text, start - 1))) {
      const [first] = form.parts
      const end = partsEnd(form, text, behind)
      if (end !== -1) {
        spans.push({ start, end })
        next = end
      } else if (typeof first === 'object') {
        // Whatever the run is followed by, it is the same for every later hint inside it: nothing is looked at twice.
        const stop = runEnd(first.chars, text, behind)
        if (stop - behind >= first.min) next = stop
      }
    }
    at = text.indexOf(hint, next)
  }
}

function leadStart({ lead }: SecretForm, text: string, at: number): number {
  if (lead === undefined) return at
  let start = at
  while (at - start < lead.max && has(lead.chars, text, start - 1)) start--
  return at - start < lead.min ? -1 : start
}

function partsEnd(form: SecretForm, text: string, from: number): number {
  let at = from
  let first = true
  for (const part of form.parts) {
    if (typeof part === 'string') {
      if (!text.startsWith(part, at)) return -1
      at += part.length
      continue
    }
    const end = partEnd(part, text, at)
    if (end === -1) return -1
    if (first && form.mixed === true && !hasDigit(text, at, end)) return -1
    first = false
    at = end
  }
  return at
}

function partEnd({ chars, min }: Run, text: string, at: number): number {
  // Most hints are words of their own: that the run is too short shows within `min` characters.
  for (let index = at; index < at + min; index++) if (!has(chars, text, index)) return -1
  return runEnd(chars, text, at + min)
}

function hasDigit(text: string, start: number, end: number): boolean {
  for (let index = start; index < end; index++) if (has(DIGITS, text, index)) return true
  return false
}

/** RFC 7468 §10 and §11, OpenSSH and OpenPGP (RFC 9580 §6.2); the second is how SSH2 keys are armoured. */
const ARMOURS = [
  { begin: '-----BEGIN ', end: '-----END ', dashes: '-----' },
  { begin: '---- BEGIN ', end: '---- END ', dashes: '----' },
] as const
const LABEL_LENGTH = 64

function scanPrivateKeys(text: string, spans: Span[]): void {
  for (const armour of ARMOURS) {
    let at = text.indexOf(armour.begin)
    while (at !== -1) {
      const behind = at + armour.begin.length
      let next = behind
      const label = text.slice(behind, behind + LABEL_LENGTH).split(armour.dashes, 1)[0] ?? ''
      if (label.includes('PRIVATE KEY')) {
        // Without an end the key was cut off, or the end was left out on purpose: the rest of the text is the key.
        const end = text.indexOf(armour.end, behind)
        const stop = end === -1 ? -1 : text.indexOf(armour.dashes, end + armour.end.length)
        next = stop === -1 ? text.length : stop + armour.dashes.length
        spans.push({ start: at, end: next })
      }
      at = text.indexOf(armour.begin, next)
    }
  }
  scanPutty(text, spans)
}

/** tartarus.org/~simon/putty-snapshots/htmldoc/AppendixC.html: the key stands between these two lines. */
function scanPutty(text: string, spans: Span[]): void {
  const start = text.indexOf('Private-Lines:')
  if (start === -1 || !text.includes('PuTTY-User-Key-File-')) return
  const check = text.lastIndexOf('Private-MAC:')
  spans.push({ start, end: check > start ? check : text.length })
}

const AUTHORITY_END = /[/?#\s"'<>\\`|]/g

/** `scheme://user:password@host` (RFC 3986 §3.2.1): the password alone. */
function scanUrls(text: string, spans: Span[]): void {
  for (let at = text.indexOf('://'); at !== -1; at = text.indexOf('://', at)) {
    at += 3
    AUTHORITY_END.lastIndex = at
    const end = AUTHORITY_END.exec(text)?.index ?? text.length
    const authority = text.slice(at, end)
    const host = authority.lastIndexOf('@')
    const colon = authority.indexOf(':')
    if (colon !== -1 && colon < host - 1) spans.push({ start: at + colon + 1, end: at + host })
    at = end
  }
}

const NAME = alphabet('A-Za-z0-9_.-')
const NAME_LENGTH = 64
const BLANKS = alphabet(' \t')
const QUOTES = alphabet(`"'\`\\`)
const VALUE_ENDS = alphabet(' \t\r\n"\'`\\,;&<>')
const LINE_ENDS = alphabet('\r\n"\'`\\')
/** Shorter values of `name: value` are words of a sentence more often than passwords. */
const SPOKEN_MIN = 6
const WRITTEN_MIN = 3
/** So much of a value is looked at before it is taken: many names in one word must not each read it to its end. */
const JUDGED_LENGTH = 64

/** `name=value`, `name: value`, `"name": "value"`, also as JSON inside a text: the value alone. */
function scanAssignments(text: string, spans: Span[]): void {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code !== EQUALS && code !== COLON) continue
    const name = nameBefore(text, at)
    const kind = name === '' ? undefined : secretName(name)
    if (kind === undefined) continue
    const { start, quoted } = valueStart(text, at)
    const header = name.toLowerCase().endsWith('authorization')
    const ends = header || quoted ? LINE_ENDS : VALUE_ENDS
    const value = text.slice(start, valueEnd(text, ends, start, start + JUDGED_LENGTH))
    if (!isSecretValue(value, kind, quoted, header, code === COLON)) continue
    const end = valueEnd(text, ends, start, text.length)
    spans.push({ start, end })
    at = end - 1
  }
}

const EQUALS = 0x3d
const COLON = 0x3a
const AUTHORIZATION = /^(?:bearer|basic|token|digest|negotiate|apikey|aws4-hmac-sha256)\s/i

function isSecretValue(value: string, kind: SecretName, quoted: boolean, header: boolean, spoken: boolean): boolean {
  if (kind === 'token') return looksGenerated(value)
  if (quoted) return value.length > 0
  const digit = hasDigit(value, 0, value.length)
  if (header) return AUTHORIZATION.test(value) || (digit && !/\s/.test(value) && value.length >= SPOKEN_MIN)
  // `password: required` is a sentence; `password: hunter2` is not.
  return spoken ? digit && value.length >= SPOKEN_MIN : value.length >= WRITTEN_MIN
}

function nameBefore(text: string, separator: number): string {
  let end = separator
  // `"name" :`, `\"name\":` and `name :=`.
  while (end > separator - 4 && (has(BLANKS, text, end - 1) || has(QUOTES, text, end - 1))) end--
  let start = end
  while (end - start < NAME_LENGTH && has(NAME, text, start - 1)) start--
  // The last part of a path is a file, /etc/passwd for one.
  return text[start - 1] === '/' ? '' : text.slice(start, end)
}

function valueStart(text: string, separator: number): { readonly start: number; readonly quoted: boolean } {
  let start = separator + 1
  // `==`, `=>`, `:=` and `: ` all lead to the value.
  while (start < separator + 4 && '=>: \t'.includes(text[start] ?? '-')) start++
  const unquoted = start
  while (start < unquoted + 4 && has(QUOTES, text, start)) start++
  return { start, quoted: start > unquoted }
}

/** Where the value that begins at `start` ends, but not beyond `limit`. */
function valueEnd(text: string, ends: Alphabet, start: number, limit: number): number {
  let end = start
  while (end < text.length && end < limit && !has(ends, text, end)) end++
  while (end > start && has(BLANKS, text, end - 1)) end--
  return end
}

const SCHEME = /\b(?:bearer|basic) +/gi
const CREDENTIALS = alphabet('A-Za-z0-9._~+/=-')
const CREDENTIALS_MIN = 12

/** `Bearer …` and `Basic …` (RFC 6750 §2.1, RFC 7617 §2), wherever they stand. */
function scanBearers(text: string, spans: Span[]): void {
  SCHEME.lastIndex = 0
  for (let found = SCHEME.exec(text); found !== null; found = SCHEME.exec(text)) {
    const start = SCHEME.lastIndex
    const end = runEnd(CREDENTIALS, text, start)
    if (end - start >= CREDENTIALS_MIN && (hasDigit(text, start, end) || text.charCodeAt(end - 1) === 0x3d)) {
      spans.push({ start, end })
    }
    SCHEME.lastIndex = Math.max(start, end)
  }
}
