// Stops an agent that keeps making the call it was refused: a model in a loop asks a thousand times a minute, and each
// answer is another probe of the policy.

/** The same refusal this many times in a run ends the node. */
export const MAX_REPEATS = 3
const MAX_TRACKED = 10_000

export class RepeatCounter {
  readonly #counts = new Map<string, number>()

  /** Counts one refusal; `true` when it has now been refused {@link MAX_REPEATS} times or more. */
  add(fingerprint: string): boolean {
    const count = (this.#counts.get(fingerprint) ?? 0) + 1
    // Over the bound the oldest is forgotten: an agent that makes ten thousand different refused calls gains two repeats.
    if (count === 1 && this.#counts.size >= MAX_TRACKED) {
      const oldest = this.#counts.keys().next().value
      if (oldest !== undefined) this.#counts.delete(oldest)
    }
    this.#counts.set(fingerprint, count)
    return count >= MAX_REPEATS
  }
}
