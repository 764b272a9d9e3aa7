// The HTTP method of a mapped destination: stated in the manifest, or read from another argument, or unknown.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import type { DocumentFormat } from '../../src/core/document.ts'
import { bindCall } from '../../src/manifest/bind.ts'
import type { Manifest } from '../../src/manifest/manifest.ts'
import { ManifestValidator } from '../../src/manifest/validator.ts'
import { PolicyEngine } from '../../src/policy/engine.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const SCHEMA = {
  type: 'object',
  properties: {
    url: { type: 'string' },
    method: {},
    list: {
      type: 'array',
      items: {
        type: 'object',
        properties: { url: { type: 'string' }, verb: { type: 'string' } },
        required: ['url'],
      },
    },
  },
}

function manifestOf(...resources: readonly object[]): Manifest {
  return new ManifestValidator().load({
    name: 'manifest',
    value: { skill: 's', tools: [{ name: 't', input_schema: SCHEMA, resources }], allowed_hosts: ['a.example'] },
  })
}

function methodsOf(manifest: Manifest, args: object): readonly (string | undefined)[] {
  const bound = bindCall(manifest, 't', args)
  if (!bound.ok) throw new Error(bound.denial.detail)
  return bound.resources.map((resource) => (resource.kind === 'network' ? resource.method : undefined))
}

const url = 'https://a.example/'
const stated = manifestOf({ from: '/url', kind: 'url', method: 'GET', optional: true })
const named = manifestOf({ from: '/url', kind: 'url', method_from: '/method', optional: true })

describe('the method of a destination', () => {
  test('is the one the manifest states, whatever the arguments say', () => {
    expect(methodsOf(stated, { url, method: 'DELETE' })).toEqual(['GET'])
    expect(
      methodsOf(manifestOf({ from: '/url', kind: 'host', method: 'HEAD', optional: true }), { url: 'a.example' }),
    ).toEqual(['HEAD'])
  })

  test.each<readonly [unknown, string | undefined]>([
    ['GET', 'GET'],
    ['get', 'GET'],
    ['pAtCh', 'PATCH'],
    ['', undefined],
    ['GET ', undefined],
    ['GET /x HTTP/1.1', undefined],
    ['GET\nX: y', undefined],
    // Their upper cases are I and SS to Unicode: a server sees another method.
    ['optıons', undefined],
    ['poßt', undefined],
    ['a'.repeat(21), undefined],
    [7, undefined],
    [null, undefined],
    [['GET'], undefined],
    [{ GET: 1 }, undefined],
  ])('%j in the arguments is %s', (method, expected) => {
    expect(methodsOf(named, { url, method })).toEqual([expected])
  })

  test('is unknown where the argument is absent, and inherited members are no arguments', () => {
    expect(methodsOf(named, { url })).toEqual([undefined])
    expect(
      methodsOf(manifestOf({ from: '/url', kind: 'url', method_from: '/method/constructor/name', optional: true }), {
        url,
        method: {},
      }),
    ).toEqual([undefined])
  })

  test('the argument itself reaches the tool as it was', () => {
    const bound = bindCall(named, 't', { url, method: 'get' })
    expect(bound).toMatchObject({ ok: true, args: { url, method: 'get' } })
  })

  test('a star is the same element as in from', () => {
    const many = manifestOf({ from: '/list/*/url', kind: 'url', method_from: '/list/*/verb', optional: true })
    expect(methodsOf(many, { list: [{ url, verb: 'get' }, { url }, { url, verb: 'PUT' }] })).toEqual([
      'GET',
      undefined,
      'PUT',
    ])
    const one = manifestOf({ from: '/list/*/url', kind: 'url', method_from: '/method', optional: true })
    expect(methodsOf(one, { method: 'POST', list: [{ url, verb: 'get' }, { url }] })).toEqual(['POST', 'POST'])
  })

  test('whatever the arguments are, a method is upper case ASCII or unknown, and nothing throws', () => {
    const text = fc.oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constantFrom('get', 'Post', 'x-y'))
    fc.assert(
      fc.property(fc.oneof(text, fc.jsonValue()), (method) => {
        const bound = bindCall(named, 't', { url, method })
        if (!bound.ok) return
        for (const resource of bound.resources) {
          if (resource.kind === 'network' && resource.method !== undefined) {
            expect(resource.method).toMatch(/^[A-Z]{1,20}$/)
            expect(String(method)).toMatch(/^[A-Za-z]{1,20}$/)
          }
        }
      }),
      { numRuns: fuzzRuns(2_000) },
    )
  })
})

describe('a policy about methods', () => {
  const policy = (rules: readonly object[]) => PolicyEngine.from({ name: 'policy', value: { version: 1, rules } })
  const about = { roles: ['*'], tools: ['*'], hosts: ['a.example'] }
  const decide = (engine: PolicyEngine, manifest: Manifest, args: object): string => {
    const bound = bindCall(manifest, 't', args)
    if (!bound.ok) return bound.denial.code
    const { resources } = bound
    const verdict = engine.evaluate({ node: 'n', skill: 's', tool: 't', args: bound.args, resources })
    return verdict.decision === 'allow' ? 'allow' : verdict.denial.code
  }
  const reading = policy([{ id: 'p', effect: 'permit', ...about, methods: ['GET', 'HEAD'] }])
  const noWriting = policy([
    { id: 'p', effect: 'permit', ...about },
    { id: 'f', effect: 'forbid', ...about, methods: ['DELETE'] },
  ])

  test.each<readonly [string, Manifest, object, string, string]>([
    ['a stated GET', stated, { url }, 'allow', 'allow'],
    ['a stated GET beside another argument', stated, { url, method: 'DELETE' }, 'allow', 'allow'],
    ['get in the arguments', named, { url, method: 'get' }, 'allow', 'allow'],
    ['delete in the arguments', named, { url, method: 'delete' }, 'no_matching_permit', 'forbidden'],
    ['POST in the arguments', named, { url, method: 'POST' }, 'no_matching_permit', 'allow'],
    ['no argument', named, { url }, 'no_matching_permit', 'forbidden'],
    ['an argument of another type', named, { url, method: ['GET'] }, 'no_matching_permit', 'forbidden'],
    [
      'a mapping without a method',
      manifestOf({ from: '/url', kind: 'url', optional: true }),
      { url, method: 'GET' },
      'no_matching_permit',
      'forbidden',
    ],
  ])('%s', (_name, manifest, args, byPermit, byForbid) => {
    expect([decide(reading, manifest, args), decide(noWriting, manifest, args)]).toEqual([byPermit, byForbid])
  })
})

describe('in every format', () => {
  const FORMATS: readonly (readonly [DocumentFormat, string])[] = [
    [
      'json',
      `{ "skill": "s", "allowed_hosts": ["a.example"], "tools": [{ "name": "t", "oauth_scopes": ["mail.read"],
        "input_schema": { "type": "object", "additionalProperties": false, "required": ["url", "verb"],
          "properties": { "url": { "type": "string" }, "verb": { "type": "string" } } },
        "resources": [{ "from": "/url", "kind": "url", "method_from": "/verb" }] },
        { "name": "u", "input_schema": { "type": "object", "required": ["host"], "properties": { "host": { "type": "string" } } },
        "resources": [{ "from": "/host", "kind": "host", "method": "GET" }] }] }`,
    ],
    [
      'yaml',
      `skill: s
allowed_hosts: [a.example]
tools:
  - name: t
    oauth_scopes: [mail.read]
    input_schema:
      type: object
      required: [url, verb]
      additionalProperties: false
      properties: { url: { type: string }, verb: { type: string } }
    resources: [{ from: /url, kind: url, method_from: /verb }]
  - name: u
    input_schema: { type: object, required: [host], properties: { host: { type: string } } }
    resources: [{ from: /host, kind: host, method: GET }]
`,
    ],
    [
      'toml',
      `skill = "s"
allowed_hosts = ["a.example"]
[[tools]]
name = "t"
oauth_scopes = ["mail.read"]
resources = [{ from = "/url", kind = "url", method_from = "/verb" }]
[tools.input_schema]
type = "object"
required = ["url", "verb"]
additionalProperties = false
properties = { url = { type = "string" }, verb = { type = "string" } }
[[tools]]
name = "u"
resources = [{ from = "/host", kind = "host", method = "GET" }]
[tools.input_schema]
type = "object"
required = ["host"]
properties = { host = { type = "string" } }
`,
    ],
  ]
  const validator = new ManifestValidator()

  test('the same manifest', () => {
    const digests = FORMATS.map(([format, text]) => {
      const manifest = validator.load({ file: `manifest.${format}`, text })
      const bound = bindCall(manifest, 't', { url, verb: 'put' })
      expect(bound).toMatchObject({
        ok: true,
        resources: [
          { kind: 'network', method: 'PUT' },
          { kind: 'scope', name: 'mail.read' },
        ],
      })
      expect(bindCall(manifest, 'u', { host: 'a.example' })).toMatchObject({ ok: true, resources: [{ method: 'GET' }] })
      return manifest.digest
    })
    expect(new Set(digests).size).toBe(1)
  })

  test.each([
    ['"/verb"', '"/vreb"', 'unknown_reference'],
    ['/verb }]', '/vreb }]', 'unknown_reference'],
    ['GET', 'get', 'invalid_value'],
    ['mail.read', 'mail read', 'invalid_pattern'],
    ['method_from', 'methodFrom', 'unknown_key'],
    ['oauth_scopes', 'scopes', 'unknown_key'],
  ])('%s written %s is found at its place', (good, bad, code) => {
    let found = 0
    for (const [format, text] of FORMATS) {
      const at = text.indexOf(good)
      if (at === -1) continue
      found++
      const broken = text.replace(good, bad)
      const before = text.slice(0, at).split('\n')
      const result = validator.validate({ file: `manifest.${format}`, text: broken })
      if (result.ok) throw new Error('it was taken')
      const [problem] = result.problems
      expect(problem?.code).toBe(code)
      // A problem stands at the text or at its key, which may begin with a quotation mark.
      expect([problem?.line, Math.abs((problem?.column ?? 0) - (before.at(-1) ?? '').length - 1) <= 1]).toEqual([
        before.length,
        true,
      ])
    }
    expect(found).toBeGreaterThan(0)
  })
})
