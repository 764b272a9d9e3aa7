// Standard base64 (RFC 4648 §4) with exactly one spelling per byte string. What decides on signatures and keys must not
// be malleable: Buffer.from and atob skip junk, take whitespace, mix both alphabets and ignore leftover bits, so one
// signed value would have many texts.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
const PADDING = 0x3d

const CODES = new TextEncoder().encode(ALPHABET)
const VALUES = new Int8Array(128).fill(-1)
for (let index = 0; index < CODES.length; index++) VALUES[CODES[index] as number] = index

const ascii = new TextDecoder()

/** Base64 with padding. */
export function encodeBase64(bytes: Uint8Array): string {
  const out = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(PADDING)
  let at = 0
  for (let index = 0; index < bytes.length; index += 3) {
    const rest = bytes.length - index
    const group =
      ((bytes[index] as number) << 16) |
      ((rest > 1 ? (bytes[index + 1] as number) : 0) << 8) |
      (rest > 2 ? (bytes[index + 2] as number) : 0)
    out[at] = CODES[group >> 18] as number
    out[at + 1] = CODES[(group >> 12) & 63] as number
    if (rest > 1) out[at + 2] = CODES[(group >> 6) & 63] as number
    if (rest > 2) out[at + 3] = CODES[group & 63] as number
    at += 4
  }
  return ascii.decode(out)
}

/** The bytes `text` spells, or `undefined` unless it is exactly what {@link encodeBase64} makes of them. */
export function decodeBase64(text: string): Uint8Array | undefined {
  if (text.length % 4 !== 0) return undefined
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const digits = text.length - padding
  const out = new Uint8Array((text.length / 4) * 3 - padding)
  let at = 0
  let bits = 0
  let held = 0
  for (let index = 0; index < digits; index++) {
    const value = VALUES[text.charCodeAt(index)] ?? -1
    if (value < 0) return undefined
    held = ((held << 6) | value) & 0xffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      out[at] = held >> bits
      at += 1
    }
  }
  // RFC 4648 §3.5: bits that belong to no byte must be zero, or two texts mean the same bytes.
  return (held & ((1 << bits) - 1)) === 0 ? out : undefined
}
