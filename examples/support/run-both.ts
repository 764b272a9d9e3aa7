// One example, without the gateway and then with it, in the same world and with the same code.

import { join, relative } from 'node:path'
import { AgentPort, type AuditSink, renderForOperator } from '@agentport/gateway'
import { readSource } from '@agentport/gateway/node'
import type { Example, World } from './example.ts'
import { repositoryRoot } from './repository.ts'
import { type Outcome, runExample } from './run-example.ts'
import { type InstalledSkill, installSkill, loadTools } from './skill.ts'

export interface ExampleRun {
  readonly example: Example
  readonly variables: World['variables']
  readonly off: Outcome
  readonly on: Outcome
  /** Last record of the audit log, as the gateway knew it when it closed. */
  readonly head: Awaited<ReturnType<AgentPort['close']>>
}

export async function runBoth(example: Example, openAudit: () => AuditSink | Promise<AuditSink>): Promise<ExampleRun> {
  const directory = join(repositoryRoot(), 'examples/agents', example.name)
  const world = await example.open()
  try {
    const skill = await installSkill(join(directory, 'skill'))
    const tools = await loadTools(skill.bundle, world.environment)
    const off = await runExample(example, world, tools)
    const port = await openGateway(directory, skill, world.variables, await openAudit())
    let head: ExampleRun['head'] | undefined
    try {
      const on = await runExample(example, world, tools, port)
      head = await port.close()
      return { example, variables: world.variables, off, on, head }
    } finally {
      if (head === undefined) await port.close()
    }
  } finally {
    await world.close()
  }
}

async function openGateway(
  directory: string,
  { bundle, trust }: InstalledSkill,
  variables: World['variables'],
  audit: AuditSink,
): Promise<AgentPort> {
  const path = join(directory, 'policy.yaml')
  const policy = { ...readSource(path), file: relative(repositoryRoot(), path) }
  const port = await AgentPort.open({ policy, skills: [bundle], trust, audit, variables, timeoutMs: 100 })
  for (const status of port.skills) if (!status.admitted) throw new Error(renderForOperator(status.denial))
  return port
}
