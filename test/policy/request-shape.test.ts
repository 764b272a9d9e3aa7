// Requests that are none: whatever is handed in is answered, nothing is thrown, and only a request is allowed.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { PolicyEngine, type PolicyRequest } from '../../src/policy/engine.ts'
import type { RawPolicy } from '../../src/policy/schema.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { type ReferenceRequest, referenceVerdict } from './reference.ts'

const patience = { timeout: fuzzRuns(60_000) }

function engineOf(documents: readonly RawPolicy[]): PolicyEngine {
  return PolicyEngine.from(documents.map((value, index) => ({ name: `policy-${index}.json`, value })))
}

describe('a request of any shape', patience, () => {
  const names = fc.constantFrom(
    'fetch',
    'http_get',
    'web',
    'reader',
    '__proto__',
    'constructor',
    '',
    '*',
    'x'.repeat(500),
  )
  const junk = fc.oneof(
    names,
    fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withNullPrototype: true,
      withSet: true,
      withSparseArray: true,
    }),
  )
  const request = fc.record(
    { node: junk, roles: junk, skill: junk, tool: junk, args: junk, resources: fc.oneof(junk, fc.array(junk)) },
    { requiredKeys: [] },
  )
  const generous: RawPolicy = {
    version: 1,
    roles: { reader: { asserted: true } },
    rules: [
      {
        id: 'all',
        effect: 'permit',
        roles: ['*'],
        tools: ['*'],
        hosts: ['*:*', '0.0.0.0/0:*'],
        paths: { read: ['/**'], write: ['/**'] },
        binaries: ['/**'],
        env: ['HOME'],
      },
      { id: 'not-etc', effect: 'forbid', roles: ['*'], tools: ['*'], paths: { read: ['/etc/**'] } },
      {
        id: 'not-root',
        effect: 'forbid',
        roles: ['*'],
        tools: ['*'],
        args: { '/user': { equals: 'root', optional: true } },
      },
    ],
  }

  test('is answered, never thrown at, and only allowed when it is a request', () => {
    const engine = engineOf([generous])
    fc.assert(
      fc.property(request, (value) => {
        const verdict = engine.evaluate(value as unknown as PolicyRequest)
        if (verdict.decision !== 'allow') return
        expect(value.node).toMatch(/^[A-Za-z0-9_.:-]+$/)
        expect(value.tool).toMatch(/^[A-Za-z0-9_.:-]+$/)
        expect(Array.isArray(value.resources)).toBe(true)
        expect(referenceVerdict([generous], value as unknown as ReferenceRequest).decision).toBe('allow')
      }),
      { numRuns: fuzzRuns(3000) },
    )
  })

  const good: PolicyRequest = {
    node: 'fetch',
    tool: 'fs.read',
    args: {},
    resources: [{ kind: 'path', path: '/srv/a', access: 'read', from: '/p' }],
  }
  const etc = { kind: 'path', path: '/etc/passwd', access: 'read', from: '/p' }
  const fail = (): never => {
    throw new Error('secret')
  }
  const throwing = new Proxy(
    {},
    { get: fail, has: fail, ownKeys: fail, getPrototypeOf: fail, getOwnPropertyDescriptor: fail },
  )
  const hostile: readonly (readonly [string, unknown])[] = [
    ['null', null],
    ['undefined', undefined],
    ['a string', 'allow'],
    ['a function', () => good],
    ['a proxy that throws', throwing],
    ['args that throw', { ...good, args: throwing }],
    ['resources that throw', { ...good, resources: throwing }],
    ['a resource that throws', { ...good, resources: [throwing] }],
    ['resources like an empty list', { ...good, resources: { length: 0 } }],
    ['resources as a set', { ...good, resources: new Set() }],
    ['no resources at all', { node: 'fetch', tool: 'fs.read', args: {} }],
    [
      'a list whose iterator hides its items',
      { ...good, resources: Object.assign([etc], { *[Symbol.iterator]() {} }) },
    ],
    ['a hole in the list', { ...good, resources: Object.assign([good.resources[0]], { 2: etc }) }],
    [
      'a list that lies about its length',
      {
        ...good,
        resources: new Proxy([etc], { get: (list, key) => (key === 'length' ? 0.5 : Reflect.get(list, key)) }),
      },
    ],
    [
      'an endless list',
      {
        ...good,
        resources: new Proxy([], { get: (list, key) => (key === 'length' ? 2 ** 40 : Reflect.get(list, key)) }),
      },
    ],
    ['a tool as a list (array coercion)', { ...good, tool: ['fs.read'] }],
    ['a tool as an object with toString', { ...good, tool: { toString: () => 'fs.read' } }],
    ['a role as a list', { ...good, roles: 'reader' }],
    ['a role that is no name', { ...good, roles: [['reader']] }],
    ['a node with a line break', { ...good, node: 'fetch\n' }],
    ['args as a list', { ...good, args: [] }],
    ['args as null', { ...good, args: null }],
    ['a resource of an unknown kind', { ...good, resources: [{ kind: 'socket', path: '/srv/a', from: '' }] }],
    ['a resource with an inherited kind', { ...good, resources: [Object.create({ kind: 'path' })] }],
    ['a relative path', { ...good, resources: [{ ...etc, path: 'xetc/passwd' }] }],
    ['a path that climbs', { ...good, resources: [{ ...etc, path: '/srv/../etc/passwd' }] }],
    ['a doubled slash', { ...good, resources: [{ ...etc, path: '//etc/passwd' }] }],
    ['a NUL in a path', { ...good, resources: [{ ...etc, path: '/srv/a\0' }] }],
    ['an access that does not exist', { ...good, resources: [{ ...etc, path: '/srv/a', access: 'READ' }] }],
    [
      'a host in capitals',
      { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: 'EVIL.test' }, from: '' }] },
    ],
    ['a short address', { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: '127.1' }, from: '' }] }],
    ['a variable that is no name', { ...good, resources: [{ kind: 'env', name: 'A=B\u202e', from: '' }] }],
    [
      'a scheme of its own',
      { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: 'a.test' }, scheme: 'HTTPS', from: '' }] },
    ],
    [
      'a port as text',
      { ...good, resources: [{ kind: 'network', host: { kind: 'name', text: 'a.test' }, port: '443', from: '' }] },
    ],
  ]

  test.each(hostile)('%s is denied', (_what, value) => {
    const engine = engineOf([generous])
    const verdict = engine.evaluate(value as PolicyRequest)
    expect(verdict.decision).toBe('deny')
    if (verdict.decision === 'allow') return
    expect(['request_invalid', 'internal_error', 'forbidden', 'policy_error']).toContain(verdict.denial.code)
    expect(JSON.stringify(verdict)).not.toContain('secret')
    expect(engine.evaluate(good).decision).toBe('allow')
  })

  test('a field that changes between two reads is read once', () => {
    const engine = engineOf([generous])
    let reads = 0
    const shifty = {
      ...good,
      get resources() {
        reads++
        return reads === 1 ? [etc] : good.resources
      },
    } as unknown as PolicyRequest
    expect(engine.evaluate(shifty).decision).toBe('deny')
    expect(reads).toBe(1)
    let paths = 0
    const resource = {
      ...etc,
      get path() {
        return paths++ === 0 ? '/etc/passwd' : '/srv/a'
      },
    }
    expect(engine.evaluate({ ...good, resources: [resource] } as unknown as PolicyRequest)).toMatchObject({
      denial: { code: 'forbidden' },
    })
    expect(paths).toBe(1)
  })

  test('numbers beside the text of a host are not believed', () => {
    const engine = engineOf([
      {
        version: 1,
        rules: [
          { id: 'net', effect: 'permit', roles: ['*'], tools: ['*'], hosts: ['0.0.0.0/0'] },
          { id: 'no-loopback', effect: 'forbid', roles: ['*'], tools: ['*'], hosts: ['127.0.0.0/8'] },
        ],
      },
    ])
    const host = { kind: 'ipv4', text: '127.0.0.1', value: 0x0808_0808 } as const
    expect(engine.evaluate({ ...good, resources: [{ kind: 'network', host, from: '' }] }).decision).toBe('deny')
  })

  test('an engine that breaks denies', () => {
    const engine = engineOf([generous])
    const args = {
      get user(): never {
        throw new Error('secret')
      },
    }
    const verdict = engine.evaluate({ ...good, args: args as unknown as PolicyRequest['args'] })
    expect(verdict).toMatchObject({ decision: 'deny', denial: { code: 'internal_error', recoverable: 'never' } })
    expect(JSON.stringify(verdict)).not.toContain('secret')
  })
})
