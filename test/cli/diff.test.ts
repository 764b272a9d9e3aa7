// `agentport diff` as a reviewer and a build server meet it: what it says, what it fails on, and what it makes of traffic.

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import { commitArguments } from '../../src/audit/commit.ts'
import { AuditLog } from '../../src/audit/log.ts'
import { run } from '../../src/cli/main.ts'
import { openAuditFile } from '../../src/node/audit-file.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'

let directory: string

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'agentport-diff-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function file(name: string, text: string): string {
  const path = join(directory, name)
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text)
  return path
}

async function diff(...args: readonly string[]): Promise<{ code: number; out: string; err: string }> {
  const out: string[] = []
  const err: string[] = []
  const code = await run(['diff', ...args], {
    out: (text) => out.push(text),
    err: (text) => err.push(text),
    color: false,
  })
  const plain = (lines: readonly string[]): string => lines.join('\n').replaceAll(directory, '.')
  return { code, out: plain(out), err: plain(err) }
}

const OLD = `version: 1
rules:
  - { id: read, effect: permit, nodes: [fetch], tools: [http_get], hosts: [a.example.com] }
  - { id: pay, effect: permit, nodes: [till], tools: [pay], args: { /amount: { min: 0, max: 10 } } }
`
const WIDER = OLD.replace('a.example.com]', 'a.example.com, b.example.com]')
const NARROWER = OLD.replace('max: 10', 'max: 5')

describe('what it says', () => {
  test('a difference: what it is, by which rules, and a request that shows it', async () => {
    const { code, out, err } = await diff(file('old.policy.yaml', OLD), file('new.policy.yaml', WIDER))
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain(`widened: deny → allow
  old: deny no_matching_permit, no rule
  new: allow, read (permit) ./new.policy.yaml:3:5
  e.g. {"node":"fetch","tool":"http_get","resources":[{"url":"https://b.example.com/"}]}`)
    expect(out).toMatch(/\n✓ 1 widened, 0 narrowed, 0 changed; [0-9]+ requests asked$/)
  })

  test('the same statements in other files and another order are no difference at all', async () => {
    const [head = '', rules = '', read = '', pay = ''] = OLD.split('\n')
    file('new/a.policy.yaml', [head, rules, pay, ''].join('\n'))
    file('new/b.policy.yaml', [head, rules, read, ''].join('\n'))
    const { code, out } = await diff(file('old.policy.yaml', OLD), join(directory, 'new'), '--fail-on', 'any')
    expect({ code, out }).toEqual({ code: 0, out: '✓ no difference: the same statements' })
  })

  test('what is written otherwise and decides the same', async () => {
    const same = OLD.replaceAll('id: ', 'id: x-')
    const { code, out } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', same), '--fail-on', 'any')
    expect(code).toBe(0)
    expect(out).toMatch(/^✓ no difference found; [0-9]+ requests asked$/)
  })

  test('as JSON', async () => {
    const { out } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', NARROWER), '--json')
    const told = JSON.parse(out) as { differences: { direction: string; witnesses: { args: { amount: number } }[] }[] }
    expect(told).toMatchObject({ ok: true, isPartial: false })
    const [only, ...more] = told.differences
    expect(more).toEqual([])
    expect(only?.direction).toBe('narrowed')
    for (const { args } of only?.witnesses ?? []) {
      expect(args.amount).toBeGreaterThan(5)
      expect(args.amount).toBeLessThanOrEqual(10)
    }
  })

  test('a bound that is reached is said', async () => {
    const { out } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', WIDER), '--max-requests', '3')
    expect(out).toContain('a bound was reached')
  })
})

describe('what it fails on', () => {
  test.each([
    [WIDER, 'widen', 1],
    [WIDER, 'narrow', 0],
    [WIDER, 'any', 1],
    [NARROWER, 'widen', 0],
    [NARROWER, 'narrow', 1],
    [OLD, 'any', 0],
    // Counted by something else: neither wider nor narrower, so it is both.
    [`${OLD}limits: [{ id: l, nodes: [till], tools: [pay], kind: budget, max: 1, by: [all] }]\n`, 'narrow', 1],
  ])('%#: --fail-on %s', async (after, failOn, expected) => {
    const { code } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', after), '--fail-on', failOn)
    expect(code).toBe(expected)
  })

  test.each([
    [[], 'name the old and the new'],
    [['a.policy.yaml'], 'name the old and the new'],
    [['a.policy.yaml', 'a.policy.yaml', '--fail-on', 'all'], '--fail-on is one of'],
    [['a.policy.yaml', 'a.policy.yaml', '--max-requests', '0'], '--max-requests is a number'],
    [['a.policy.yaml', 'nowhere'], 'there is no'],
  ])('%j cannot be carried out', async (args, message) => {
    file('a.policy.yaml', OLD)
    const { code, err } = await diff(
      ...args.map((arg) => (/^[a-z]+(?:\.policy\.yaml)?$/.test(arg) && arg !== 'all' ? join(directory, arg) : arg)),
    )
    expect(code).toBe(2)
    expect(err).toContain(message)
  })

  test('a set that does not load', async () => {
    const { code, err } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', OLD.replace('permit', 'allow')))
    expect(code).toBe(2)
    expect(err).toContain('b.policy.yaml:3:')
  })
})

describe('traffic', () => {
  test('requests of JSON Lines', async () => {
    const requests = [
      { node: 'fetch', tool: 'http_get', resources: [{ url: 'https://b.example.com/x' }] },
      { node: 'fetch', tool: 'http_get', resources: [{ url: 'https://a.example.com/x' }] },
      {
        name: 'as a test',
        request: { node: 'fetch', tool: 'http_get', resources: [{ host: 'b.example.com' }] },
        expect: 'deny',
      },
    ]
    const path = file('requests.jsonl', `${requests.map((one) => JSON.stringify(one)).join('\n')}\n`)
    const { out } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', WIDER), '--requests', path)
    expect(out).toContain('requests, 2 times: widened: deny → allow')
    expect(out).toContain('✓ requests: 3 replayed, 0 not; 1 widened, 0 narrowed, 0 changed')
  })

  test('a line that is no request stops it, with its place', async () => {
    const path = file('requests.jsonl', '{"node":"n","tool":"t"}\n{"node":"n"}\n')
    const { code, err } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', WIDER), '--requests', path)
    expect(code).toBe(2)
    expect(err).toContain('requests.jsonl (line 2):1:1: error missing_key')
  })

  async function writeLog(): Promise<string> {
    const path = join(directory, 'audit.jsonl')
    const sink = await openAuditFile(path)
    const log = AuditLog.open({ sink })
    const policy = PolicyEngine.from({ file: 'a.yaml', text: OLD }).digest
    const call = { run: 'r', node: 'fetch', attempt: 1, tool: 'http_get', policy } as const
    const denied = { code: 'no_matching_permit', layer: 'policy' } as const
    await log.append({ type: 'call.denied', ...call, ...denied, resources: ['network https://b.example.com:443'] })
    await log.append({ type: 'call.denied', ...call, ...denied, resources: ['network https://c.example.com:443'] })
    await log.append({
      type: 'call.allowed',
      ...call,
      args: commitArguments('{}'),
      resources: ['network https://a.example.com:443'],
    })
    // What a policy with conditions decided, another layer's denial, an unreadable resource, a record that cannot be true.
    await log.append({
      type: 'call.allowed',
      ...call,
      node: 'till',
      tool: 'pay',
      args: commitArguments('{"amount":3}'),
    })
    await log.append({ type: 'call.denied', ...call, code: 'resource_undeclared', layer: 'manifest' })
    await log.append({
      type: 'call.allowed',
      ...call,
      args: commitArguments('{}'),
      resources: ['network https://A.example.com'],
    })
    await log.append({
      type: 'call.allowed',
      ...call,
      args: commitArguments('{}'),
      resources: ['network https://d.example.com:443'],
    })
    await log.close()
    await sink.close()
    return path
  }

  test('an audit log: what can be rebuilt is asked, the rest is counted by what is missing', async () => {
    const path = await writeLog()
    const { code, out, err } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', WIDER), '--audit', path)
    expect([code, err]).toEqual([0, ''])
    expect(out).toContain('audit log, 1 times: widened: deny → allow')
    expect(out).toContain('audit log: 3 replayed, 4 not')
    for (const reason of [
      'a statement asks for arguments',
      'it was not the policy that denied',
      'a resource cannot be read back',
      'the record says otherwise',
    ]) {
      expect(out).toContain(`not replayable: 1 (${reason})`)
    }
  })

  test('a log that was changed is not used', async () => {
    const path = await writeLog()
    writeFileSync(path, readFileSync(path, 'utf8').replace('b.example.com', 'e.example.com'))
    const { code, out, err } = await diff(file('a.policy.yaml', OLD), file('b.policy.yaml', WIDER), '--audit', path)
    expect([code, out]).toEqual([1, ''])
    expect(err).toContain('does not verify')
  })
})
