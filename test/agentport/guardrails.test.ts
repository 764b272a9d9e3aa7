// What a confined process does, as the gateway sees it: written down, counted, and for some of it the end of the node. Each
// attack has beside it what must not be mistaken for one.

import { describe, expect, test } from 'vitest'

import { LIMITS } from '../../src/core/limits.ts'
import {
  type AuditSink,
  type EnforcerEvent,
  type EnforcerFact,
  FEATURES,
  type Feature,
  verifyAuditLog,
} from '../../src/index.ts'
import { unsafeNullEnforcer } from '../../src/testing/index.ts'
import { GRAPH, openNode, reportOf, scriptedEnforcer } from './fixture.ts'

type RecordLine = Readonly<Record<string, unknown>> & { readonly type: string }

const PTRACE: EnforcerFact = {
  type: 'denied',
  feature: 'privilege',
  subject: 'ptrace',
  evidence: 'enforced',
  pid: 7,
}
const COMMAND = { file: '/usr/bin/tool', args: [] }

function denied(feature: Feature, subject: string, evidence: 'enforced' | 'observed' = 'enforced'): EnforcerFact {
  return { type: 'denied', feature, subject, evidence }
}

function parsed(lines: readonly string[]): readonly RecordLine[] {
  return lines.map((line) => JSON.parse(line) as RecordLine)
}

/** Long enough for everything that was told to have been read. */
const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10))

async function openBox(options: Parameters<typeof openNode>[0] = {}, graph: object = GRAPH) {
  const { enforcer, boxes } = scriptedEnforcer()
  const opened = await openNode({ enforcer, ...options }, graph)
  const confinement = await opened.node.confine('ping')
  const [box] = boxes
  if (box === undefined) throw new Error('no box was opened')
  const records = (type?: string): readonly RecordLine[] =>
    parsed(opened.audit.lines).filter((line) => type === undefined || line.type === type)
  return { ...opened, confinement, box, records }
}

async function codeOf(node: { authorize: Awaited<ReturnType<typeof openNode>>['node']['authorize'] }) {
  const call = await node.authorize({ tool: 'ping' })
  return call.decision === 'allow' ? 'allow' : call.denial.code
}

describe('a process that reaches for privilege', () => {
  test('is killed, and its node ends as one that was forbidden something', async () => {
    const { run, node, box, records, confinement } = await openBox()
    box.tell(PTRACE)
    await settled()
    expect(box.kills).toBeGreaterThan(0)
    expect(node.signal.aborted).toBe(true)
    expect(box.signal?.aborted).toBe(true)
    expect(await codeOf(node)).toBe('privilege_escalation')
    await expect(confinement.spawn(COMMAND)).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    await expect(node.confine('ping')).rejects.toMatchObject({ denial: { code: 'privilege_escalation' } })
    expect(await node.complete('loot')).toMatchObject({ accepted: false, disposition: 'skip_downstream' })
    expect(run.ready()).toEqual(['aside'])
    expect(records('process.denied')).toMatchObject([
      { feature: 'privilege', subject: 'ptrace', evidence: 'enforced', pid: 7, code: 'privilege_escalation' },
    ])
    expect(records('node.failed')).toMatchObject([
      { node: 'fetch', outcome: 'denied', code: 'privilege_escalation', skipped: ['publish'] },
    ])
    expect(records('node.skipped')).toMatchObject([{ node: 'publish', reason: 'upstream_denied', cause: 'fetch' }])
    expect(records('process.ended')).toMatchObject([{ denials: 1, denied: ['1 privilege enforced ptrace'] }])
    const order = records().map(({ type }) => type)
    expect(order.indexOf('process.denied')).toBeLessThan(order.indexOf('node.failed'))
  })

  test('is not tried again, and with on_failure: halt it stops the run', async () => {
    const graph = { nodes: { ...GRAPH.nodes, fetch: { ...GRAPH.nodes.fetch, attempts: 3, onFailure: 'halt' } } }
    const { run, box, records } = await openBox({}, graph)
    box.tell(PTRACE)
    await settled()
    expect(run.signal.aborted).toBe(true)
    expect((await run.admit('aside')).denial?.code).toBe('run_halted')
    expect(records('run.halted')).toMatchObject([{ node: 'fetch', code: 'privilege_escalation' }])
    expect((await run.close()).state).toBe('halted')
  })

  test('does not get its result accepted by ending at once', async () => {
    const { node, box, confinement } = await openBox()
    const call = await node.authorize({ tool: 'ping' })
    if (call.decision !== 'allow') throw new Error(call.denial.detail)
    box.facts = [...Array.from({ length: 900 }, (_, index) => denied('egress', `host-${index}`)), PTRACE]
    const { exited } = await confinement.spawn(COMMAND)
    await exited
    expect(await call.settle('loot')).toMatchObject({ accepted: false, denial: { code: 'privilege_escalation' } })
  })

  test('nor by a node that completes without waiting for it', async () => {
    const { node, box } = await openBox()
    box.tell(PTRACE)
    expect((await node.complete('loot')).accepted).toBe(false)
  })

  test('control: one that does not, ends with its node succeeding', async () => {
    const { node, box, confinement, records } = await openBox()
    const call = await node.authorize({ tool: 'ping' })
    if (call.decision !== 'allow') throw new Error(call.denial.detail)
    box.facts = [denied('egress', 'evil.example:443 host_not_granted')]
    const { exited } = await confinement.spawn(COMMAND)
    expect(await exited).toEqual({ code: 0 })
    expect((await call.settle('result')).accepted).toBe(true)
    expect((await node.complete()).accepted).toBe(true)
    await settled()
    expect(records('process.started')).toMatchObject([{ pid: 101, program: '/usr/bin/tool', tool: 'ping' }])
    expect(records('process.exited')).toMatchObject([{ pid: 101, exit_code: 0 }])
    expect(records('process.ended')).toMatchObject([{ processes: 1, denials: 1, lost: 0, killed: 'clean' }])
  })

  test('cannot hide behind many other denials', async () => {
    const { node, box, records } = await openBox()
    for (let index = 0; index < 1000; index++) box.tell(denied('egress', `host-${index}.example`))
    box.tell(PTRACE)
    await settled()
    expect(await codeOf(node)).toBe('privilege_escalation')
    expect(records('process.denied').filter(({ code }) => code === 'privilege_escalation')).toHaveLength(1)
  })

  test('is found also after the executor has killed the box', async () => {
    const { node, box, confinement } = await openBox()
    await confinement.kill()
    box.tell(PTRACE)
    await settled()
    expect(await codeOf(node)).toBe('privilege_escalation')
  })

  test('takes its own node with it, and no other', async () => {
    const { run, box } = await openBox()
    const aside = await run.admit('aside')
    box.tell(PTRACE)
    await settled()
    expect(await codeOf(aside)).toBe('allow')
  })
})

describe('what ends no node', () => {
  test.each([
    ...FEATURES.filter((feature) => feature !== 'privilege').map((feature) => denied(feature, 'something')),
    denied('privilege', 'something', 'observed'),
    { type: 'counted', feature: 'privilege', subject: 'something', count: 3 } as const,
    { type: 'lost', count: 3 } as const,
  ])('$type $feature $evidence', async (fact) => {
    const { node, box, records } = await openBox()
    box.tell(fact)
    await settled()
    expect(await codeOf(node)).toBe('allow')
    expect(box.kills).toBe(0)
    expect(records('process.denied')).toHaveLength(fact.type === 'denied' ? 1 : 0)
    expect(records('process.denied').every(({ code }) => code === undefined)).toBe(true)
  })
})

describe('a flood', () => {
  test('of one denial is one record, and counted to the last', async () => {
    const { box, records, confinement } = await openBox()
    for (let index = 0; index < 10_000; index++) {
      box.tell(denied('egress', 'evil.example:443 host_not_granted'))
      if (index % 500 === 0) await settled()
    }
    await confinement.close()
    expect(records('process.denied')).toHaveLength(1)
    expect(records('process.ended')).toMatchObject([
      { denials: 10_000, denied: ['10000 egress enforced evil.example:443 host_not_granted'], lost: 0 },
    ])
  })

  test('of different denials is a bounded number of records, and counted to the last', async () => {
    const { box, records, confinement } = await openBox()
    for (let index = 0; index < 10_000; index++) {
      box.tell(denied(index % 2 === 0 ? 'egress' : 'syscalls', `${index}-${'\u{1f4a9}'.repeat(400)}`))
      if (index % 500 === 0) await settled()
    }
    await confinement.close()
    expect(records('process.denied')).toHaveLength(128)
    const [ended] = records('process.ended')
    expect(ended).toMatchObject({ denials: 10_000, lost: 0 })
    expect(Buffer.byteLength(JSON.stringify(ended))).toBeLessThan(LIMITS.auditRecordBytes)
    expect(ended?.['denied']).toContain('4936 egress enforced')
    expect(ended?.['denied']).toContain('4936 syscalls enforced')
  })

  test('that the enforcer itself could not hold is not silent', async () => {
    const { box, records, confinement } = await openBox()
    for (let index = 0; index < 10_000; index++) box.tell(denied('fs_read', '/etc/shadow'))
    await confinement.close()
    const [ended] = records('process.ended')
    expect(ended?.['lost']).toBeGreaterThan(0)
    expect(Number(ended?.['denials']) + Number(ended?.['lost'])).toBe(10_000)
  })

  test('of processes is bounded, unless the executor asked for each', async () => {
    const { box, records, confinement } = await openBox()
    for (let index = 0; index < 400; index++) box.tell({ type: 'started', pid: 1000 + index, file: '/usr/bin/fork' })
    await settled()
    expect(records('process.started')).toHaveLength(256)
    for (let index = 0; index < 20; index++) await confinement.spawn(COMMAND)
    await confinement.close()
    expect(records('process.ended')).toMatchObject([{ processes: 420 }])
  })

  test('of what the executor spawns is written in full', async () => {
    const { records, confinement } = await openBox()
    for (let index = 0; index < 400; index++) await confinement.spawn(COMMAND)
    await confinement.close()
    expect(records('process.started')).toHaveLength(400)
    expect(records('process.exited')).toHaveLength(400)
  })
})

describe('the log', () => {
  test('says what holds before anything is started', async () => {
    const report = reportOf({
      limits: { status: 'partial', mechanism: 'x', visibility: 'silent', reason: 'no\ncgroups' },
    })
    const { enforcer } = scriptedEnforcer(report)
    const { node, audit } = await openNode({ enforcer })
    await node.confine('ping', { limits: 'preferred' })
    const records = parsed(audit.lines)
    const confined = records.find(({ type }) => type === 'process.confined')
    expect(records.find(({ type }) => type === 'process.opened')).toMatchObject({
      confinement: confined?.['seq'],
      enforcement: 'scripted',
      profile: confined?.['profile'],
      unenforced: ['limits partial: no\\u{a}cgroups'],
    })
  })

  test('and a box that holds less than was required is closed and not handed out', async () => {
    const report = reportOf({ egress: { status: 'partial', mechanism: 'x', visibility: 'silent' } })
    const { enforcer, boxes } = scriptedEnforcer(report)
    const { node, audit } = await openNode({ enforcer })
    await expect(node.confine('ping')).rejects.toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
    expect(boxes).toMatchObject([{ kills: 1, closes: 1 }])
    expect(parsed(audit.lines).at(-1)).toMatchObject({ type: 'process.ended', processes: 0 })
  })

  test('names a double as one in every record', async () => {
    const { node, audit } = await openNode({ enforcer: unsafeNullEnforcer })
    const preferred = Object.fromEntries(FEATURES.map((feature) => [feature, 'preferred'] as const))
    const confinement = await node.confine('ping', preferred)
    await confinement.close()
    const of = parsed(audit.lines).filter(({ type }) => type === 'process.opened' || type === 'process.ended')
    expect(of.map(({ enforcement }) => enforcement)).toEqual(['none', 'none'])
  })

  test('keeps its lines whatever a process calls things', async () => {
    const { box, records } = await openBox()
    box.tell(denied('fs_read', `/a\n{"type":"run.closed"}\u202e${'x'.repeat(5000)}`))
    await settled()
    const [line] = records('process.denied')
    expect(line?.['subject']).toMatch(/^\/a\\u\{a\}.*\\u\{202e\}x+… \(\d+ characters\)$/)
    expect(String(line?.['subject']).length).toBeLessThanOrEqual(256)
  })

  test('has the end of every confinement before the end of its run, and verifies', async () => {
    const { port, audit, records } = await openBox()
    const head = await port.close()
    const order = records().map(({ type }) => type)
    expect(order.slice(-3)).toEqual(['process.ended', 'run.closed', 'log.closed'])
    expect(verifyAuditLog(`${audit.lines.join('\n')}\n`, { expectHead: head })).toMatchObject({ ok: true, notices: [] })
  })

  test.each(['fails', 'rejects'] as const)('that %s ends box and node', async (how) => {
    let broken = false
    const append: AuditSink['append'] = () => {
      if (!broken) return
      if (how === 'rejects') return Promise.reject(new Error('full'))
      throw new Error('full')
    }
    const { node, box } = await openBox({ audit: { append } })
    broken = true
    box.tell(denied('egress', 'evil.example'))
    await settled()
    expect(box).toMatchObject({ closes: 1 })
    expect(box.kills).toBeGreaterThan(0)
    expect(node.signal.aborted).toBe(true)
    expect(await codeOf(node)).toBe('audit_unavailable')
    await expect(node.confine('ping')).rejects.toMatchObject({ denial: { code: 'audit_unavailable' } })
  })
})

describe('the executor', () => {
  test('reads the same events, in the same order, at the same times', async () => {
    const { box, confinement } = await openBox()
    const facts: readonly EnforcerFact[] = [
      { type: 'started', pid: 4, file: '/usr/bin/tool' },
      denied('egress', 'evil.example'),
      { type: 'counted', feature: 'egress', subject: 'dropped', count: 2 },
      { type: 'lost', count: 3 },
      { type: 'exited', pid: 4, signal: 'SIGKILL' },
    ]
    const sent: number[] = []
    for (const fact of facts) {
      box.tell(fact)
      sent.push(Date.now())
      await new Promise((resolve) => setTimeout(resolve, 3))
    }
    await settled()
    await confinement.close()
    const read: EnforcerEvent[] = []
    for await (const event of confinement.events) read.push(event)
    expect(read).toEqual(facts.map((fact, index) => ({ ...fact, seq: index + 1, at: expect.any(Number) })))
    for (const [index, { at }] of read.entries()) expect(at).toBeLessThanOrEqual(sent[index] ?? 0)
  })

  test('who reads nothing costs bounded memory, and is told what was lost', async () => {
    const { box, confinement, records } = await openBox()
    for (let index = 0; index < 5000; index++) {
      box.tell(denied('egress', 'evil.example'))
      if (index % 500 === 0) await settled()
    }
    await confinement.close()
    let read = 0
    let lost = 0
    for await (const event of confinement.events) {
      if (event.type === 'lost') lost += event.count
      else read += 1
    }
    expect(read).toBeLessThanOrEqual(1024)
    expect(read + lost).toBe(5000)
    expect(records('process.ended')).toMatchObject([{ denials: 5000, lost: 0 }])
  })

  test('gets the report, the kill and the close of the enforcer', async () => {
    const { box, confinement } = await openBox()
    expect(confinement.report).toBe(box.report)
    expect(await confinement.kill()).toMatchObject({ outcome: 'clean', mechanism: 'script' })
    await confinement.close()
    await confinement.close()
    expect(box.closes).toBe(1)
  })

  test('who forgets to close finds it closed with the attempt', async () => {
    const { node, box, records } = await openBox()
    await node.complete()
    await settled()
    expect(box.closes).toBe(1)
    expect(records('process.ended')).toHaveLength(1)
  })
})

describe('an enforcer that fails', () => {
  test('to tell what happens gets its box closed and the node ended', async () => {
    let breakOff: (() => void) | undefined
    const next = (): Promise<IteratorResult<EnforcerEvent>> =>
      new Promise((_resolve, reject) => {
        breakOff = () => reject(new Error('gone'))
      })
    const { enforcer, boxes } = scriptedEnforcer(reportOf(), (box) => {
      box.events = { [Symbol.asyncIterator]: () => ({ next }) }
    })
    const { node, audit } = await openNode({ enforcer })
    await node.confine('ping')
    breakOff?.()
    await settled()
    expect(await codeOf(node)).toBe('enforcement_unavailable')
    expect(boxes).toMatchObject([{ closes: 1 }])
    expect(parsed(audit.lines).filter(({ type }) => type === 'process.ended')).toHaveLength(1)
  })

  test('to go on telling gets its box closed', async () => {
    const { node, box, confinement } = await openBox()
    box.queue.end()
    await settled()
    expect(box).toMatchObject({ closes: 1 })
    await expect(confinement.spawn(COMMAND)).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
    expect(await codeOf(node)).toBe('allow')
  })

  test('to number what it tells has lost what it left out', async () => {
    const event = (seq: number): EnforcerEvent => ({ seq, at: 1, ...denied('egress', 'evil.example') })
    const { enforcer } = scriptedEnforcer(reportOf(), (box) => {
      box.events = (async function* () {
        yield event(1)
        yield event(5)
      })()
    })
    const { node, audit } = await openNode({ enforcer })
    await node.confine('ping')
    await settled()
    expect(parsed(audit.lines).at(-1)).toMatchObject({ type: 'process.ended', denials: 2, lost: 3 })
  })

  test.each(['kill', 'close'] as const)(
    'to %s is said to have proved nothing, or to have left something',
    async (how) => {
      const { enforcer } = scriptedEnforcer(reportOf(), (box) => {
        Object.assign(box, {
          [how]: () => {
            box.queue.end()
            return Promise.reject(new Error('stuck'))
          },
        })
      })
      const { node, run, audit } = await openNode({ enforcer })
      const confinement = await node.confine('ping')
      if (how === 'kill') expect(await confinement.kill()).toMatchObject({ outcome: 'unproven' })
      else await expect(confinement.close()).rejects.toThrow('stuck')
      await run.close()
      const ended = parsed(audit.lines).filter(({ type }) => type === 'process.ended')
      expect(ended).toHaveLength(1)
      expect(ended[0]).toMatchObject(how === 'kill' ? { killed: 'unproven' } : { detail: expect.any(String) })
    },
  )
})
