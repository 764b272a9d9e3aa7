// Attacks on the joints of the gateway: what happens between two awaits, after the end, and with hostile errors. Each has
// beside it what the caller sees when nobody attacks.

import { describe, expect, test } from 'vitest'

import { AgentPort, type AuditSink, type Clock, memorySink, PolicyEngine, type Verdict } from '../../src/index.ts'
import { bundleOf, GRAPH, MANIFEST, openNode, openPort, POLICY, pin, recordTypes } from './fixture.ts'

const FORBIDDEN = { tool: 'http_get', args: { url: 'https://x.evil.example/' } }

/** A sink that takes its time, and lets the test see when. */
function slowSink(delayMs = 5): AuditSink & { lines: string[] } {
  const lines: string[] = []
  return {
    lines,
    append: (line) =>
      new Promise((resolve) =>
        setTimeout(() => {
          lines.push(line)
          resolve()
        }, delayMs),
      ),
  }
}

describe('the deadline covers the record', () => {
  test('a synchronous sink that blocks past it denies, and the log takes the intent back', async () => {
    let steady = 0
    let block = 0
    const lines: string[] = []
    const clock: Clock = { now: () => 0, monotonic: () => steady }
    const { node } = await openNode({
      clock,
      timeoutMs: 20,
      audit: {
        append: (line) => {
          steady += block
          lines.push(line)
        },
      },
    })
    expect((await node.authorize({ tool: 'ping' })).decision).toBe('allow')
    block = 30
    const call = await node.authorize({ tool: 'ping' })
    expect(call.decision === 'allow' ? 'allow' : call.denial.code).toBe('deadline_exceeded')
    expect(lines.slice(-2).map((line) => JSON.parse(line).type)).toEqual(['call.allowed', 'call.dropped'])
  })
})

describe('nothing outlives its node', () => {
  test.each(['complete', 'deny', 'halt', 'close'] as const)(
    'after %s the signal of a call in flight is aborted',
    async (how) => {
      const { run, node } = await openNode()
      const call = await node.authorize({ tool: 'ping' })
      if (call.decision !== 'allow') throw new Error(call.denial.detail)
      expect(call.signal.aborted).toBe(false)
      if (how === 'complete') await node.complete()
      else if (how === 'deny') await node.authorize(FORBIDDEN)
      else if (how === 'halt') await run.halt({ reason: 'stop' })
      else await run.close()
      expect(call.signal.aborted).toBe(true)
      expect((await call.settle(1)).accepted).toBe(false)
    },
  )

  test('two hundred runs leave no ticket and no token behind, whatever ends them while they are admitted', async () => {
    const { port } = await openPort({ audit: slowSink(0) })
    for (let count = 0; count < 200; count++) {
      const run = await port.openRun({ graph: GRAPH, principal: 'tester' })
      const pending = run.admit('fetch')
      await run.close()
      expect((await pending).decision).toBe('deny')
    }
  }, 60_000)
})

describe('a halt is at once', () => {
  test('of two calls at the same time, the forbidden one ends the other', async () => {
    const graph = { nodes: { ...GRAPH.nodes, fetch: { ...GRAPH.nodes.fetch, critical: true } } }
    const { run, node } = await openNode({ audit: slowSink(1), timeoutMs: 100 }, graph)
    const [forbidden, ping] = await Promise.all([node.authorize(FORBIDDEN), node.authorize({ tool: 'ping' })])
    expect(forbidden.decision).toBe('deny')
    expect(ping.decision === 'allow' ? 'allow' : ping.denial.code).toBe('run_halted')
    expect(run.signal.aborted).toBe(true)
  })

  test.each(['halt', 'close', 'quarantine', 'replacePolicy'] as const)(
    'a node whose admission is being written when %s comes is denied',
    async (how) => {
      const { port } = await openPort({ audit: slowSink(), timeoutMs: 100 })
      const run = await port.openRun({ graph: GRAPH, principal: 'tester' })
      const pending = run.admit('fetch')
      if (how === 'halt') void run.halt({ reason: 'stop' })
      else if (how === 'close') void run.close()
      else if (how === 'quarantine') void port.quarantine('web', 'reported')
      else
        void port.replacePolicy({
          file: 'p.yaml',
          text: `${POLICY}  - { id: more, effect: permit, nodes: [x], tools: [ping] }\n`,
        })
      const node = await pending
      const call = await node.authorize({ tool: 'ping' })
      expect(how === 'replacePolicy' ? 'deny' : node.decision).toBe('deny')
      expect(call.decision).toBe('deny')
    },
  )

  test('a guarded tool does not run when the halt comes between the answer and the call', async () => {
    const { port, run, node } = await openNode()
    let ran = 0
    const ping = port.guard('ping', async () => {
      ran++
    })
    const pending = ping(node, {})
    void run.halt({ reason: 'stop' })
    await expect(pending).rejects.toMatchObject({ code: 'ERR_DENIED' })
    expect(ran).toBe(0)
  })

  test('an observer that halts on a verdict halts before the verdict is given', async () => {
    const { port, run, node } = await openNode()
    port.on('verdict', () => run.halt({ reason: 'kill switch' }))
    const call = await node.authorize({ tool: 'ping' })
    expect(call.decision === 'allow' ? 'allow' : call.denial.code).toBe('run_halted')
  })

  test('closing the gateway stops all runs at once, however slow the log is', async () => {
    const { port } = await openPort({ audit: slowSink(10), timeoutMs: 100 })
    const runs = await Promise.all(['a', 'b'].map((id) => port.openRun({ graph: GRAPH, principal: 'tester', id })))
    const nodes = await Promise.all(runs.map((run) => run.admit('fetch')))
    const closing = port.close()
    const calls = await Promise.all(nodes.map((node) => node.authorize({ tool: 'ping' })))
    expect(calls.map((call) => call.decision)).toEqual(['deny', 'deny'])
    await closing
  })
})

describe('observers', () => {
  test('cannot turn a never into a maybe', async () => {
    const { port, node } = await openNode()
    port.on('verdict', (verdict: Verdict) => {
      ;(verdict.denial as { recoverable: string }).recoverable = 'narrower'
    })
    const call = await node.authorize(FORBIDDEN)
    expect(call.decision === 'allow' ? undefined : call.denial.recoverable).toBe('never')
    expect((await node.authorize({ tool: 'ping' })).decision).toBe('deny')
  })

  test('cannot change mode, deadline or the standing of a skill', async () => {
    const { port } = await openPort()
    expect(() => {
      ;(port.config as { timeoutMs: number }).timeoutMs = 1e9
    }).toThrow(TypeError)
    expect(() => {
      ;(port.skills[0] as { admitted: boolean }).admitted = false
    }).toThrow(TypeError)
  })
})

describe('hostile errors', () => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const errors: readonly (readonly [string, unknown])[] = [
    ['a message that is no text', Object.assign(new Error('x'), { message: { toString: 5 } })],
    [
      'a message that throws',
      Object.defineProperty(new Error('x'), 'message', {
        get: () => {
          throw new Error('no')
        },
      }),
    ],
    ['a name that is a symbol', Object.assign(new Error('x'), { name: Symbol('x') })],
    ['a revoked proxy', revoked.proxy],
    ['something that looks like a denial', { code: 42, recoverable: false, detail: {} }],
    ['nothing', undefined],
  ]

  test.each(errors)('%s ends node and call, recorded', async (_, error) => {
    const { port, node, audit } = await openNode()
    const ping = port.guard('ping', () => Promise.reject(error))
    await expect(ping(node, {})).rejects.toBe(error)
    expect(await node.fail(error)).toMatchObject({ accepted: true })
    expect(recordTypes(audit)).toEqual(expect.arrayContaining(['call.outcome', 'node.failed']))
    expect((await node.authorize({ tool: 'ping' })).decision).toBe('deny')
  })
})

describe('a manifest only narrows', () => {
  test('on_failure: continue of a manifest opens nothing', async () => {
    const { run, node } = await openNode({ skills: [bundleOf(`${MANIFEST}on_failure: continue\n`)] })
    await node.authorize(FORBIDDEN)
    expect((await run.admit('publish')).denial?.code).toBe('node_not_ready')
  })

  test('a bundle is read once', async () => {
    let reads = 0
    const honest = bundleOf()
    const wider = { file: 'manifest.yaml', text: MANIFEST.replace('api.example.com', 'other.example.com') }
    const bundle = Object.defineProperty({ ...honest }, 'manifest', {
      enumerable: true,
      get: () => (reads++ === 0 ? honest.manifest : wider),
    })
    const policy = { file: 'p.yaml', text: POLICY.replaceAll('api.example.com', '*') }
    const port = await AgentPort.open({ skills: [bundle], trust: pin(honest), policy, audit: memorySink(), env: {} })
    const [skill] = port.skills
    expect(skill?.admitted === true && skill.manifest.allowedHosts.map(({ text }) => text)).toEqual([
      'api.example.com',
      '*.evil.example',
    ])
  })
})

describe('operators', () => {
  test('a narrower policy takes force; skills that no longer fit are rejected', async () => {
    const { port, run, node, audit } = await openNode()
    const narrow = {
      file: 'p.yaml',
      text: 'version: 1\nrules:\n  - { id: ping, effect: permit, nodes: ["*"], tools: [ping] }\n',
    }
    expect(await port.replacePolicy(narrow)).toMatchObject([
      { name: 'web', admitted: false, denial: { code: 'manifest_excess' } },
    ])
    expect((await node.authorize({ tool: 'ping' })).decision).toBe('deny')
    expect((await run.admit('aside')).denial?.code).toBe('manifest_excess')
    expect(recordTypes(audit)).toContain('skill.rejected')
  })

  test('a policy that does not hold together changes nothing', async () => {
    const { port, node } = await openNode()
    const before = port.policyDigest
    await expect(port.replacePolicy({ file: 'p.yaml', text: 'version: 1\nrulez: []\n' })).rejects.toMatchObject({
      code: 'ERR_POLICY_INVALID',
    })
    expect(port.policyDigest).toBe(before)
    expect((await node.authorize({ tool: 'ping' })).decision).toBe('allow')
  })

  test.each([
    ['rejectedSkills', 'thrwo'],
    ['timeOutMs', 20],
    ['failOpen', true],
  ])('option %s: %j is refused, not ignored', async (name, value) => {
    await expect(openPort({ [name]: value })).rejects.toThrow(TypeError)
  })

  test('a gateway that does not open lets go of its log', async () => {
    let closed = 0
    const audit = {
      append: () => undefined,
      close: () => {
        closed++
        return Promise.resolve()
      },
    }
    const skills = [bundleOf(), bundleOf()]
    await expect(
      AgentPort.open({
        policy: PolicyEngine.from({ file: 'p.yaml', text: POLICY }),
        skills,
        trust: pin(bundleOf()),
        audit,
        env: {},
      }),
    ).rejects.toThrow(TypeError)
    expect(closed).toBe(1)
  })

  test('a node whose standing is lost does not succeed', async () => {
    const { port, run, node } = await openNode()
    await port.replacePolicy({
      file: 'p.yaml',
      text: `${POLICY}  - { id: more, effect: permit, nodes: [x], tools: [ping] }\n`,
    })
    expect((await node.complete()).accepted).toBe(false)
    expect(run.ready()).toEqual(['aside'])
  })

  test('a salt that is only promised to be kept is not kept: the call is refused', async () => {
    const kept: string[] = []
    const control = await openNode({ keepSalt: (_seq, _field, salt) => void kept.push(salt) })
    expect((await control.node.authorize({ tool: 'ping' })).decision).toBe('allow')
    expect(kept).toHaveLength(1)
    const { node } = await openNode({ keepSalt: (() => Promise.resolve()) as () => void })
    const call = await node.authorize({ tool: 'ping' })
    expect(call.decision === 'allow' ? 'allow' : call.denial.code).toBe('audit_unavailable')
  })

  test('a record that was lost denies all that follows', async () => {
    const sink = memorySink()
    let lose = false
    const { node } = await openNode({
      audit: {
        append: (line) => {
          if (lose) throw new Error('full')
          return sink.append(line)
        },
      },
    })
    lose = true
    await node.authorize({ tool: 'shell' })
    lose = false
    const call = await node.authorize({ tool: 'ping' })
    expect(call.decision === 'allow' ? 'allow' : call.denial.code).toBe('audit_unavailable')
  })
})
