// The published JSON Schemas are what the sources say, and judge documents as the loaders do. `npm run schemas` writes them.

import { Ajv2020 } from 'ajv/dist/2020.js'
import { describe, expect, test } from 'vitest'

import { trustJsonSchema } from '../src/attestation/schema.ts'
import { parseDocument } from '../src/core/document.ts'
import { graphJsonSchema } from '../src/halt/schema.ts'
import { manifestJsonSchema } from '../src/manifest/schema.ts'
import { policyJsonSchema } from '../src/policy/schema.ts'
import { MANIFEST, POLICY } from './agentport/fixture.ts'

const schemas = {
  graph: graphJsonSchema(),
  manifest: manifestJsonSchema(),
  policy: policyJsonSchema(),
  trust: trustJsonSchema(),
}

const samples: Readonly<Record<keyof typeof schemas, { readonly good: string; readonly bad: string }>> = {
  graph: {
    good: 'nodes: { a: { skill: web, after: [], tool_scope: [ping], on_failure: halt } }',
    bad: 'nodes: { a: { skill: web, toolScope: [ping] } }',
  },
  manifest: { good: MANIFEST, bad: MANIFEST.replace('allowed_hosts', 'allowed_host') },
  policy: { good: POLICY, bad: POLICY.replace('effect: forbid', 'effect: forbidd') },
  trust: { good: 'version: 1\npinned: []\n', bad: 'version: 1\npin: []\n' },
}

describe.each(Object.entries(schemas))('schemas/%s.schema.json', (name, schema) => {
  test('is current', async () => {
    await expect(`${JSON.stringify(schema, undefined, 2)}\n`).toMatchFileSnapshot(`../schemas/${name}.schema.json`)
  })

  test('says who it is, and judges as the loader does', () => {
    expect(schema).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      $id: `https://agentport.dev/schemas/${name}.schema.json`,
      title: expect.any(String),
    })
    const validate = new Ajv2020({ strict: false }).compile(schema as object)
    const { good, bad } = samples[name as keyof typeof schemas]
    const value = (text: string): unknown => {
      const parsed = parseDocument({ file: 'x.yaml', text })
      if (!parsed.ok) throw new Error('not YAML')
      return parsed.document.value
    }
    expect(validate(value(good)), JSON.stringify(validate.errors)).toBe(true)
    expect(validate(value(bad))).toBe(false)
  })
})
