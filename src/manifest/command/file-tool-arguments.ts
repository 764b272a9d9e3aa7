// The tools for trees of files and archives whose command lines have conventions of their own: find, tar and rsync.

import type { RefusedOptions } from './program-rule.ts'
import { refusedOption } from './refused-options.ts'

// Words of find's expression; `--` does not end it, and it takes no abbreviations. Those that delete or write files do it
// with names that no redirection shows.
const FIND_ACTIONS = /^-(?:exec|execdir|ok|okdir|delete|fprint|fprint0|fprintf|fls|files0-from)$/

export function checkFindArguments(args: readonly string[]): string | undefined {
  const found = args.find((word) => FIND_ACTIONS.test(word))
  return found === undefined ? undefined : `the action ${found}`
}

const TAR: RefusedOptions = {
  long: [
    'checkpoint-action',
    'to-command',
    'use-compress-program',
    'rsh-command',
    'rmt-command',
    'info-script',
    'new-volume-script',
    'files-from',
  ],
  harmless: ['file', 'checkpoint'],
  // -T reads more words of the command line, options among them, from a file.
  short: 'IFT',
  bareBundle: true,
}

export function checkTarArguments(args: readonly string[]): string | undefined {
  return optionOrRemote(args, TAR)
}

const RSYNC: RefusedOptions = {
  long: ['rsh', 'rsync-path', 'remote-option', 'config', 'server', 'daemon'],
  short: 'eM',
}

export function checkRsyncArguments(args: readonly string[]): string | undefined {
  return optionOrRemote(args, RSYNC)
}

// `host:file` is a file on another machine, which both reach by starting ssh or rsh. A colon behind a slash is in a name.
function optionOrRemote(args: readonly string[], options: RefusedOptions): string | undefined {
  const option = refusedOption(args, options)
  if (option !== undefined) return `the option ${option}`
  const remote = args.some((word) => /^[^/]*:/.test(word) || /^--[^=]*=[^/]*:/.test(word))
  return remote ? 'a name with a colon, which can be on another machine' : undefined
}
