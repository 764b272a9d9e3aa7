// The programs whose first operand is a program in a language of its own: sed and awk. Both languages can start processes
// and write files; only scripts in which that can be excluded by looking are let through. Neither is parsed in full.

/** Options of sed that take no value, change no file and read no script. */
const SED_OPTIONS = /^(?:-[nErsuz]+|--(?:quiet|silent|regexp-extended|separate|unbuffered|null-data|posix|sandbox))$/

export function checkSedArguments(args: readonly string[]): string | undefined {
  let scripts = 0
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? ''
    if (word === '-e' || word === '--expression') {
      const fault = sedScriptFault(args[++at] ?? '')
      if (fault !== undefined) return fault
      scripts++
    } else if (word.startsWith('-') && word !== '-') {
      if (!SED_OPTIONS.test(word)) return 'an option that is not known to be harmless (-i and -f are not)'
    } else if (scripts === 0) {
      // The first operand. sed takes options behind it too, and with an -e there it would be a file: also judged then.
      const fault = sedScriptFault(word)
      if (fault !== undefined) return fault
      scripts++
    }
  }
  return scripts === 0 ? 'no script' : undefined
}

const SED_ADDRESS = String.raw`(?:[0-9]+|\$|/(?:[^/\\\n[]|\\[^\n])*/)`
const SED_SIMPLE = new RegExp(`^(?:${SED_ADDRESS}(?:,${SED_ADDRESS})?)? *!? *[pdqQ=]$`)
const SED_ADDRESSES = new RegExp(`^(?:${SED_ADDRESS}(?:,${SED_ADDRESS})?)? *!? *`)

// One print, delete, quit or substitution. `e`, `w`, `r` and their likes, as commands or as flags of `s`, are not in it.
function sedScriptFault(script: string): string | undefined {
  if (SED_SIMPLE.test(script)) return undefined
  const command = script.slice(SED_ADDRESSES.exec(script)?.[0].length ?? 0)
  const delimiter = command.charAt(1)
  if (command.startsWith('s') && /^[/|,:#@%]$/.test(delimiter) && !command.includes('\n')) {
    // Three delimiters in all, so that no reading of brackets can end the replacement earlier and find other flags.
    const parts = command.slice(2).replace(/\\./g, '').split(delimiter)
    if (parts.length === 3 && /^[gpiI0-9]*$/.test(parts[2] ?? '')) return undefined
  }
  return 'a script that is not a single print, delete, quit or substitution: others can run programs or write files'
}

/** What can start a process or open a file in an awk program, or call a function by a computed name. */
const AWK_EFFECTS = /system|getline|@|>(?!=)|(?<!\|)\|(?!\|)|\|{3}|\\\n/

export function checkAwkArguments(args: readonly string[]): string | undefined {
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? ''
    if (word === '-F' || word === '-v') at++
    else if (/^-[Fv]./s.test(word)) continue
    else if (word.startsWith('-')) return 'an option other than -F and -v'
    else if (AWK_EFFECTS.test(word)) return 'a program with a pipe, a redirection, system, getline or @'
    else return undefined
  }
  return 'no program'
}
