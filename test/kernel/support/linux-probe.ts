// A process of its own that asks the enforcer what it can do here, wants everything, and then does with what there is. One line
// of JSON, for tests of kernels that lack something.

import { readFileSync } from 'node:fs'

import { AgentPortError } from '../../../src/core/errors.ts'
import { FEATURES, type Requirements } from '../../../src/enforcer/feature.ts'
import { childrenOf } from './linux-host.ts'
import { linuxEnforcer, type Outcome, profileOf, runIn } from './linux-supervised.ts'

const ALL_PREFERRED: Requirements = Object.fromEntries(FEATURES.map((feature) => [feature, 'preferred']))

const [granted = '', secret = ''] = process.argv.slice(2)
const PROFILE = profileOf(`skill: probe\nallowed_binaries: [/usr/bin/cat]\nreadable_paths: [${granted}]\n`)

async function refusal(error: unknown): Promise<unknown> {
  if (!(error instanceof AgentPortError)) throw error
  // The launcher of a box that could not be made may still be on its way out.
  const end = performance.now() + 5_000
  while (childrenOf(process.pid).length > 0 && performance.now() < end) {
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return { code: error.code, message: error.message, children: childrenOf(process.pid) }
}

async function required(): Promise<unknown> {
  try {
    const box = await enforcer.open(PROFILE)
    const { features } = box.report
    await box.close()
    return { features }
  } catch (error) {
    return refusal(error)
  }
}

async function preferred(): Promise<unknown> {
  try {
    const box = await enforcer.open(PROFILE, { requirements: ALL_PREFERRED })
    const outcomes: Record<string, Outcome> = {}
    for (const file of [granted, secret])
      outcomes[file === granted ? 'granted' : 'secret'] = await runIn(box, '/usr/bin/cat', file)
    const report = { features: box.report.features, ...outcomes }
    await box.close()
    return report
  } catch (error) {
    return refusal(error)
  }
}

// What the host itself allows this process, so that a refusal is the work of the box.
readFileSync(secret)
const enforcer = await linuxEnforcer()
const { features } = await enforcer.probe()
const { facts, trials } = await enforcer.host()
process.stdout.write(
  `${JSON.stringify({ facts, trials, features, required: await required(), preferred: await preferred() })}\n`,
)
