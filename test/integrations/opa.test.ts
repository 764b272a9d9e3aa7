// The attacks first against a client as one would write it, then against ours: what the first takes for a yes, ours must leave
// unanswered. The servers are real: OPA itself where it is installed, and loopback servers that misbehave.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'

import { askConditions } from '../../src/core/ask-conditions.ts'
import type { ConditionPort } from '../../src/core/condition-port.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import type { JsonObject } from '../../src/core/json.ts'
import { type OpaConditionsOptions, opaConditions } from '../../src/integrations/opa.ts'
import { hasOpa, type OpaServer, startOpa } from './opa-server.ts'

const INPUT: JsonObject = { node: 'fetch', tool: 'http_get', args: {}, resources: [] }

interface Told {
  readonly answers: Readonly<Record<string, boolean>>
  readonly reasons: readonly string[]
}

async function tell(
  port: ConditionPort,
  query: string,
  input: JsonObject = INPUT,
  signal?: AbortSignal,
): Promise<Told> {
  const reasons: string[] = []
  const answers = await askConditions(new Map([[port.name, port]]), [{ engine: port.name, query }], input, {
    onUnanswered: (_, reason) => reasons.push(reason),
    ...(signal === undefined ? {} : { signal }),
  })
  return { answers, reasons }
}

/** A client as one would write it. */
async function naively(url: string, query: string, input: JsonObject = INPUT): Promise<boolean> {
  const response = await fetch(`${url}/v1/data/${query}`, { method: 'POST', body: JSON.stringify({ input }) })
  const { result } = (await response.json()) as { result?: unknown }
  return Boolean(result)
}

const REGO = `package agent
import rego.v1

default allow := false
allow if {
  input.tool == "http_get"
  input.args.amount < 100
}

undefined_rule if input.args.amount < 100
word := "true"
number := 1
document := {"allow": true}
partial contains "x"

# A guard as one would write it: an address that OPA cannot read leaves inside undefined, and the guard says yes.
inside if net.cidr_contains("10.0.0.0/8", input.args.address)
default guard := false
guard if not inside
`

describe.skipIf(!hasOpa())('a real OPA', () => {
  let opa: OpaServer
  let port: ConditionPort

  beforeAll(async () => {
    opa = await startOpa(REGO)
    port = opaConditions({ name: 'opa', url: opa.url, timeoutMs: 20_000 })
  })
  afterAll(() => opa.kill())

  test.each([
    [{ amount: 5 }, true],
    [{ amount: 500 }, false],
    [{}, false],
  ])('decides about %j', async (args, expected) => {
    expect(await tell(port, 'agent/allow', { ...INPUT, args })).toEqual({
      answers: { 'opa agent/allow': expected },
      reasons: [],
    })
  })

  test.each([
    ['agent/undefined_rule', 'the decision is undefined'],
    ['agent/alow', 'the decision is undefined'],
    ['absent', 'the decision is undefined'],
    ['agent/word', 'the decision is not a boolean'],
    ['agent/number', 'the decision is not a boolean'],
    ['agent/document', 'the decision is not a boolean'],
    ['agent/partial', 'the decision is not a boolean'],
    ['agent', 'the decision is not a boolean'],
  ])('what %s says is no answer: %s', async (query, reason) => {
    const told = await tell(port, query)
    expect(told.answers).toEqual({})
    expect(told.reasons).toEqual([expect.stringContaining(reason)])
  })

  test('an error inside of a guard does not open it; as OPA does it by itself, it does', async () => {
    const input = { ...INPUT, args: { address: '127.1' } }
    expect(await naively(opa.url, 'agent/guard', input)).toBe(true)
    const told = await tell(port, 'agent/guard', input)
    expect(told.answers).toEqual({})
    expect(told.reasons).toEqual([expect.stringContaining('status 500')])
    // And where nothing goes wrong the guard decides.
    expect((await tell(port, 'agent/guard', { ...INPUT, args: { address: '10.1.2.3' } })).answers).toEqual({
      'opa agent/guard': false,
    })
    expect((await tell(port, 'agent/guard', { ...INPUT, args: { address: '192.0.2.1' } })).answers).toEqual({
      'opa agent/guard': true,
    })
  })

  test('a server that wants a token gets it', async () => {
    const flags = ['--authentication=token', '--authorization=basic']
    const guarded = await startOpa(
      `package system.authz
import rego.v1
default allow := false
allow if input.identity == "s3cret"
allow if input.path == ["health"]
`,
      flags,
    )
    try {
      const url = guarded.url
      const query = 'system/authz/allow'
      const right = opaConditions({ name: 'opa', url, token: 's3cret', timeoutMs: 20_000 })
      expect(await tell(right, query)).toEqual({ answers: { [`opa ${query}`]: false }, reasons: [] })
      const wrong = opaConditions({ name: 'opa', url, token: 'guess', timeoutMs: 20_000 })
      const told = await tell(wrong, query)
      expect(told.answers).toEqual({})
      expect(told.reasons).toEqual([expect.stringContaining('status 401')])
      expect(told.reasons[0]).not.toContain('guess')
    } finally {
      await guarded.kill()
    }
  })

  test('a server that is killed in between answers no more, and nothing is remembered', async () => {
    const own = await startOpa(REGO)
    const gone = opaConditions({ name: 'opa', url: own.url, timeoutMs: 20_000 })
    const input = { ...INPUT, args: { amount: 5 } }
    try {
      expect((await tell(gone, 'agent/allow', input)).answers).toEqual({ 'opa agent/allow': true })
    } finally {
      await own.kill()
    }
    const told = await tell(gone, 'agent/allow', input)
    expect(told.answers).toEqual({})
    expect(told.reasons).toHaveLength(1)
  })
})

/** Loopback servers of this test; all closed after it. */
const servers: Server[] = []

async function serve(handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function serveText(status: number, type: string | undefined, text: string): Promise<string> {
  return serve((request, response) => {
    request.resume()
    response.writeHead(status, type === undefined ? {} : { 'content-type': type }).end(text)
  })
}

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
  }
})

describe('a reply that is not what OPA sends', () => {
  const json = 'application/json'
  const padding = 'x'.repeat(70_000)
  // Status, type, text; all of them say yes to a client that does not look.
  test.each<[string, number, string | undefined, string]>([
    ['the text "true"', 200, json, '{"result":"true"}'],
    ['a number', 200, json, '{"result":1}'],
    ['an object', 200, json, '{"result":{"allow":false}}'],
    ['a list', 200, json, '{"result":[false]}'],
    ['an error beside the result', 200, json, '{"code":"internal_error","message":"eval","result":true}'],
    ['a warning beside the result', 200, json, '{"warning":{"code":"api_usage_warning"},"result":true}'],
    ['the result twice', 200, json, '{"result":false,"result":true}'],
    ['the result twice, once escaped', 200, json, '{"result":false,"\\u0072esult":true}'],
    ['an error status', 500, json, '{"result":true}'],
    ['created, not OK', 201, json, '{"result":true}'],
    ['not authoritative', 203, json, '{"result":true}'],
    ['a page and not JSON', 200, 'text/html', '{"result":true}'],
    ['two types', 200, 'text/html, application/json', '{"result":true}'],
    ['another charset', 200, 'application/json; charset=utf-16', '{"result":true}'],
    ['no type', 200, undefined, '{"result":true}'],
    ['a body over the bound', 200, json, `{"padding":"${padding}","result":true}`],
    ['white space over the bound', 200, json, `{"result":true}${' '.repeat(70_000)}`],
  ])('%s', async (_, status, type, text) => {
    const url = await serveText(status, type, text)
    expect(await naively(url, 'a')).toBe(true)
    const told = await tell(opaConditions({ name: 'opa', url, timeoutMs: 20_000 }), 'a')
    expect(told.answers).toEqual({})
    expect(told.reasons).toHaveLength(1)
  })

  test.each<[string, number, string, string]>([
    ['no result', 200, json, '{}'],
    ['null', 200, json, '{"result":null}'],
    ['only an error', 200, json, '{"code":"internal_error","message":"eval"}'],
    ['a boolean with nothing around it', 200, json, 'true'],
    ['half of it', 200, json, '{"result":true'],
    ['more than it', 200, json, '{"result":true}{"result":false}'],
    ['nothing', 200, json, ''],
    ['no content', 204, json, ''],
    ['a byte order mark', 200, json, '\ufeff{"result":true}'],
  ])('%s', async (_, status, type, text) => {
    const url = await serveText(status, type, text)
    expect((await tell(opaConditions({ name: 'opa', url, timeoutMs: 20_000 }), 'a')).answers).toEqual({})
  })

  test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset=UTF-8'])(
    'control: %s and the members OPA adds are a reply',
    async (type) => {
      const url = await serveText(200, type, '{"decision_id":"1","metrics":{},"provenance":{},"result":true}\n')
      expect((await tell(opaConditions({ name: 'opa', url, timeoutMs: 20_000 }), 'a')).answers).toEqual({
        'opa a': true,
      })
    },
  )
})

describe('a server', () => {
  test('that redirects to another host: the call and the token do not go there', async () => {
    const seen: (string | undefined)[] = []
    const elsewhere = await serve((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"result":true}')
    })
    for (const status of [301, 302, 303, 307, 308]) {
      const url = await serve((request, response) => {
        request.resume()
        response.writeHead(status, { location: `${elsewhere}/v1/data/a` }).end()
      })
      seen.length = 0
      expect(await naively(url, 'a')).toBe(true)
      expect(seen).toHaveLength(1)
      const told = await tell(opaConditions({ name: 'opa', url, token: 't', timeoutMs: 20_000 }), 'a')
      expect(told.answers).toEqual({})
      expect(seen).toHaveLength(1)
    }
  })

  test('whose redirect a given fetch follows all the same', async () => {
    const elsewhere = await serveText(200, 'application/json', '{"result":true}')
    const url = await serve((request, response) => {
      request.resume()
      response.writeHead(307, { location: `${elsewhere}/v1/data/a` }).end()
    })
    const following = opaConditions({
      name: 'opa',
      url,
      timeoutMs: 20_000,
      fetch: (target, init) => fetch(target, { ...init, redirect: 'follow' }),
    })
    const told = await tell(following, 'a')
    expect(told.answers).toEqual({})
    expect(told.reasons).toEqual([expect.stringContaining('redirected')])
  })

  // What hangs, and how much of the reply is there by then.
  test.each([
    ['before the head', undefined],
    ['before the body', ''],
    ['inside the body', '{"result":'],
    ['after a whole decision', '{"result":true}'],
  ])('that hangs %s: its own time, and that of the decision', async (_, begun) => {
    const held: ServerResponse[] = []
    const url = await serve((request, response) => {
      request.resume()
      held.push(response)
      if (begun === undefined) return
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      if (begun !== '') response.write(begun)
    })
    expect((await tell(opaConditions({ name: 'opa', url, timeoutMs: 40 }), 'a')).answers).toEqual({})
    const patient = opaConditions({ name: 'opa', url })
    expect((await tell(patient, 'a', INPUT, AbortSignal.timeout(40))).answers).toEqual({})
    // Control: it hangs, and is not merely wrong.
    const unheard = opaConditions({ name: 'opa', url, timeoutMs: 600_000 })
    const asked = tell(unheard, 'a')
    while (held.length < 3) await new Promise((resolve) => setTimeout(resolve, 1))
    const last = held[2]
    if (begun === undefined) last?.writeHead(200, { 'content-type': 'application/json' })
    last?.end('{"result":true}'.slice(begun?.length ?? 0))
    expect((await asked).answers).toEqual({ 'opa a': true })
  })

  test('that never stops sending is read to the bound and hung up on', async () => {
    let closed: (() => void) | undefined
    const hungUp = new Promise<void>((resolve) => {
      closed = resolve
    })
    const url = await serve((request, response) => {
      request.resume()
      response.writeHead(200, { 'content-type': 'application/json' })
      const more = setInterval(() => response.write(' '.repeat(8192)), 1)
      response.on('close', () => {
        clearInterval(more)
        closed?.()
      })
    })
    const told = await tell(opaConditions({ name: 'opa', url, timeoutMs: 60_000 }), 'a')
    expect(told.reasons).toEqual([expect.stringContaining('longer than 65536 bytes')])
    await hungUp
  })

  test('of a fetch that heeds no signal and never answers', async () => {
    const deaf = opaConditions({
      name: 'opa',
      url: 'http://127.0.0.1:1',
      timeoutMs: 20,
      fetch: () => new Promise(() => undefined),
    })
    expect((await tell(deaf, 'a')).answers).toEqual({})
  })
})

describe('the question', () => {
  async function targetOf(query: string, options: Partial<OpaConditionsOptions> = {}): Promise<string | undefined> {
    let target: string | undefined
    const port = opaConditions({
      name: 'opa',
      url: 'https://opa.example.com',
      ...options,
      fetch: async (url) => {
        target = url
        return new Response('{"result":true}', { headers: { 'content-type': 'application/json' } })
      },
    })
    await tell(port, query)
    return target
  }

  test('is one rule below /v1/data, whatever its text', async () => {
    expect(await targetOf('agent/allow')).toBe('https://opa.example.com/v1/data/agent/allow?strict-builtin-errors=true')
    expect(await targetOf('a b/c&d=e', { url: 'https://opa.example.com/team/' })).toBe(
      'https://opa.example.com/team/v1/data/a%20b/c%26d%3De?strict-builtin-errors=true',
    )
    expect(await targetOf('a/v1/policies')).toContain('/v1/data/a/v1/policies?')
  })

  test.each([
    '',
    '/',
    '/agent/allow',
    'agent/allow/',
    'agent//allow',
    '.',
    '..',
    '../policies',
    'agent/../../policies',
    'agent/...',
    'agent/allow?explain=full',
    'agent/allow#x',
    'agent%2f..%2fallow',
    '%2e%2e/policies',
    'agent\\..\\allow',
    'agent/al\nlow',
    'agent/\u202eallow',
    'agent/\ud800',
    `${'a/'.repeat(40)}b`,
    'x'.repeat(2000),
  ])('%j is none, and nobody is asked', async (query) => {
    expect(await targetOf(query)).toBeUndefined()
  })

  test('carries the whole call, and the token only in its header', async () => {
    let sent: { readonly body: string; readonly headers: Readonly<Record<string, string>> } | undefined
    const port = opaConditions({
      name: 'opa',
      url: 'https://opa.example.com',
      token: 't0ken',
      fetch: async (_, init) => {
        sent = init
        return new Response('{"result":true}', { headers: { 'content-type': 'application/json' } })
      },
    })
    const input = { ...INPUT, args: { text: '"}],"input":{"tool":"other"' } }
    await tell(port, 'a', input)
    expect(JSON.parse(sent?.body ?? '')).toEqual({ input })
    expect(sent?.headers['authorization']).toBe('Bearer t0ken')
    expect(sent?.body).not.toContain('t0ken')
  })
})

describe('the options', () => {
  test.each([
    ['http://opa.example.com', 'plain http'],
    ['http://10.0.0.5:8181', 'plain http'],
    ['http://127.0.0.1.example.com', 'plain http'],
    ['http://localhost.example.com', 'plain http'],
    ['http://0.0.0.0:8181', 'plain http'],
    ['ws://127.0.0.1', 'neither https nor http'],
    ['https://opa.example.com/?x=1', 'query or fragment'],
    ['https://opa.example.com/#x', 'query or fragment'],
    ['https://user:pw@opa.example.com', 'not usable'],
    ['file:///etc/opa', 'not usable'],
    ['opa.example.com', 'not usable'],
    ['', 'not usable'],
  ])('%s is refused: %s', (url, why) => {
    const refused = expect.objectContaining({ code: 'ERR_CONFIG_INVALID', message: expect.stringContaining(why) })
    expect(() => opaConditions({ name: 'opa', url })).toThrow(refused)
  })

  test.each([
    'https://opa.example.com',
    'http://127.0.0.1:8181',
    'http://127.9.9.9',
    'http://[::1]:8181',
    'http://localhost:8181/opa',
  ])('%s is taken', (url) => {
    expect(opaConditions({ name: 'opa', url }).name).toBe('opa')
  })

  test('plain http to another host has to be asked for', () => {
    expect(opaConditions({ name: 'opa', url: 'http://opa.internal', allowInsecure: true }).name).toBe('opa')
  })

  test.each(['', 'a b', 'a\r\nx-evil: 1', 'ä', '='])('the token %j is refused, and not repeated', (token) => {
    try {
      opaConditions({ name: 'opa', url: 'https://opa.example.com', token })
      expect.unreachable()
    } catch (error) {
      expect(error).toBeInstanceOf(AgentPortError)
      expect(error).toMatchObject({ code: 'ERR_CONFIG_INVALID' })
      if (token.length > 1) expect(String(error)).not.toContain(token)
    }
  })

  test.each([
    [{ name: 'two words' }],
    [{ url: 7 }],
    [{ timeoutMs: 0 }],
    [{ timeoutMs: 0.5 }],
    [{ timeoutMs: Number.NaN }],
    [{ timeoutMs: 1e9 }],
    [{ allowInsecure: 'yes' }],
    [{ fetch: 'fetch' }],
  ])('%j is a misuse', (wrong) => {
    const options = { name: 'opa', url: 'https://opa.example.com', ...wrong } as unknown as OpaConditionsOptions
    expect(() => opaConditions(options)).toThrow(TypeError)
  })
})
