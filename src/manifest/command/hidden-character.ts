// Characters that a reader does not see, or sees elsewhere than a program does. They are refused everywhere in a command,
// inside quotes too: an approval shows the text to a person (Trojan Source, CVE-2021-42574).

const HIDDEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/u

/** What cannot be shown in `text`, or `undefined`. Tabs and line feeds can. */
export function hiddenCharacter(text: string): string | undefined {
  const found = HIDDEN.exec(text)?.[0]
  if (found === undefined) return undefined
  if (found === '\0') return 'a NUL character'
  if (found === '\r') return 'a carriage return'
  return 'an invisible, control or direction character'
}
