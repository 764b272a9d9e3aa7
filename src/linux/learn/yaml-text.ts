// A plain value → YAML that has exactly one reading. Whatever is not obviously a plain word is quoted the way JSON quotes,
// which YAML reads the same (YAML 1.2 §7.3.1).

import type { JsonValue } from '../../core/json.ts'

/** Words and paths. Not what some reader takes for a number, a date, a boolean or nothing. */
const PLAIN = /^(?:\/[A-Za-z0-9_./-]*|[A-Za-z_][A-Za-z0-9_./-]*)$/
const WORD = /^(?:y|n|yes|no|on|off|true|false|null|nan|inf)$/i
// What document.ts refuses to read raw.
const ESCAPED = /[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g

/** Block style; ends with a line end. `value` is a value of JSON. */
export function yamlText(value: JsonValue): string {
  return isCollection(value) ? block(value, 0) : `${flow(value)}\n`
}

function block(value: readonly JsonValue[] | Readonly<Record<string, JsonValue>>, depth: number): string {
  const indent = '  '.repeat(depth)
  if (isList(value)) {
    return value
      .map((item) => `${indent}- ${isCollection(item) ? block(item, depth + 1).trimStart() : `${flow(item)}\n`}`)
      .join('')
  }
  return Object.entries(value)
    .map(([key, member]) => {
      const name = `${indent}${scalar(key)}:`
      return isCollection(member) ? `${name}\n${block(member, depth + 1)}` : `${name} ${flow(member)}\n`
    })
    .join('')
}

/** Collections with something in them get lines of their own. */
function isCollection(value: JsonValue): value is readonly JsonValue[] | Readonly<Record<string, JsonValue>> {
  return (
    typeof value === 'object' && value !== null && (isList(value) ? value.length > 0 : Object.keys(value).length > 0)
  )
}

function isList(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value)
}

function flow(value: JsonValue): string {
  if (typeof value === 'string') return scalar(value)
  if (typeof value === 'object' && value !== null) return isList(value) ? '[]' : '{}'
  return JSON.stringify(value)
}

function scalar(text: string): string {
  if (PLAIN.test(text) && !WORD.test(text)) return text
  return JSON.stringify(text).replace(ESCAPED, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
