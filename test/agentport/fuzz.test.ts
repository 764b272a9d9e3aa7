// Whatever is asked, the gateway answers; and what it allows, a slow and obvious reading of the same manifest and policy
// allows too.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { type Call, memorySink } from '../../src/index.ts'
import { fuzzRuns } from '../support/fuzz.ts'
import { openNode } from './fixture.ts'

const GRAPH = {
  nodes: { fetch: { skill: 'web', toolScope: ['http_get', 'read_file', 'ping'], attempts: 10, lifetimeMs: 3_600_000 } },
}

/** What the fixture's manifest and policy mean, written down once more without any of the code under test. */
function obviouslyAllowed(tool: string, args: Record<string, unknown>): boolean {
  switch (tool) {
    case 'ping':
      return Object.keys(args).length === 0
    case 'read_file': {
      const path = String(args['path'])
      return (
        /^\/srv\/data(?:\/(?!\.{1,2}(?:\/|$))[^/\\%\p{C}]+)*$/u.test(path) && !/^\/srv\/data\/secret(?:\/|$)/.test(path)
      )
    }
    case 'http_get':
      return /^https?:\/\/api\.example\.com(?:\/|$|\?)/.test(String(args['url']))
    default:
      return false
  }
}

const nearPath = fc
  .array(
    fc.constantFrom('/', '..', '.', '%2e', '\\', '~', 'srv', 'data', 'secret', 'a', '\0', '\n', '/srv/data/', 'ü', ' '),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''))
const nearUrl = fc
  .array(
    fc.constantFrom(
      'https://',
      'http:',
      '//',
      'api.example.com',
      'API.EXAMPLE.COM',
      '.',
      '@',
      ':',
      '443',
      '8080',
      '/',
      '\\',
      'evil.test',
      '127.0.0.1',
      '0x7f.1',
      '[::1]',
      '%2e',
      '\t',
      'а',
      '#',
      '?',
    ),
    { maxLength: 8 },
  )
  .map((parts) => parts.join(''))
const near = fc.oneof(
  fc.record({
    tool: fc.constant('http_get'),
    args: fc.record({ url: nearUrl, note: fc.oneof(fc.string(), nearUrl) }, { requiredKeys: ['url'] }),
  }),
  fc.record({ tool: fc.constant('read_file'), args: fc.record({ path: nearPath }) }),
  fc.record({ tool: fc.constantFrom('ping', 'Ping', 'http_get', 'toString', ''), args: fc.anything() }),
  fc.anything(),
)

describe('any request', () => {
  test('is answered, and allowed only when it obviously may', async () => {
    let { run, node } = await openNode({ audit: { append: () => undefined } }, GRAPH)
    let allowed = 0
    await fc.assert(
      fc.asyncProperty(near, async (request) => {
        if (node.decision === 'deny' || run.state !== 'running')
          ({ run, node } = await openNode({ audit: { append: () => undefined } }, GRAPH))
        const call: Call = await node.authorize(request as { tool: string })
        // A refusal that ends the node: start over with a fresh one, so that the rest is not refused for that alone.
        if (call.decision !== 'allow') {
          if (call.denial.recoverable === 'never')
            ({ run, node } = await openNode({ audit: { append: () => undefined } }, GRAPH))
          return
        }
        allowed++
        expect(obviouslyAllowed(call.tool, call.args), JSON.stringify([call.tool, call.args])).toBe(true)
      }),
      { numRuns: fuzzRuns(10_000) },
    )
    expect(allowed).toBeGreaterThan(50)
  }, 600_000)

  test('with nothing granted, nothing is allowed', async () => {
    const policy = {
      file: 'p.yaml',
      text: 'version: 1\nrules:\n  - { id: none, effect: permit, nodes: [nobody], tools: ["*"], hosts: ["*", "*.evil.example"], paths: { read: ["/**"] } }\n',
    }
    const { node } = await openNode({ policy, audit: memorySink() }, GRAPH)
    expect(node.denial).toBeUndefined()
    await fc.assert(
      fc.asyncProperty(near, async (request) => {
        expect((await node.authorize(request as { tool: string })).decision).toBe('deny')
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })
})
