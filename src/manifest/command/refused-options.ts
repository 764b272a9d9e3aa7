// Whether the arguments of a program hold one of the options that make it run another. Sees more options than there are
// rather than fewer: a value that looks like a refused option is refused, and `--` ends the options only where it cannot
// be the value of one.

import type { RefusedOptions } from './program-rule.ts'

/** The refused option, by its name in the table, or `undefined`. Linear in the arguments. */
export function refusedOption(args: readonly string[], options: RefusedOptions): string | undefined {
  for (const [index, word] of args.entries()) {
    if (word === '--' && options.words === undefined && !(args[index - 1] ?? '').startsWith('-')) return undefined
    const found = inWord(word, index === 0, options)
    if (found !== undefined) return found
  }
  return undefined
}

function inWord(word: string, first: boolean, options: RefusedOptions): string | undefined {
  const { long = [], harmless = [], short = '', words = [], bareBundle = false } = options
  const beginning = words.find((text) => word.startsWith(text))
  if (beginning !== undefined) return beginning
  if (word.startsWith('--')) {
    if (word === '--') return undefined
    const name = word.slice(2).replace(/=.*$/s, '')
    const found = harmless.includes(name) ? undefined : long.find((known) => known.startsWith(name))
    return found === undefined ? undefined : `--${found}`
  }
  const bundle = word.startsWith('-') || (first && bareBundle)
  const letter = bundle ? [...short].find((one) => word.includes(one)) : undefined
  return letter === undefined ? undefined : `-${letter}`
}
