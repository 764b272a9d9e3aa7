// The launchers that can be seen through: how many words of theirs stand before the program they start. Only the plainest
// forms are read; with anything else the launcher is refused.

import type { LauncherOperand } from './program-rule.ts'

/** env without options and assignments: it only starts the program. */
export const envOperand: LauncherOperand = (args) =>
  args[0] === undefined || /^-|=/.test(args[0]) ? 'an option or an assignment, or no program' : 0

export const nohupOperand: LauncherOperand = (args) => (isProgram(args[0]) ? 0 : 'an option, or no program')

export const niceOperand: LauncherOperand = (args) => {
  const own = args[0] === '-n' && /^-?[0-9]{1,3}$/.test(args[1] ?? '') ? 2 : 0
  return isProgram(args[own]) ? own : 'an option other than -n and a number, or no program'
}

const DURATION = /^[0-9]{1,9}(?:\.[0-9]{1,9})?[smhd]?$/

export const timeoutOperand: LauncherOperand = (args) => {
  let at = 0
  for (;;) {
    const word = args[at]
    const value = args[at + 1] ?? ''
    if (word === '-k' && DURATION.test(value)) at += 2
    else if (word === '-s' && /^[A-Z0-9]{1,12}$/.test(value)) at += 2
    else break
  }
  return DURATION.test(args[at] ?? '') && isProgram(args[at + 1])
    ? at + 1
    : 'an option other than -k and -s, or no duration and program'
}

function isProgram(word: string | undefined): boolean {
  return word !== undefined && word !== '' && !word.startsWith('-')
}
