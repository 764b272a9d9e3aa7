// Which git command lines run nothing but git. Sub-commands that run hooks, helpers, other transports or the programs of
// the configuration by design are refused; so is every unknown one, which may be an alias. Trusts the configuration of the
// repository and of the user: what `diff.external` or `core.fsmonitor` name there is not in the arguments.

import type { RefusedOptions } from './program-rule.ts'
import { refusedOption } from './refused-options.ts'

/** In front of the sub-command. Everything else there moves git to another repository, configuration or program. */
const GLOBAL: ReadonlySet<string> = new Set([
  '--no-pager',
  '-P',
  '--no-optional-locks',
  '--no-replace-objects',
  '--literal-pathspecs',
  '--glob-pathspecs',
  '--noglob-pathspecs',
  '--icase-pathspecs',
])

const SUBCOMMANDS: ReadonlySet<string> = new Set([
  'add',
  'blame',
  'branch',
  'check-ignore',
  'count-objects',
  'describe',
  'diff',
  'diff-files',
  'diff-index',
  'diff-tree',
  'for-each-ref',
  'grep',
  'log',
  'ls-files',
  'ls-tree',
  'merge-base',
  'mv',
  'name-rev',
  'reset',
  'rev-list',
  'rev-parse',
  'rm',
  'shortlog',
  'show',
  'show-ref',
  'status',
  'tag',
  'version',
])

/** Of every sub-command: those that name a program or open an editor or pager. */
const OPTIONS = ['output', 'output-directory', 'ext-diff', 'textconv', 'show-signature', 'exec', 'upload-pack', 'help']

/** Of one sub-command, where others mean something harmless by the same word. */
const OWN_OPTIONS: ReadonlyMap<string, RefusedOptions> = new Map([
  ['add', { long: ['patch', 'interactive', 'edit'], short: 'ipe' }],
  ['branch', { long: ['edit-description'] }],
  ['grep', { long: ['open-files-in-pager'], short: 'O' }],
  ['reset', { long: ['patch'], short: 'p' }],
  ['tag', { long: ['sign', 'local-user', 'verify', 'edit'], short: 'suve' }],
])

export function checkGitArguments(args: readonly string[]): string | undefined {
  const at = args.findIndex((word) => !GLOBAL.has(word))
  const subcommand = args[at]
  if (subcommand === undefined || subcommand === '--version') return undefined
  if (subcommand.startsWith('-')) {
    return 'an option in front of its sub-command that chooses a repository, a configuration or a program'
  }
  if (!SUBCOMMANDS.has(subcommand)) {
    return 'a sub-command that runs hooks, helpers or other programs, or that may be an alias'
  }
  const rest = args.slice(at + 1)
  const own = OWN_OPTIONS.get(subcommand) ?? {}
  const option = refusedOption(rest, { ...own, long: [...OPTIONS, ...(own.long ?? [])], harmless: ['text'] })
  if (option !== undefined) return `the option ${option}`
  // An annotated tag without its message, as with -a, starts an editor.
  const opensEditor = subcommand === 'tag' && rest.some((word) => /^-(?!-)[^-]*a|^--a/.test(word))
  return opensEditor && !rest.some((word) => /^-[^-]*m|^--me/.test(word))
    ? 'a tag without -m, which opens an editor'
    : undefined
}
