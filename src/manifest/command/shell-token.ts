// What the walk over the syntax tree says the text is made of, for tiling.ts to hold against the text.

/** A span of the source in UTF-16 code units, `end` excluded. */
export interface ShellToken {
  /** `name`: the word that names a program. `word`: any other. `heredoc`: body and closing line of a here-document. */
  readonly kind: 'name' | 'word' | 'redirection' | 'heredoc'
  readonly pos: number
  readonly end: number
}
