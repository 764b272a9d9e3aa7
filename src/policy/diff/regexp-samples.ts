// Texts that a regular expression matches, by a reader of the common part of the syntax. What it cannot read it guesses at;
// every text is only a question to be asked.

interface Choice {
  /** Which alternative and which character of a class. */
  readonly pick: number
  /** Repetitions beyond the least. */
  readonly more: number
}

const CHOICES: readonly Choice[] = [0, 1, 2, 3].flatMap((pick) => [0, 1, 2].map((more) => ({ pick, more })))
const LONGEST = 256
const CLASSES: Readonly<Record<string, string>> = { d: '059', w: 'xZ_7', s: ' \t', D: 'x-', W: '- .', S: 'x0' }
const CONTROLS: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', f: '\f', v: '\v' }

export function regexpSamples(source: string): readonly string[] {
  return [...new Set(CHOICES.map((choice) => new Sampler(source, choice).all().slice(0, LONGEST)))]
}

class Sampler {
  #at = 0
  readonly #source: string
  readonly #choice: Choice

  constructor(source: string, choice: Choice) {
    this.#source = source
    this.#choice = choice
  }

  all(): string {
    let text = this.#alternatives()
    // A closing bracket without its opening one: what follows is taken as more of the same.
    while (this.#at < this.#source.length) {
      this.#at++
      text += this.#alternatives()
    }
    return text
  }

  #alternatives(): string {
    const found = [this.#sequence()]
    while (this.#source[this.#at] === '|') {
      this.#at++
      found.push(this.#sequence())
    }
    return found[this.#choice.pick % found.length] ?? ''
  }

  #sequence(): string {
    let text = ''
    while (this.#at < this.#source.length && this.#source[this.#at] !== '|' && this.#source[this.#at] !== ')') {
      const start = this.#at
      const one = this.#atom()
      const least = this.#least()
      text += (least === undefined ? one : one.repeat(least)).slice(0, LONGEST)
      if (this.#at === start) this.#at++
    }
    return text.slice(0, LONGEST)
  }

  /** How often the atom that was read stands; `undefined` without a quantifier. */
  #least(): number | undefined {
    const rest = this.#source.slice(this.#at)
    const match = /^(?:([*+?])|\{([0-9]+)(?:(,)([0-9]*))?\})\??/.exec(rest)
    if (match === null) return undefined
    this.#at += match[0].length
    const [, sign, low = '0', comma, high] = match
    const { more } = this.#choice
    if (sign === '?') return more > 0 ? 1 : 0
    if (sign !== undefined) return (sign === '+' ? 1 : 0) + more
    const least = Number(low)
    if (comma === undefined) return Math.min(least, LONGEST)
    return Math.min(least + more, high === '' || high === undefined ? LONGEST : Number(high), LONGEST)
  }

  #atom(): string {
    const char = this.#source[this.#at++] ?? ''
    if (char === '^' || char === '$') return ''
    if (char === '.') return 'x'
    if (char === '\\') return this.#escape(0)
    if (char === '[') return this.#class()
    if (char !== '(') return char
    const group = /^\?(?::|<[A-Za-z_$][\w$]*>)/.exec(this.#source.slice(this.#at))
    this.#at += group?.[0].length ?? 0
    const text = this.#alternatives()
    if (this.#source[this.#at] === ')') this.#at++
    return text
  }

  #escape(pick: number): string {
    const char = this.#source[this.#at++] ?? ''
    const members = CLASSES[char]
    if (members !== undefined) return members[pick % members.length] ?? 'x'
    if (char === 'b' || char === 'B') return ''
    if (char === 'p' || char === 'P') {
      const end = this.#source.indexOf('}', this.#at)
      if (end >= 0) this.#at = end + 1
      return 'x'
    }
    return CONTROLS[char] ?? char
  }

  #class(): string {
    const start = this.#at - 1
    const members: string[] = []
    while (this.#at < this.#source.length && this.#source[this.#at] !== ']') {
      const char = this.#source[this.#at++] ?? ''
      members.push(char === '\\' ? this.#escape(members.length) : char)
    }
    this.#at++
    const tried = [...new Set([...members, ...'x0-_ .~XZ'])]
    const usable = tried.filter(matcherOf(this.#source.slice(start, this.#at)))
    return usable[this.#choice.pick % Math.max(1, usable.length)] ?? 'x'
  }
}

/** Whether a character is in a class, by the platform: a class alone is matched in constant time. */
function matcherOf(source: string): (char: string) => boolean {
  try {
    const expression = new RegExp(`^${source}$`, 'u')
    return (char) => expression.test(char)
  } catch {
    return () => true
  }
}
