// `agentport build`: makes the programs in C that the Linux enforcer starts.

import { buildNative } from '../linux/native.ts'
import { type Command, readOptions, UsageError } from './command.ts'

const HELP = `Usage: agentport build [--cc compiler] [--json]

Compiles the launcher, its self-test and the observer from the sources in this package into native/build, with the C
compiler that is there. Nothing is fetched. Needed once after an installation; until then no confined process is started.

  --cc compiler   the C compiler; without it the first of cc, gcc, clang
  --json          print the result as JSON

Exit codes: 0 built, 2 could not be built.`

export const build: Command = {
  name: 'build',
  summary: 'compile the launcher that confines processes',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, { cc: { type: 'string' }, json: { type: 'boolean' } })
    if (positionals.length > 0) throw new UsageError('it takes no arguments')
    const { cc } = values
    const built = await buildNative(typeof cc === 'string' ? { compiler: cc } : {})
    if (values['json'] === true) output.out(JSON.stringify({ built }, undefined, 2))
    else for (const one of built) output.out(`✓ ${one.path} (${one.linked}, ${one.compiler})`)
    return 0
  },
}
