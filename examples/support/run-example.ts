// Runs one example in its world and measures what became true.

import type { AgentPort, JsonValue } from '@agentport/gateway'
import { type RunReport, runGraph } from '../executor/executor.ts'
import type { Tool } from '../executor/tools.ts'
import type { CallExpectation, Example, World } from './example.ts'

export interface Outcome {
  readonly report: RunReport
  readonly facts: Readonly<Record<string, JsonValue>>
  readonly checks: readonly Check[]
}

/** One expectation and whether it came true. */
interface Check {
  readonly says: string
  readonly ok: boolean
}

/** Without `port` every tool call runs: the damage is the proof that the attack is real. */
export async function runExample(
  example: Example,
  world: World,
  tools: Readonly<Record<string, Tool>>,
  port?: AgentPort,
): Promise<Outcome> {
  await world.reset()
  const report = await runGraph({ graph: example.graph, agents: world.agents, tools, principal: 'demo', port })
  const facts = await world.facts()
  return { report, facts, checks: check(example, report, facts, port === undefined ? 'off' : 'on') }
}

function check(example: Example, report: RunReport, facts: Outcome['facts'], mode: 'off' | 'on'): Check[] {
  const { expectations, graph } = example
  const checks: Check[] = expectations.facts.map((expected) => ({
    says: `${expected.says}: ${String(expected[mode])}`,
    ok: facts[expected.fact] === expected[mode],
  }))
  for (const node of Object.keys(graph.nodes)) {
    const state = mode === 'off' ? 'succeeded' : expectations.nodes[node]
    checks.push({ says: `node ${node} ${state}`, ok: report.nodes.get(node) === state })
  }
  if (mode === 'off') return checks
  checks.push({
    says: expectations.halted ? 'run halted' : 'run not halted',
    ok: report.halted === expectations.halted,
  })
  for (const node of Object.keys(graph.nodes)) checks.push(...checkCalls(node, expectations.calls, report))
  return checks
}

/** The calls of one node, in order, none missing and none more. */
function checkCalls(node: string, expectations: readonly CallExpectation[], report: RunReport): Check[] {
  const calls = report.timeline.filter((event) => event.type === 'call').filter((event) => event.node === node)
  const expected = expectations.filter((call) => call.node === node)
  const checks = expected.map((call, index) => {
    const verdict = calls[index]?.verdict
    const answer = verdict?.denial?.code ?? verdict?.decision
    const byRule = call.rule === undefined || verdict?.rules.some((rule) => rule.id === call.rule) === true
    return {
      says: `${node}: ${call.tool} ${call.verdict}${call.rule === undefined ? '' : ` by ${call.rule}`}`,
      ok: calls[index]?.tool === call.tool && answer === call.verdict && byRule,
    }
  })
  return [...checks, { says: `${node} made ${expected.length} calls`, ok: calls.length === expected.length }]
}
