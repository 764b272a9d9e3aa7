// The `agentport` command: finds the subcommand, runs it, turns what it throws into one line and an exit code.
// Exit codes: 0 all is well, 1 the thing checked is not, 2 the command could not be carried out.

import { AgentPortError } from '../core/errors.ts'
import { printable } from '../core/text.ts'
import { audit } from './audit.ts'
import { build } from './build.ts'
import { check } from './check.ts'
import { type Command, type Output, UsageError } from './command.ts'
import { diff } from './diff.ts'
import { doctor } from './doctor.ts'
import { explain } from './explain.ts'
import { fmt } from './fmt.ts'
import { importer } from './import.ts'
import { init } from './init.ts'
import { learn } from './learn.ts'
import { lint } from './lint.ts'
import { run as confine } from './run.ts'
import { digest, keygen, sign } from './skills.ts'
import { test } from './test.ts'
import { VERSION } from './version.ts'

// In the order in which they are needed: write, check, ask, vouch, confine, look back.
const COMMANDS: readonly Command[] = [
  init,
  importer,
  check,
  lint,
  fmt,
  test,
  explain,
  diff,
  keygen,
  sign,
  digest,
  learn,
  confine,
  doctor,
  build,
  audit,
]

/** Runs the command line `args` (without node and script); resolves with the exit code. */
export async function run(args: readonly string[], output: Output): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) {
    output.err(help())
    return 2
  }
  if (name === '--version' || name === '-v') {
    output.out(VERSION)
    return 0
  }
  const isHelp = name === '--help' || name === '-h' || name === 'help'
  const wanted = isHelp ? rest[0] : name
  const command = COMMANDS.find((one) => one.name === wanted)
  if (isHelp && wanted === undefined) {
    output.out(help())
    return 0
  }
  if (command === undefined) {
    const known = COMMANDS.map((one) => one.name).join(', ')
    output.err(`agentport: there is no command "${printable(wanted ?? '', 80)}"; it is one of ${known}`)
    return 2
  }
  if (isHelp) {
    output.out(command.help)
    return 0
  }
  // What comes after -- is the command line of another program.
  const own = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest
  if (own.includes('--help') || own.includes('-h')) {
    output.out(command.help)
    return 0
  }
  try {
    return await command.run(rest, output)
  } catch (error) {
    if (error instanceof UsageError) output.err(`agentport ${name}: ${error.message}\nSee: agentport ${name} --help`)
    else if (error instanceof AgentPortError) output.err(`agentport ${name}: ${error.code}: ${error.message}`)
    else output.err(`agentport ${name}: ${error instanceof Error ? error.message : String(error)}`)
    return 2
  }
}

function help(): string {
  const width = Math.max(...COMMANDS.map((command) => command.name.length))
  return [
    'agentport: the security gateway inside an agent executor',
    '',
    'Usage: agentport <command> [options]',
    '',
    ...COMMANDS.map((command) => `  ${command.name.padEnd(width)}  ${command.summary}`),
    '',
    'agentport <command> --help tells more. Exit codes: 0 well, 1 problems found, 2 could not run; run and explain have their own.',
  ].join('\n')
}
