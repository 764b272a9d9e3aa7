// Percent-encoding read to the bottom, as the most eager decoder on the way to a server or a file might. Nothing is ever
// sent in this form: it only shows what the raw text could become.

// %25 layers a decoder chain would have to have. Deeper nesting has no honest use.
const ROUNDS = 4

// Overlong UTF-8 of ASCII (RFC 3629 §3 forbids it; IIS MS00-078 decoded %c0%af to a slash), and the %uXXXX of ECMA-262
// Annex B and old IIS.
const MALFORMED = /%c[01]|%e0%[89]|%f0%8|%u/i
const ESCAPE = /%([0-9a-f]{2})/gi

/**
 * `text` with every percent escape decoded, again and again until none is left; bytes become U+0000–U+00FF. `undefined`
 * when it is encoded more than four times over or uses an escape that decoders disagree about.
 */
export function decodePercent(text: string): string | undefined {
  let decoded = text
  for (let round = 0; round <= ROUNDS; round++) {
    if (MALFORMED.test(decoded)) return undefined
    const next = decoded.replace(ESCAPE, (_escape, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)))
    if (next === decoded) return decoded
    decoded = next
  }
  return undefined
}
