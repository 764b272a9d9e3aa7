// How much command one argument may hold. What is over a bound is refused, never read in part: a checker that stopped at
// the first fifty commands let the fifty-first run.

export const COMMAND_BOUNDS = {
  /** Characters of a command text, and of all words of a list of arguments together. */
  length: 65_536,
  /** Simple commands in one text. */
  commands: 64,
  /** Words in one text or list. */
  words: 4_096,
  /** Groups, subshells, conditions and loops inside each other. */
  depth: 16,
  /** Directories that stand for PATH. */
  search: 16,
} as const
