// How the reading of a command ends when something in it cannot be told: thrown at the place, caught once in
// read-command.ts. Never leaves this folder.

/** One line that says what cannot be told. Quotes nothing of the command but words of our own tables. */
export class Unresolved extends Error {
  override readonly name = 'Unresolved'
}

/** The text does not tile the way the parser says, so one of the two readings is wrong and neither is trusted. */
export function disagreement(): Unresolved {
  return new Unresolved('syntax that two readings of the text do not agree on')
}
