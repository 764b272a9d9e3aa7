// Comparison without case: Unicode simple case folding (CaseFolding.txt, status C and S), from the case mappings that the
// engine already carries. One code point stays one code point, so that `?` and classes keep their meaning.

const CASED = /\p{Changes_When_Casemapped}/gu
const NON_ASCII = /\P{ASCII}/u
const DOTLESS_I = '\u0131' // its capital is plain I, yet it does not fold to i

/** `text` such that two texts differing only in case become equal. Independent of locale and of position in a word. */
export function simpleFold(text: string): string {
  return NON_ASCII.test(text) ? text.replace(CASED, foldCharacter) : text.toLowerCase()
}

function foldCharacter(character: string): string {
  if (character === DOTLESS_I) return character
  const upper = single(character.toUpperCase()) ?? character
  return single(upper.toLowerCase()) ?? upper
}

// Mappings to several code points (ß to SS, İ to i and a dot) belong to full case folding.
function single(mapped: string): string | undefined {
  const width = (mapped.codePointAt(0) ?? 0) > 0xffff ? 2 : 1
  return mapped.length === width ? mapped : undefined
}
