// What a reader of a proposal must know. Paths and hosts in it were chosen by the observed program and are made visible.

import { printable } from '../../core/text.ts'

/** `refused`: seen and left out on purpose. */
export interface ProposalNote {
  readonly severity: 'info' | 'warning' | 'refused'
  readonly text: string
}

/** Notes in the order they were made, each once; those about many things name some of them. */
export class Notes {
  readonly #found = new Map<string, { severity: ProposalNote['severity']; what: Set<string> }>()
  #fatal = false

  get fatal(): boolean {
    return this.#fatal
  }

  add(severity: ProposalNote['severity'], text: string, what?: string): void {
    const note = this.#found.get(text) ?? { severity, what: new Set<string>() }
    this.#found.set(text, note)
    if (what !== undefined) note.what.add(what)
  }

  /** Nothing will be proposed. */
  refuse(text: string): void {
    this.#fatal = true
    this.add('refused', text)
  }

  list(): readonly ProposalNote[] {
    const order = { refused: 0, warning: 1, info: 2 }
    return Object.freeze(
      [...this.#found]
        .map(([text, { severity, what }]) => ({
          severity,
          text: what.size === 0 ? text : `${text}: ${listed([...what])}`,
        }))
        .sort((a, b) => order[a.severity] - order[b.severity])
        .map((note) => Object.freeze(note)),
    )
  }
}

const LISTED = 40

function listed(what: readonly string[]): string {
  const shown = what
    .slice(0, LISTED)
    .map((text) => printable(text))
    .join(', ')
  return what.length > LISTED ? `${shown} and ${what.length - LISTED} more` : shown
}
