// What is known about a program that can run other programs when its arguments say so. A closed set of kinds, so that
// the reading of every kind is in one place.

export type ProgramRule =
  /** Refused however it is called; the text says why. */
  | { readonly kind: 'refused'; readonly why: string }
  /** Runs what is in its options; without those it is a plain program. */
  | { readonly kind: 'options'; readonly options: RefusedOptions }
  /** Has a language or a command line of its own. */
  | { readonly kind: 'checked'; readonly check: ArgumentCheck }
  /** Runs a script file, which must be its first operand. */
  | { readonly kind: 'interpreter'; readonly interpreter: Interpreter }
  /** Runs the program that follows its own plain options. */
  | { readonly kind: 'launcher'; readonly operand: LauncherOperand }

/** What is wrong with the arguments, said of the first word that is; `undefined` when nothing is. */
export type ArgumentCheck = (args: readonly string[]) => string | undefined

/** How many words before the started program belong to the launcher, or why that cannot be told. */
export type LauncherOperand = (args: readonly string[]) => number | string

/** Options that make a program run another, in the conventions of getopt_long. */
export interface RefusedOptions {
  /** Long names without dashes. An abbreviation of one is one; so is one with `=value`. */
  readonly long?: readonly string[]
  /** Long names that are an abbreviation of a refused one by accident, and an option of their own. */
  readonly harmless?: readonly string[]
  /** Letters, also inside a bundle: `xzIf` holds I. */
  readonly short?: string
  /** The beginnings of words, for programs whose long options have one dash. */
  readonly words?: readonly string[]
  /** The first word is a bundle even without a dash: `tar xIf`. */
  readonly bareBundle?: boolean
}

export interface Interpreter {
  /** Option words that may stand in front of the script. They take no value and load nothing. */
  readonly options: readonly string[]
  /** A script without a slash would be looked for in PATH. */
  readonly needsSlash?: boolean
  /** What the script's name has to end in, where the interpreter otherwise tries other names. */
  readonly endings?: readonly string[]
}
