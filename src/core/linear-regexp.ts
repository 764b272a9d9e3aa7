// Regular expressions of ECMA-262 (`u` flag) that take time in proportion to the text, whatever the pattern; and the only
// file that knows re2js. Patterns come from publishers and operators, texts from a model: neither may make the other slow.

import { RE2JS } from 're2js'

import { translatePattern } from './ecma-pattern.ts'
import { LIMITS } from './limits.ts'

/** A pattern that is ready to be asked. Not anchored: write `^` and `$` where the whole text is meant. */
export interface LinearRegExp {
  readonly source: string
  /** Instructions of the program. A test takes at most about `size` × (length of the text + 1) steps. */
  readonly size: number
  test(text: string): boolean
  /** Every match replaced by `replacement`, taken as it stands. */
  replaceAll(text: string, replacement: string): string
}

export type CompiledRegExp =
  | { readonly ok: true; readonly regexp: LinearRegExp }
  | { readonly ok: false; readonly reason: string; readonly hint?: string }

const TOO_LONG = {
  ok: false,
  reason: 'a pattern that repeats too much',
  hint: 'use smaller counts, or maxLength beside a shorter pattern',
} as const

/** Never throws: a pattern that is not one, or cannot be had in linear time, comes back with the reason. */
export function compileRegExp(source: string): CompiledRegExp {
  if (source.length > LIMITS.patternLength) {
    return { ok: false, reason: `a pattern longer than ${LIMITS.patternLength} characters` }
  }
  const translated = translatePattern(source)
  if (!translated.ok) return translated
  if (translated.size > LIMITS.patternProgram) return TOO_LONG
  try {
    const compiled = RE2JS.compile(translated.text)
    const size = compiled.programSize()
    if (size > LIMITS.patternProgram) return TOO_LONG
    const literal = (text: string): string => RE2JS.quoteReplacement(text)
    return {
      ok: true,
      regexp: {
        source,
        size,
        test: (text) => compiled.test(text),
        replaceAll: (text, replacement) => compiled.matcher(text).replaceAll(literal(replacement)),
      },
    }
  } catch {
    return { ok: false, reason: 'a pattern that RE2 does not take', hint: 'a property or script may be unknown to it' }
  }
}
