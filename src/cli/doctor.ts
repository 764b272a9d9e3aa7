// `agentport doctor`: what of the enforcement this host can do, found out by trying it, and what to do about the rest.

import { AgentPortError } from '../core/errors.ts'
import type { Capabilities } from '../enforcer/enforcer.ts'
import { FEATURES } from '../enforcer/feature.ts'
import { LinuxEnforcer } from '../linux/linux-enforcer.ts'
import type { HostProbe } from '../linux/probe.ts'
import { type Command, type Output, readOptions, UsageError } from './command.ts'

const HELP = `Usage: agentport doctor [--flat] [--json]

Makes a box on this host and lets a program inside it try what must be refused. Prints for every feature whether it is
supported, by what, and what would fix it if it is not.

  --flat   try what is left without namespaces
  --json   one JSON object: { ok, enforcer, features, trials }

Exit codes: 0 every feature is supported, 1 some are not, 2 nothing could be tried.`

export const doctor: Command = {
  name: 'doctor',
  summary: 'try what this host can enforce, and say how to fix the rest',
  help: HELP,
  run: async (args, output) => {
    const { values, positionals } = readOptions(args, { flat: { type: 'boolean' }, json: { type: 'boolean' } })
    if (positionals.length > 0) throw new UsageError('it takes no arguments')
    try {
      const enforcer = await LinuxEnforcer.open(values['flat'] === true ? { kind: 'flat' } : {})
      const [capabilities, host] = [await enforcer.probe(), await enforcer.host()]
      const ok = FEATURES.every((feature) => capabilities.features[feature].support === 'supported')
      if (values['json'] === true) {
        output.out(JSON.stringify({ ok, ...capabilities, trials: host.trials, facts: host.facts }, undefined, 2))
      } else report(capabilities, host, output)
      return ok ? 0 : 1
    } catch (error) {
      if (!(error instanceof AgentPortError) || values['json'] !== true) throw error
      output.out(JSON.stringify({ ok: false, error: { code: error.code, message: error.message } }, undefined, 2))
      return 2
    }
  },
}

const MARKS = { supported: '✓', unsupported: '✗', inconclusive: '?' } as const

function report({ enforcer, features }: Capabilities, host: HostProbe, output: Output): void {
  const width = Math.max(...FEATURES.map((feature) => feature.length))
  output.out(`${enforcer}: uid ${host.facts.uid}, Landlock ABI ${host.facts.landlockAbi}`)
  for (const { name, ok, detail } of host.trials) {
    output.out(`  tried ${name}: ${ok ? 'worked' : (detail ?? 'failed')}`)
  }
  for (const feature of FEATURES) {
    const { support, mechanism, reason, fix } = features[feature]
    output.out(`${MARKS[support]} ${feature.padEnd(width)}  ${support}${mechanism === '' ? '' : ` by ${mechanism}`}`)
    if (reason !== undefined) output.out(`  ${' '.repeat(width)}  why: ${reason}`)
    if (fix !== undefined) output.out(`  ${' '.repeat(width)}  fix: ${fix}`)
  }
}
