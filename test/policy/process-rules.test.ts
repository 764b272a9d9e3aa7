// Rules about processes: what they give and take, and that no call is ever judged by them.

import { describe, expect, test } from 'vitest'

import { parsePathPattern } from '../../src/core/path-pattern.ts'
import type { Resource } from '../../src/core/resource.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'

type Rule = Readonly<Record<string, unknown>>

const about = { roles: ['*'], tools: ['*'] }
const permit = (id: string, rest: Rule = {}): Rule => ({ id, effect: 'permit', ...about, ...rest })
const forbid = (id: string, rest: Rule = {}): Rule => ({ id, effect: 'forbid', ...about, ...rest })
const approval = (id: string, rest: Rule = {}): Rule => ({ id, effect: 'require_approval', ...about, ...rest })

function engineOf(...rules: readonly Rule[]): PolicyEngine {
  return PolicyEngine.from({ name: 'policy', value: { version: 1, rules } })
}

function decide(engine: PolicyEngine, resources: readonly Resource[] = []): string {
  const verdict = engine.evaluate({ node: 'n', skill: 's', tool: 't', args: {}, resources })
  return verdict.decision === 'allow' ? `allow ${verdict.rules.map(({ id }) => id)}` : verdict.denial.code
}

const grants = (engine: PolicyEngine) => engine.grantsFor({ node: 'n', skill: 's', tool: 't' })

const read: Resource = { kind: 'path', path: '/opt/a', access: 'read', from: '/p' }
const run: Resource = { kind: 'binary', path: '/opt/a', from: '/p' }

const LISTS: readonly (readonly [string, Rule])[] = [
  ['paths.execute', { paths: { execute: ['/**'] } }],
  ['libraries', { libraries: ['/**'] }],
  ['process_rights', { process_rights: ['listen'] }],
  ['all three', { paths: { execute: ['/**'] }, libraries: ['/**'], process_rights: ['listen'] }],
]

describe.each(LISTS)('a rule with nothing but %s', (_name, list) => {
  test('permits no call, not even one that names nothing; control: a bare permit does', () => {
    const engine = engineOf(permit('p', list))
    expect([[], [read], [run]].map((resources) => decide(engine, resources))).toEqual([
      'no_matching_permit',
      'no_matching_permit',
      'no_matching_permit',
    ])
    expect(decide(engineOf(permit('p')))).toBe('allow p')
  })

  test('is not named as the permit that came near', () => {
    const verdict = engineOf(permit('p', list)).evaluate({ node: 'n', tool: 't', args: {}, resources: [read] })
    expect(verdict).toMatchObject({ decision: 'deny', denial: { detail: 'no permit covers read /opt/a' } })
  })

  test('forbids no call, and none waits for it; control: bare ones stop every call', () => {
    const granted = permit('p', { paths: { read: ['/**'] }, binaries: ['/**'] })
    for (const rule of [forbid('f', list), approval('a', list)]) {
      const engine = engineOf(granted, rule)
      expect([[], [read], [run]].map((resources) => decide(engine, resources))).toEqual([
        'allow p',
        'allow p',
        'allow p',
      ])
    }
    expect(decide(engineOf(granted, forbid('f')))).toBe('forbidden')
    expect(decide(engineOf(granted, approval('a')))).toBe('approval_required')
  })

  test('takes no more from a process than it lists; control: a forbid of the call takes everything', () => {
    const granted = permit('p', { env: ['LANG'] })
    for (const rule of [forbid('f', list), approval('a', list)]) {
      const { permits, forbids } = grants(engineOf(granted, rule))
      expect(permits.map(({ env }) => env)).toEqual([['LANG']])
      expect(forbids).toHaveLength(1)
    }
    for (const rule of [forbid('f'), approval('a')]) {
      expect(grants(engineOf(granted, rule))).toMatchObject({ permits: [], forbids: [] })
    }
  })

  test('gives a process nothing where no permit is about the call', () => {
    expect(grants(engineOf(permit('p', list))).permits).toEqual([])
    expect(grants(engineOf(permit('p', list), approval('a', { hosts: ['a.test'] }))).permits).toEqual([])
    expect(grants(engineOf(permit('p', list), permit('q'))).permits).toHaveLength(2)
  })

  test('does not make a tool granted', () => {
    const { skill, ...none } = { skill: 's', hosts: [], reads: [], writes: [], binaries: [], env: [] }
    const asked = { skill, ...none, executes: [], libraries: [], rights: [], tools: [{ value: 't', pointer: '/p' }] }
    expect(engineOf(permit('p', list)).excess(asked)).toEqual([{ kind: 'tool', text: 't', pointer: '/p' }])
    expect(engineOf(permit('p')).excess(asked)).toEqual([])
  })
})

describe('beside lists that calls touch', () => {
  test.each(LISTS)('%s changes nothing for calls', (_name, list) => {
    const { paths, ...rest } = list as { readonly paths?: object }
    const both = { ...rest, paths: { read: ['/opt/**'], ...paths } }
    expect(decide(engineOf(permit('p', both)), [read])).toBe('allow p')
    expect(decide(engineOf(permit('p', both)), [run])).toBe('no_matching_permit')
    expect(decide(engineOf(permit('p')), [])).toBe('allow p')
    expect(decide(engineOf(permit('p'), permit('q', { binaries: ['/**'] }), forbid('f', both)), [run])).toBe('allow q')
    expect(decide(engineOf(permit('p', { paths: { read: ['/**'] } }), forbid('f', both)), [read])).toBe('forbidden')
  })
})

describe('what a process gets', () => {
  test('trees, libraries and rights of permits without conditions; forbids and approvals whatever theirs', () => {
    const list = { paths: { execute: ['/opt/**'] }, libraries: ['/usr/lib/**'], process_rights: ['udp'] }
    const args = { '/n': { equals: 1 } }
    const { permits, forbids } = grants(
      engineOf(
        permit('call'),
        permit('p', list),
        permit('maybe', { ...list, args }),
        forbid('f', { ...list, args }),
        approval('a', { ...list, args }),
      ),
    )
    const brief = ({ rule, executes, libraries, rights }: (typeof permits)[number]) =>
      [rule.split(' ')[0], executes.map(({ text }) => text), libraries.map(({ text }) => text), rights] as const
    const listed = [['/opt/**'], ['/usr/lib/**'], ['udp']] as const
    expect(permits.map(brief)).toEqual([
      ['call', [], [], []],
      ['p', ...listed],
    ])
    expect(forbids.map(brief)).toEqual([
      ['f', ...listed],
      ['a', ...listed],
    ])
  })

  test('the narrowest of all permits about it, also of those with conditions, and of no others', () => {
    const engine = engineOf(
      permit('a', { limits: { wall_ms: 100, memory_mb: 10 }, forbidden_syscalls: ['ptrace'] }),
      permit('b', { limits: { wall_ms: 200, memory_mb: 5 }, forbidden_syscalls: ['ptrace', 'bpf'] }),
      permit('c', { limits: { processes: 3 }, execution_mode: 'ephemeral', args: { '/n': { equals: 1 } } }),
      { ...permit('other tool', { limits: { wall_ms: 1 } }), id: 'd', tools: ['u'] },
      permit('e', { skills: ['z'], limits: { wall_ms: 2 }, forbidden_syscalls: ['mount'] }),
    )
    const { limits, forbiddenSyscalls, executionMode } = grants(engine)
    expect(limits).toEqual({ wallMs: 100, memoryBytes: 5 * 1024 * 1024, processes: 3 })
    expect(forbiddenSyscalls.map(({ value, rule }) => `${value} < ${rule.split(' ')[0]}`)).toEqual([
      'ptrace < a',
      'bpf < b',
    ])
    expect(executionMode).toBe('ephemeral')
    expect(grants(engineOf(permit('a'))).executionMode).toBe('shared')
  })

  test('narrowing a permit changes nothing for calls', () => {
    const narrow = { limits: { processes: 1 }, forbidden_syscalls: ['ptrace'], execution_mode: 'ephemeral' }
    expect(decide(engineOf(permit('p', narrow)))).toBe('allow p')
    expect(decide(engineOf(permit('p', { ...narrow, binaries: ['/opt/*'] })), [run])).toBe('allow p')
  })

  test('what the manifest asks fits only in a permit that a process really gets', () => {
    const list = { paths: { execute: ['/opt/**'] }, libraries: ['/usr/lib/**'], process_rights: ['udp', 'listen'] }
    const pattern = (text: string) => {
      const parsed = parsePathPattern(text)
      if (!parsed.ok) throw new Error(parsed.reason)
      return parsed.pattern
    }
    const asked = {
      skill: 's',
      tools: [],
      hosts: [],
      reads: [],
      writes: [],
      binaries: [],
      env: [],
      executes: [{ value: pattern('/opt/a/**'), pointer: '/executable_paths/0' }],
      libraries: [{ value: pattern('/usr/lib/x.so'), pointer: '/allowed_libraries/0' }],
      rights: [{ value: 'udp', pointer: '/process_rights/0' }],
    } as const
    const all = [
      { kind: 'execute', text: '/opt/a/**', pointer: '/executable_paths/0' },
      { kind: 'library', text: '/usr/lib/x.so', pointer: '/allowed_libraries/0' },
      { kind: 'right', text: 'udp', pointer: '/process_rights/0' },
    ]
    expect(engineOf(permit('p', list)).excess(asked)).toEqual([])
    expect(engineOf(permit('p', { paths: { read: ['/**'] }, binaries: ['/**'] })).excess(asked)).toEqual(all)
    expect(engineOf(permit('p', { ...list, args: { '/n': { equals: 1 } } })).excess(asked)).toEqual(all)
    expect(engineOf(approval('p', list)).excess(asked)).toEqual(all)
    expect(engineOf(permit('p', { ...list, skills: ['other'] })).excess(asked)).toEqual(all)
  })
})
