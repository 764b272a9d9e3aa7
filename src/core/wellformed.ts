// Whether a string is Unicode at all. A lone surrogate has no UTF-8 form: encoders replace it, each in its own way, so
// that the text that was judged or signed is no longer the text that is used.

interface NativeCheck {
  isWellFormed?: () => boolean
}

const native = typeof ('' as NativeCheck).isWellFormed === 'function'

/** Whether `text` has no lone surrogate. */
export const isWellFormed: (text: string) => boolean = native
  ? (text) => (text as NativeCheck).isWellFormed?.() === true
  : (text) => firstLoneSurrogate(text) === -1

/** Index of the first lone surrogate, or -1. */
export function firstLoneSurrogate(text: string): number {
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code < 0xd800 || code > 0xdfff) continue
    const next = text.charCodeAt(index + 1)
    if (code > 0xdbff || !(next >= 0xdc00 && next <= 0xdfff)) return index
    index++
  }
  return -1
}
