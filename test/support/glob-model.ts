// Globs as trees, the text they are written as, and the obvious slow way to match them. The oracle of the glob tests.

import fc from 'fast-check'

export type ModelToken =
  | { readonly kind: 'char'; readonly text: string }
  | { readonly kind: 'any' }
  | { readonly kind: 'star' }
  | { readonly kind: 'class'; readonly negated: boolean; readonly from: string; readonly to: string }

export type ModelSegment = readonly ModelToken[] | 'rest'

const SPECIAL = /[*?[\]{}()|"\\+!@^$.-]/

export function renderSegment(segment: ModelSegment): string {
  return segment === 'rest' ? '**' : segment.map(renderToken).join('')
}

function renderToken(token: ModelToken): string {
  switch (token.kind) {
    case 'char':
      return SPECIAL.test(token.text) ? `\\${token.text}` : token.text
    case 'any':
      return '?'
    case 'star':
      return '*'
    case 'class':
      return `[${token.negated ? '!' : ''}${token.from === token.to ? token.from : `${token.from}-${token.to}`}]`
  }
}

function matchesOne(token: ModelToken, character: string): boolean {
  if (token.kind === 'char') return token.text === character
  if (token.kind === 'any') return true
  return token.kind === 'class' && (character >= token.from && character <= token.to) !== token.negated
}

/** By definition: a star takes nothing, or one character and then again a star. */
export function modelMatches(tokens: readonly ModelToken[], characters: readonly string[]): boolean {
  const [token, ...others] = tokens
  const [character, ...tail] = characters
  if (token === undefined) return character === undefined
  if (token.kind === 'star')
    return modelMatches(others, characters) || (character !== undefined && modelMatches(tokens, tail))
  return character !== undefined && matchesOne(token, character) && modelMatches(others, tail)
}

/** By definition, for paths: `**` takes nothing, or one segment and then again `**`. */
export function modelMatchesPath(segments: readonly ModelSegment[], parts: readonly string[]): boolean {
  const [segment, ...others] = segments
  const [part, ...tail] = parts
  if (segment === undefined) return part === undefined
  if (segment === 'rest') {
    return modelMatchesPath(others, parts) || (part !== undefined && !isDots(part) && modelMatchesPath(segments, tail))
  }
  if (part === undefined || isDots(part)) return false
  const literal = segment.every((token) => token.kind === 'char')
  return (literal || part !== '') && modelMatches(segment, Array.from(part)) && modelMatchesPath(others, tail)
}

const isDots = (part: string): boolean => part === '.' || part === '..'

/** Random tokens over `characters`, never two stars in a row. */
export function modelTokens(characters: readonly string[], maxLength: number): fc.Arbitrary<readonly ModelToken[]> {
  const letter = fc.constantFrom(...characters)
  const token: fc.Arbitrary<ModelToken> = fc.oneof(
    { weight: 5, arbitrary: letter.map((text): ModelToken => ({ kind: 'char', text })) },
    { weight: 3, arbitrary: fc.constant<ModelToken>({ kind: 'star' }) },
    { weight: 1, arbitrary: fc.constant<ModelToken>({ kind: 'any' }) },
    {
      weight: 1,
      arbitrary: fc.tuple(fc.boolean(), fc.constantFrom('a', 'b', 'c'), fc.constantFrom('a', 'b', 'c')).map(
        ([negated, one, other]): ModelToken => ({
          kind: 'class',
          negated,
          from: [one, other].sort()[0] ?? one,
          to: [one, other].sort()[1] ?? one,
        }),
      ),
    },
  )
  return fc
    .array(token, { minLength: 1, maxLength })
    .map((tokens) => tokens.filter((entry, index) => entry.kind !== 'star' || tokens[index - 1]?.kind !== 'star'))
}

/** Random path segments: mostly tokens, sometimes `**`; never `.` or `..`, which no pattern may say. */
export function modelSegments(characters: readonly string[], maxLength: number): fc.Arbitrary<readonly ModelSegment[]> {
  const segment: fc.Arbitrary<ModelSegment> = fc.oneof(
    { weight: 3, arbitrary: modelTokens(characters, 4) },
    { weight: 1, arbitrary: fc.constant<ModelSegment>('rest') },
  )
  return fc
    .array(segment, { minLength: 1, maxLength })
    .map((segments) => segments.filter((entry, index) => entry !== 'rest' || segments[index - 1] !== 'rest'))
    .filter((segments) => segments.every((entry) => !isDots(renderSegment(entry).replaceAll('\\', ''))))
}

/** A text that the tokens match, with `filler` for whatever a wildcard leaves open. */
export function modelExample(tokens: readonly ModelToken[], filler: readonly string[]): string {
  return tokens
    .map((token, index) => {
      if (token.kind === 'char') return token.text
      if (token.kind === 'star') return filler.slice(0, index % 3).join('')
      const fit = [filler[index % filler.length] ?? 'a', ...filler].find((character) => matchesOne(token, character))
      return fit ?? (token.kind === 'class' ? token.from : 'a')
    })
    .join('')
}
