// The examples, as a stranger would run them: the attack really works without the gateway, and does not with it.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AgentPort, memorySink } from '@agentport/gateway'
import { openAuditFile, verifyAuditFile } from '@agentport/gateway/node'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { coding } from '../examples/agents/coding/agent.ts'
import { data } from '../examples/agents/data/agent.ts'
import { research } from '../examples/agents/research/agent.ts'
import { type Agent, type NodeContext, type RunReport, runGraph } from '../examples/executor/executor.ts'
import type { Graph } from '../examples/executor/graph.ts'
import { renderCalls, renderChecks, renderFacts } from '../examples/support/render.ts'
import { repositoryRoot } from '../examples/support/repository.ts'
import { type ExampleRun, runBoth } from '../examples/support/run-both.ts'
import { installSkill } from '../examples/support/skill.ts'

describe('the three agents', () => {
  const runs = new Map<string, ExampleRun>()
  let directory: string
  let auditPath: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'agentport-test-'))
    auditPath = join(directory, 'audit.jsonl')
    for (const example of [research, data, coding]) {
      runs.set(example.name, await runBoth(example, () => openAuditFile(auditPath, { durability: 'os' })))
    }
  }, 60_000)
  afterAll(() => rm(directory, { recursive: true, force: true }))

  describe.each(['research', 'data', 'coding'])('%s', (name) => {
    test('without the gateway the damage is done', () => {
      const { example, off } = get(runs, name)
      expect(failed(off.checks)).toEqual([])
      for (const { fact, kind, off: expected, on } of example.expectations.facts) {
        expect(off.facts[fact], fact).toEqual(expected)
        // A harm that looks the same either way would prove nothing.
        if (kind === 'harm') expect(expected, fact).not.toEqual(on)
      }
    })

    test('with the gateway every expectation comes true and no harm is done', () => {
      const { example, on } = get(runs, name)
      expect(failed(on.checks)).toEqual([])
      for (const { fact, on: expected } of example.expectations.facts) expect(on.facts[fact], fact).toEqual(expected)
    })
  })

  test('a halted run leaves a record of why, and the node after it never starts', () => {
    const { on } = get(runs, 'data')
    expect(on.report.halted).toBe(true)
    expect(on.report.timeline.some((event) => event.type === 'node_started' && event.node === 'mail_report')).toBe(
      false,
    )
  })

  test('the audit log of all three verifies against the head the gateway handed out', async () => {
    const expectHead = get(runs, 'coding').head
    expect(await verifyAuditFile(auditPath, { expectHead })).toMatchObject({ ok: true, tail: 'verified', faults: [] })
  })

  test('one changed byte in the log is found', async () => {
    const text = await readFile(auditPath, 'utf8')
    const copy = join(directory, 'altered.jsonl')
    await writeFile(copy, text.replace('forbidden', 'forbiddeN'))
    expect((await verifyAuditFile(copy)).ok).toBe(false)
  })

  test('the report fits 100 columns and shows no temporary path', () => {
    const all = [...runs.values()]
    const text = [renderFacts(all), ...all.map(renderCalls), renderChecks(all)].join('\n')
    for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(100)
    expect(text).not.toContain(join(tmpdir(), 'agentport-'))
    expect(text).not.toContain('✗')
  })
})

test('the quickstart allows one call and denies the other', async () => {
  const log = vi.spyOn(console, 'log').mockImplementation(() => {})
  try {
    await import('../examples/quickstart.ts')
    const [allowed, denied, ...more] = log.mock.calls.map(([value]) => value as unknown)
    expect(allowed).toMatchObject({ accepted: true })
    expect(denied).toContain('resource_undeclared')
    expect(more).toEqual([])
  } finally {
    log.mockRestore()
  }
})

describe.each(['without', 'with'])('the executor, %s a gateway', (mode) => {
  let port: AgentPort | undefined
  beforeAll(async () => {
    if (mode === 'without') return
    const { bundle, trust } = await installSkill(join(repositoryRoot(), 'examples/quickstart/skill'))
    const rule = { id: 'docs', effect: 'permit', nodes: ['*'], tools: ['fetch'], hosts: ['docs.example.com'] }
    const policy = { file: 'policy.json', text: JSON.stringify({ version: 1, rules: [rule] }) }
    port = await AgentPort.open({ policy, skills: [bundle], trust, audit: memorySink(), timeoutMs: 100 })
  })
  afterAll(async () => void (await port?.close()))

  const run = (
    nodes: Record<string, Omit<Graph['nodes'][string], 'skill'>>,
    agents: Record<string, Agent>,
    concurrency = 4,
  ): Promise<RunReport> => {
    const graph = {
      nodes: Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, { skill: 'web', ...node }])),
    }
    return runGraph({ graph, agents, tools: { fetch: ({ url }) => url }, principal: 'test', concurrency, port })
  }
  const work = async ({ node }: NodeContext): Promise<string> => node
  const broken: Agent = () => Promise.reject(new Error('broken'))

  test('runs branches at the same time, and what waits for both after them', async () => {
    // Each branch ends only when the other has started: one after the other they would never end.
    const [left, right] = [gate(), gate()]
    const meet =
      (mine: Gate, other: Gate): Agent =>
      async () => {
        mine.open()
        await other.opened
      }
    const report = await run(
      { left: {}, right: {}, both: { after: ['left', 'right'] } },
      { left: meet(left, right), right: meet(right, left), both: async ({ inputs }) => [...inputs.keys()].sort() },
    )
    expect(report.outputs.get('both')).toEqual(['left', 'right'])
  })

  test('runs no more nodes at once than it may', async () => {
    let active = 0
    let most = 0
    const agent: Agent = async () => {
      active += 1
      most = Math.max(most, active)
      await new Promise((resolve) => setTimeout(resolve, 5))
      active -= 1
    }
    const names = ['a', 'b', 'c', 'd', 'e']
    const each = <T>(value: T): Record<string, T> => Object.fromEntries(names.map((name) => [name, value]))
    const report = await run(each({}), each(agent), 2)
    expect(most).toBe(2)
    expect([...report.nodes.values()]).toEqual(names.map(() => 'succeeded'))
  })

  test('tries a node again as often as it may', async () => {
    const flaky: Agent = async ({ attempt }) => {
      if (attempt < 3) throw new Error('not yet')
      return attempt
    }
    const enough = await run({ flaky: { attempts: 3 } }, { flaky })
    expect(enough.outputs.get('flaky')).toBe(3)
    const tooFew = await run({ flaky: { attempts: 2 } }, { flaky })
    expect(Object.fromEntries(tooFew.nodes)).toEqual({ flaky: 'failed' })
  })

  test.each([
    ['skip_downstream', { bad: 'failed', next: 'skipped', last: 'skipped', other: 'succeeded' }],
    ['continue', { bad: 'failed', next: 'succeeded', last: 'succeeded', other: 'succeeded' }],
  ] as const)('goes on after a failure as on_failure says: %s', async (onFailure, states) => {
    const report = await run(
      { bad: { onFailure }, next: { after: ['bad'] }, last: { after: ['next'] }, other: {} },
      { bad: broken, next: work, last: work, other: work },
    )
    expect(Object.fromEntries(report.nodes)).toEqual(states)
    expect(report.halted).toBe(false)
  })

  test('a halt stops what runs and what has not begun, even a node that ignores its signal', async () => {
    const started = gate()
    const report = await run(
      { bad: { onFailure: 'halt' }, deaf: {}, next: { after: ['deaf'] } },
      {
        bad: () => started.opened.then(() => Promise.reject(new Error('broken'))),
        deaf: () => {
          started.open()
          return new Promise(() => {})
        },
        next: work,
      },
    )
    expect(report.halted).toBe(true)
    expect(Object.fromEntries(report.nodes)).toEqual({ bad: 'failed', deaf: 'cancelled', next: 'skipped' })
  })
})

interface Gate {
  readonly opened: Promise<void>
  open(): void
}

function gate(): Gate {
  let open = (): void => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}

function failed(checks: ExampleRun['on']['checks']): string[] {
  return checks.filter((check) => !check.ok).map((check) => check.says)
}

function get(runs: ReadonlyMap<string, ExampleRun>, name: string): ExampleRun {
  const run = runs.get(name)
  if (run === undefined) throw new Error(`${name} did not run`)
  return run
}
