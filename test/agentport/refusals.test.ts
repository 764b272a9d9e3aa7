// Each check on the way of a call, with the call that it stops. The order is that of DESIGN: the earlier check answers.

import { describe, expect, test, vi } from 'vitest'

import {
  AgentPort,
  type AuditSink,
  type Clock,
  DeniedError,
  memorySink,
  PolicyEngine,
  type Verdict,
} from '../../src/index.ts'
import { bundleOf, GRAPH, MANIFEST, openNode, openPort, POLICY, pin, recordTypes } from './fixture.ts'

const API = 'https://api.example.com/'

async function codeOf(node: Awaited<ReturnType<typeof openNode>>['node'], request: unknown): Promise<string> {
  const call = await node.authorize(request as { tool: string })
  return call.decision === 'allow' ? 'allow' : call.denial.code
}

describe('a call is refused when', () => {
  const table: readonly (readonly [string, unknown, string])[] = [
    ['the request is nothing', undefined, 'request_invalid'],
    ['the request is a string', 'http_get', 'request_invalid'],
    ['the tool name is a getter', Object.defineProperty({}, 'tool', { get: () => 'http_get' }), 'request_invalid'],
    ['the tool name has a newline', { tool: 'http_get\n', args: { url: API } }, 'request_invalid'],
    ['the tool name has a NUL', { tool: 'http_get\0', args: { url: API } }, 'request_invalid'],
    ['the tool name is a look-alike', { tool: 'httр_get', args: { url: API } }, 'request_invalid'],
    ['the tool is a property of every object', { tool: 'constructor', args: {} }, 'tool_undeclared'],
    ['the tool is not declared', { tool: 'shell', args: {} }, 'tool_undeclared'],
    ['the arguments are a list', { tool: 'http_get', args: [API] }, 'arguments_invalid'],
    ['the arguments lack what is required', { tool: 'http_get', args: {} }, 'arguments_invalid'],
    [
      'the arguments have more than the schema',
      { tool: 'http_get', args: { url: API, extra: 1 } },
      'arguments_invalid',
    ],
    ['an argument has another type', { tool: 'http_get', args: { url: 5 } }, 'arguments_invalid'],
    [
      'an argument is a getter',
      { tool: 'http_get', args: Object.defineProperty({}, 'url', { enumerable: true, get: () => API }) },
      'arguments_unreadable',
    ],
    [
      'the arguments are a proxy that throws',
      {
        tool: 'http_get',
        args: new Proxy(
          {},
          {
            ownKeys: () => {
              throw new Error('x')
            },
          },
        ),
      },
      'arguments_unreadable',
    ],
    [
      'the arguments have a __proto__ key',
      { tool: 'http_get', args: JSON.parse('{"url":"https://api.example.com/","__proto__":{"a":1}}') },
      'arguments_unreadable',
    ],
    ['the arguments are 10,000 deep', { tool: 'http_get', args: deep(10_000) }, 'arguments_too_large'],
    [
      'an argument is 10 MB long',
      { tool: 'http_get', args: { url: `${API}${'a'.repeat(10_000_000)}` } },
      'arguments_too_large',
    ],
    [
      'the URL has user info',
      { tool: 'http_get', args: { url: 'https://api.example.com@evil.test/' } },
      'resource_invalid',
    ],
    [
      'the URL has a backslash',
      { tool: 'http_get', args: { url: 'https://api.example.com\\@evil.test/' } },
      'resource_invalid',
    ],
    ['the address is octal', { tool: 'http_get', args: { url: 'http://0177.0.0.1/' } }, 'resource_invalid'],
    ['the address is short', { tool: 'http_get', args: { url: 'http://127.1/' } }, 'resource_invalid'],
    ['the address is hex', { tool: 'http_get', args: { url: 'http://0x7f000001/' } }, 'resource_invalid'],
    [
      'the address is mapped into IPv6',
      { tool: 'http_get', args: { url: 'http://[::ffff:127.0.0.1]/' } },
      'resource_undeclared',
    ],
    [
      'the host is not in the manifest',
      { tool: 'http_get', args: { url: 'https://other.example.com/' } },
      'resource_undeclared',
    ],
    [
      'the port is another',
      { tool: 'http_get', args: { url: 'https://api.example.com:8443/' } },
      'resource_undeclared',
    ],
    [
      'a URL hides in an unmapped argument',
      { tool: 'http_get', args: { url: API, note: 'https://evil.test/?q=secret' } },
      'resource_unmapped',
    ],
    ['a path climbs', { tool: 'read_file', args: { path: '/srv/data/../../etc/passwd' } }, 'resource_invalid'],
    [
      'a path climbs encoded',
      { tool: 'read_file', args: { path: '/srv/data/%2e%2e/%2e%2e/etc/passwd' } },
      'resource_invalid',
    ],
    ['a path is outside', { tool: 'read_file', args: { path: '/etc/passwd' } }, 'resource_undeclared'],
    ['a rule forbids it', { tool: 'http_get', args: { url: 'https://a.evil.example/' } }, 'forbidden'],
    ['a person has to agree', { tool: 'read_file', args: { path: '/srv/data/secret/key' } }, 'approval_required'],
  ]

  test.each(table)('%s', async (_, request, code) => {
    const { node } = await openNode()
    expect(await codeOf(node, request)).toBe(code)
  })

  test('control: the plain call is allowed', async () => {
    const { node } = await openNode()
    expect(await codeOf(node, { tool: 'http_get', args: { url: API } })).toBe('allow')
    expect(await codeOf(node, { tool: 'read_file', args: { path: '/srv/data/a' } })).toBe('allow')
    expect(await codeOf(node, { tool: 'ping' })).toBe('allow')
  })

  test('the tool is outside the tool_scope of the node; a node starts with nothing', async () => {
    const { run, node } = await openNode(
      {},
      { nodes: { fetch: { skill: 'web', toolScope: ['ping'] }, bare: { skill: 'web' } } },
    )
    expect(await codeOf(node, { tool: 'http_get', args: { url: API } })).toBe('tool_out_of_scope')
    expect(await codeOf(await run.admit('bare'), { tool: 'ping' })).toBe('tool_out_of_scope')
  })

  test('no rule permits it', async () => {
    const { node } = await openNode({
      policy: {
        file: 'p.yaml',
        text: POLICY.replace('tools: [ping]', 'tools: [ping]\n    facts: { /run/drill: { equals: true } }'),
      },
    })
    expect(await codeOf(node, { tool: 'ping' })).toBe('no_matching_permit')
  })

  test('the run was halted, whatever else is wrong', async () => {
    const { run, node } = await openNode()
    await run.halt({ reason: 'stop' })
    expect(await codeOf(node, { tool: 'shell' })).toBe('run_halted')
    expect(node.signal.aborted).toBe(true)
    expect((await run.admit('aside')).denial?.code).toBe('run_halted')
  })

  test('the run was closed', async () => {
    const { run, node } = await openNode()
    await run.close()
    expect(await codeOf(node, { tool: 'ping' })).toBe('run_closed')
  })

  test('the node has ended', async () => {
    const { node } = await openNode()
    await node.complete()
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_revoked')
  })

  test('the node has not been admitted', async () => {
    const { run } = await openNode()
    const node = await run.admit('publish')
    expect(node.decision).toBe('deny')
    expect(node.denial?.code).toBe('node_not_ready')
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_missing')
    expect((await run.admit('nowhere')).denial?.code).toBe('node_unknown')
    expect((await run.admit('__proto__')).denial?.code).toBe('node_unknown')
  })

  test('the lifetime of the node is over, even when the wall clock is set back', async () => {
    let wall = 1_000_000
    let steady = 0
    const clock: Clock = { now: () => wall, monotonic: () => steady }
    const { node } = await openNode(
      { clock },
      { nodes: { fetch: { skill: 'web', toolScope: ['ping'], lifetimeMs: 1000 } } },
    )
    expect(await codeOf(node, { tool: 'ping' })).toBe('allow')
    steady = 1000
    wall = 0
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_expired')
  })

  test('the policy was replaced after the node was admitted', async () => {
    const { port, run, node } = await openNode()
    await port.replacePolicy({
      file: 'policy.yaml',
      text: `${POLICY}  - { id: more, effect: permit, nodes: [nobody], tools: [ping] }\n`,
    })
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_revoked')
    expect(await codeOf(await run.admit('aside'), { tool: 'ping' })).toBe('allow')
  })

  test('the skill was quarantined: its nodes end, and none is admitted', async () => {
    const { port, run, node, audit } = await openNode()
    const call = await node.authorize({ tool: 'ping' })
    if (call.decision !== 'allow') throw new Error(call.denial.detail)
    await expect(port.quarantine('wbe', 'typo')).rejects.toThrow(TypeError)
    await expect(port.quarantine('web', undefined as never)).rejects.toThrow(TypeError)
    expect(node.signal.aborted).toBe(false)
    await port.quarantine('web', 'reported')
    expect(node.signal.aborted).toBe(true)
    expect(await call.settle(1)).toMatchObject({ accepted: false })
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_revoked')
    expect((await run.admit('aside')).denial?.code).toBe('skill_quarantined')
    expect(audit.lines.map((line) => JSON.parse(line)).find(({ type }) => type === 'node.failed')).toMatchObject({
      code: 'skill_quarantined',
    })
  })

  test('the graph asserts a role no policy lets it assert', async () => {
    const { node } = await openNode({}, { nodes: { fetch: { skill: 'web', toolScope: ['ping'], role: 'admin' } } })
    expect(await codeOf(node, { tool: 'ping' })).toBe('role_unknown')
  })

  test('the decision is late', async () => {
    let steady = 0
    const clock: Clock = { now: () => 0, monotonic: () => (steady += 30) }
    const { node } = await openNode({ clock, timeoutMs: 50 })
    expect(await codeOf(node, { tool: 'ping' })).toBe('deadline_exceeded')
  })
})

function deep(depth: number): unknown {
  let value: unknown = 'x'
  for (let level = 0; level < depth; level++) value = { value }
  return value
}

describe('the audit log is a condition', () => {
  /** Works until told to break. */
  function breakable(): AuditSink & { mode: 'ok' | 'throw' | 'reject' | 'hang'; lines: string[] } {
    const sink = {
      mode: 'ok' as 'ok' | 'throw' | 'reject' | 'hang',
      lines: [] as string[],
      append(line: string): void | Promise<void> {
        if (sink.mode === 'throw') throw new Error('disk full')
        if (sink.mode === 'reject') return Promise.reject(new Error('disk full'))
        if (sink.mode === 'hang') return new Promise(() => undefined)
        sink.lines.push(line)
      },
    }
    return sink
  }

  test.each([
    ['throw', 'audit_unavailable'],
    ['reject', 'audit_unavailable'],
    ['hang', 'deadline_exceeded'],
  ] as const)('a sink that starts to %s denies with %s', async (mode, code) => {
    const sink = breakable()
    const { node } = await openNode({ audit: sink, timeoutMs: 20 })
    expect(await codeOf(node, { tool: 'ping' })).toBe('allow')
    sink.mode = mode
    expect(await codeOf(node, { tool: 'ping' })).toBe(code)
  })

  test('a sink that hangs keeps no refusal waiting, and no halt', async () => {
    const sink = breakable()
    const { run, node } = await openNode({ audit: sink, timeoutMs: 20 })
    sink.mode = 'hang'
    expect(await codeOf(node, { tool: 'shell' })).toBe('tool_undeclared')
    expect(await codeOf(node, { tool: 'http_get', args: { url: 'https://x.evil.example/' } })).toBe('forbidden')
    void run.halt({ reason: 'stop' })
    expect(run.state).not.toBe('running')
    expect((await run.admit('aside')).denial?.code).toBe('run_halted')
  }, 20_000)

  test('a sink that recovers is not believed', async () => {
    const sink = breakable()
    const { run, node } = await openNode({ audit: sink })
    sink.mode = 'throw'
    expect(await codeOf(node, { tool: 'ping' })).toBe('audit_unavailable')
    sink.mode = 'ok'
    const other = await run.admit('aside')
    expect(other.decision === 'allow' ? await codeOf(other, { tool: 'ping' }) : other.denial?.code).toBe(
      'audit_unavailable',
    )
  })

  test('an outcome that cannot be recorded is not handed on', async () => {
    const sink = breakable()
    const { node } = await openNode({ audit: sink })
    const call = await node.authorize({ tool: 'ping' })
    if (call.decision !== 'allow') throw new Error(call.denial.detail)
    sink.mode = 'throw'
    expect(await call.settle('x')).toMatchObject({
      accepted: false,
      denial: { code: 'audit_unavailable', dispatched: true },
    })
  })

  test('a halt does not wait for the log', async () => {
    const sink = breakable()
    const { run, node } = await openNode({ audit: sink })
    sink.mode = 'throw'
    const report = await run.halt({ reason: 'stop' })
    expect(report.cancelled).toEqual([{ node: 'fetch', attempt: 1 }])
    expect(node.signal.aborted).toBe(true)
  })

  test('a run halted while the intent is being written is not allowed to go on', async () => {
    let release: (() => void) | undefined
    let slow = false
    const lines: string[] = []
    const audit: AuditSink = {
      append: (line) => {
        lines.push(line)
        if (!slow) return undefined
        slow = false
        return new Promise<void>((resolve) => {
          release = resolve
        })
      },
    }
    const { run, node } = await openNode({ audit, timeoutMs: 100 })
    slow = true
    const pending = node.authorize({ tool: 'ping' })
    void run.halt({ reason: 'stop' })
    release?.()
    const call = await pending
    expect(call.decision === 'allow' ? 'allow' : call.denial.code).toBe('run_halted')
    expect(lines.map((line) => JSON.parse(line).type)).toContain('call.dropped')
  })
})

describe('what was judged is what runs', () => {
  test('arguments changed after the call change nothing', async () => {
    const { node } = await openNode()
    const args = { url: API }
    const pending = node.authorize({ tool: 'http_get', args })
    args.url = 'https://evil.test/'
    const call = await pending
    if (call.decision !== 'allow') throw new Error(call.denial.detail)
    expect(call.args['url']).toBe(API)
    expect(() => {
      ;(call.args as { url: string }).url = 'https://evil.test/'
    }).toThrow(TypeError)
  })

  test('control: judging the caller’s own object lets it be swapped', () => {
    const args = { url: API }
    const judged = new URL(args.url).host === 'api.example.com'
    args.url = 'https://evil.test/'
    expect(judged && new URL(args.url).host).toBe('evil.test')
  })

  test('a second result, and one after the halt, are dropped and recorded', async () => {
    const { run, node, audit } = await openNode()
    const call = await node.authorize({ tool: 'ping' })
    if (call.decision !== 'allow') throw new Error()
    expect((await call.settle(1)).accepted).toBe(true)
    expect(await call.settle(2)).toMatchObject({ accepted: false, denial: { code: 'verdict_settled' } })
    const late = await node.authorize({ tool: 'ping' })
    if (late.decision !== 'allow') throw new Error()
    await run.halt({ reason: 'stop' })
    expect(await late.settle(3)).toMatchObject({ accepted: false, denial: { code: 'run_halted', dispatched: true } })
    expect(recordTypes(audit).filter((type) => type === 'call.dropped')).toHaveLength(2)
  })

  test('two results at once: one is taken', async () => {
    const { node } = await openNode()
    const call = await node.authorize({ tool: 'ping' })
    if (call.decision !== 'allow') throw new Error()
    const settled = await Promise.all([call.settle(1), call.settle(2), call.settle(3)])
    expect(settled.filter(({ accepted }) => accepted)).toHaveLength(1)
  })

  test('a result after the verdict expired is dropped', async () => {
    let steady = 0
    const clock: Clock = { now: () => 0, monotonic: () => steady }
    const { node } = await openNode(
      { clock },
      { nodes: { fetch: { skill: 'web', toolScope: ['ping'], lifetimeMs: 1000 } } },
    )
    const call = await node.authorize({ tool: 'ping' })
    if (call.decision !== 'allow') throw new Error()
    steady = 1000
    expect(await call.settle(1)).toMatchObject({ accepted: false, denial: { code: 'verdict_expired' } })
  })
})

describe('a denial stops what must not go on', () => {
  test('a forbidden call ends the node and skips what depends on it; others go on', async () => {
    const { run, node, audit } = await openNode()
    expect(await codeOf(node, { tool: 'http_get', args: { url: 'https://x.evil.example/' } })).toBe('forbidden')
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_revoked')
    expect(run.ready()).toEqual(['aside'])
    expect(recordTypes(audit).slice(-4)).toEqual(['call.denied', 'node.failed', 'node.skipped', 'call.denied'])
    expect(run.state).toBe('running')
  })

  test('with on_failure: halt it halts the run for good', async () => {
    const graph = { nodes: { ...GRAPH.nodes, fetch: { ...GRAPH.nodes.fetch, onFailure: 'halt' } } }
    const { run, node, audit } = await openNode({}, graph)
    await codeOf(node, { tool: 'http_get', args: { url: 'https://x.evil.example/' } })
    expect(run.signal.aborted).toBe(true)
    expect((await run.admit('aside')).denial?.code).toBe('run_halted')
    expect(recordTypes(audit).filter((type) => type === 'run.halted')).toHaveLength(1)
    expect((await run.close()).state).toBe('halted')
  })

  test('on_failure of the manifest counts where the graph says nothing', async () => {
    const skills = [bundleOf(`${MANIFEST}on_failure: halt\n`)]
    const forbidden = { tool: 'http_get', args: { url: 'https://x.evil.example/' } }
    const silent = await openNode({ skills })
    await codeOf(silent.node, forbidden)
    expect(silent.run.state).toBe('halted')
    const graph = { nodes: { ...GRAPH.nodes, fetch: { ...GRAPH.nodes.fetch, onFailure: 'continue' } } }
    const stated = await openNode({ skills }, graph)
    await codeOf(stated.node, forbidden)
    expect(stated.run.state).toBe('running')
  })

  test('a narrower refusal leaves the node running; the third same one ends it', async () => {
    const { node } = await openNode()
    const call = { tool: 'read_file', args: { path: '/etc/passwd' } }
    expect(await codeOf(node, call)).toBe('resource_undeclared')
    expect(await codeOf(node, { tool: 'ping' })).toBe('allow')
    expect(await codeOf(node, call)).toBe('resource_undeclared')
    expect(await codeOf(node, call)).toBe('denial_repeated')
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_revoked')
  })

  test('fail() tells the executor what the graph does about it', async () => {
    const { run, node } = await openNode({}, { nodes: { fetch: { skill: 'web', toolScope: ['ping'], attempts: 2 } } })
    expect(await node.fail(new Error('flaky'))).toMatchObject({ accepted: true, disposition: 'retry' })
    const again = await run.admit('fetch')
    expect(again.attempt).toBe(2)
    expect(await again.fail(new Error('flaky'))).toMatchObject({ accepted: true, disposition: 'skip_downstream' })
    expect((await again.complete()).accepted).toBe(false)
  })
})

describe('guard', () => {
  test('runs the tool with judged arguments and returns its result', async () => {
    const { port, node } = await openNode()
    const seen: unknown[] = []
    const get = port.guard('http_get', async (args) => {
      seen.push(args)
      return args['url']
    })
    expect(await get(node, { url: 'https://API.example.com./x' })).toBe('https://api.example.com/x')
    expect(seen).toHaveLength(1)
  })

  test('cannot be called ungated', async () => {
    const { port, node } = await openNode()
    const tool = vi.fn(async () => 'done')
    const ping = port.guard('ping', tool)
    const other = await openNode()
    const forged = {
      authorize: async () => ({
        decision: 'allow',
        args: {},
        settle: async (value: unknown) => ({ accepted: true, value }),
      }),
    }
    for (const impostor of [
      undefined,
      null,
      {},
      forged,
      Object.create(Object.getPrototypeOf(node)),
      new Proxy(node, {}),
      other.node,
    ]) {
      await expect(ping(impostor as never, {})).rejects.toMatchObject({
        code: 'ERR_DENIED',
        denial: { code: 'ticket_missing' },
      })
    }
    expect(tool).not.toHaveBeenCalled()
    expect(await ping(node, {})).toBe('done')
  })

  test('a denial is thrown as an error that is safe to show to a model', async () => {
    const { port, node } = await openNode()
    const get = port.guard('http_get', async () => 'x')
    const error = await get(node, { url: 'https://x.evil.example/secret' }).catch((caught: unknown) => caught)
    expect(error).toBeInstanceOf(DeniedError)
    expect((error as DeniedError).message).toMatch(/^\[forbidden\] \(http_get\)/)
    expect((error as DeniedError).message).not.toMatch(/no-evil|policy\.yaml|secret/)
  })

  test('a tool that throws has its failure recorded and its own error thrown', async () => {
    const { port, node, audit } = await openNode()
    const ping = port.guard('ping', async () => {
      throw new RangeError('boom')
    })
    await expect(ping(node, {})).rejects.toThrow(RangeError)
    expect(JSON.parse(audit.lines.at(-1) ?? '')).toMatchObject({
      type: 'call.outcome',
      outcome: 'failed',
      detail: 'RangeError: boom',
    })
  })
})

describe('opening', () => {
  const bad: readonly (readonly [string, object, string])[] = [
    ['an unknown mode', { mode: 'permissive' }, 'ERR_CONFIG_INVALID'],
    ['an unknown mode in the environment', { env: { AGENTPORT_ENFORCEMENT_MODE: 'Strict' } }, 'ERR_CONFIG_INVALID'],
    ['a deadline of nothing', { timeoutMs: 0 }, 'ERR_CONFIG_INVALID'],
    ['a deadline over 100 ms', { timeoutMs: 101 }, 'ERR_CONFIG_INVALID'],
    ['a deadline that is not a number', { env: { AGENTPORT_TIMEOUT_MS: '50ms' } }, 'ERR_CONFIG_INVALID'],
    ['a hexadecimal deadline', { env: { AGENTPORT_TIMEOUT_MS: '0x32' } }, 'ERR_CONFIG_INVALID'],
    ['an empty deadline', { env: { AGENTPORT_TIMEOUT_MS: '' } }, 'ERR_CONFIG_INVALID'],
    ['observe without a candidate', { mode: 'observe' }, 'ERR_CONFIG_INVALID'],
    ['an empty policy', { policy: { file: 'p.yaml', text: '' } }, 'ERR_POLICY_INVALID'],
    ['a null policy', { policy: { file: 'p.yaml', text: 'null' } }, 'ERR_POLICY_INVALID'],
    [
      'a misspelt effect',
      { policy: { file: 'p.yaml', text: POLICY.replace('forbid', 'forbidd') } },
      'ERR_POLICY_INVALID',
    ],
    ['an unusable trust', { trust: { version: 1, publisher: [] } }, 'ERR_TRUST_INVALID'],
  ]
  test.each(bad)('%s is refused', async (_, options, code) => {
    await expect(openPort(options)).rejects.toMatchObject({ code })
  })

  test.each(['policy', 'skills', 'trust', 'audit'])('absent %s is misuse, never "all"', async (key) => {
    const options = {
      policy: { file: 'p.yaml', text: POLICY },
      skills: [],
      trust: { version: 1 },
      audit: memorySink(),
      env: {},
      [key]: undefined,
    }
    await expect(AgentPort.open(options as never)).rejects.toThrow(TypeError)
  })

  test('options win over the environment', async () => {
    const env = { AGENTPORT_TIMEOUT_MS: '20', AGENTPORT_ENFORCEMENT_MODE: 'strict' }
    expect((await openPort({ env })).port.config).toEqual({ mode: 'strict', timeoutMs: 20 })
    expect((await openPort({ env, timeoutMs: 30 })).port.config.timeoutMs).toBe(30)
  })

  const rejected: readonly (readonly [string, () => object, string])[] = [
    ['not vouched for', () => ({ trust: { version: 1, pinned: [] } }), 'attestation_missing'],
    [
      'changed after it was pinned',
      () => ({ skills: [bundleOf(`${MANIFEST}# more\n`)], trust: pin(bundleOf()) }),
      'attestation_mismatch',
    ],
    ['malformed', () => ({ skills: [bundleOf(`${MANIFEST}allowed_host: []\n`)] }), 'manifest_invalid'],
    [
      'asking for more than is granted',
      () => ({ skills: [bundleOf(MANIFEST.replace('/srv/data/**', '/**'))] }),
      'manifest_excess',
    ],
  ]
  test.each(rejected)('a skill that is %s is rejected, recorded, and runs nowhere', async (_, options, code) => {
    const { port, audit } = await openPort({ ...options(), rejectedSkills: 'report' })
    expect(port.skills).toMatchObject([{ admitted: false, denial: { code } }])
    expect(recordTypes(audit)).toContain('skill.rejected')
    const run = await port.openRun({ graph: GRAPH, principal: 'tester' })
    const node = await run.admit('fetch')
    expect(node.denial?.code).toBe(code)
    expect(await codeOf(node, { tool: 'ping' })).toBe('ticket_missing')
  })

  test('the excess is named with its place', async () => {
    const excessive = openPort({ skills: [bundleOf(MANIFEST.replace('/srv/data/**', '/**'))] })
    await expect(excessive).rejects.toMatchObject({
      code: 'ERR_SKILL_REJECTED',
      message: expect.stringContaining('read /** (manifest.yaml:21:18; '),
    })
  })

  test('unless told to report, a rejected skill keeps the gateway closed; all problems are named', async () => {
    const audit = memorySink()
    const broken = openPort({
      audit,
      skills: [bundleOf(MANIFEST.replace('allowed_hosts', 'allowed_host').replace('kind: url', 'kind: uri'))],
    })
    await expect(broken).rejects.toMatchObject({
      code: 'ERR_SKILL_REJECTED',
      message: expect.stringMatching(/kind[^]*allowed_host/),
    })
    expect(recordTypes(audit).slice(-2)).toEqual(['skill.rejected', 'log.closed'])
  })

  test('a refused node says what the graph does about it', async () => {
    const { port } = await openPort({ trust: { version: 1 }, rejectedSkills: 'report' })
    const graph = { nodes: { ...GRAPH.nodes, fetch: { ...GRAPH.nodes.fetch, onFailure: 'halt' } } }
    const run = await port.openRun({ graph, principal: 'tester' })
    const node = await run.admit('fetch')
    expect(await node.fail(node.denial)).toMatchObject({ accepted: false, disposition: 'halt', halted: true })
    expect(run.state).toBe('halted')
  })

  test('a graph that names an unknown skill, or has a cycle, does not open', async () => {
    const { port } = await openPort()
    await expect(port.openRun({ graph: { nodes: { a: { skill: 'other' } } }, principal: 'x' })).rejects.toMatchObject({
      code: 'ERR_GRAPH_INVALID',
    })
    await expect(
      port.openRun({ graph: { nodes: { a: { skill: 'web', after: ['a'] } } }, principal: 'x' }),
    ).rejects.toMatchObject({ code: 'ERR_GRAPH_INVALID' })
  })
})

describe('observe', () => {
  test('records what the candidate would have decided and enforces the active policy', async () => {
    const candidate = PolicyEngine.from({ file: 'c.yaml', text: 'version: 1\nrules: []\n' })
    const { node, audit } = await openNode({ mode: 'observe', candidate })
    expect(await codeOf(node, { tool: 'ping' })).toBe('allow')
    expect(JSON.parse(audit.lines.at(-1) ?? '')).toMatchObject({
      type: 'call.allowed',
      mode: 'observe',
      candidate_decision: 'deny',
      candidate_code: 'no_matching_permit',
    })
    expect(await codeOf(node, { tool: 'http_get', args: { url: 'https://x.evil.example/' } })).toBe('forbidden')
  })
})

describe('observers', () => {
  test('one that throws changes nothing and silences nobody', async () => {
    const { port, node } = await openNode()
    const seen: Verdict[] = []
    port.on('verdict', () => {
      throw new Error('observer')
    })
    port.on('verdict', async () => {
      throw new Error('observer')
    })
    const off = port.on('verdict', (verdict) => seen.push(verdict))
    expect(await codeOf(node, { tool: 'ping' })).toBe('allow')
    off()
    expect(await codeOf(node, { tool: 'ping' })).toBe('allow')
    expect(seen.map(({ decision }) => decision)).toEqual(['allow'])
  })
})
