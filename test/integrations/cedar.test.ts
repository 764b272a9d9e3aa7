// Against the real cedar-wasm. Where Cedar by itself says allow and should not be believed, the test shows that it does.

import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { askConditions } from '../../src/core/ask-conditions.ts'
import { conditionInput } from '../../src/core/condition-port.ts'
import type { JsonObject, JsonValue } from '../../src/core/json.ts'
import { resourceOf } from '../../src/core/named-resource.ts'
import {
  type CedarConditionsOptions,
  type CedarModule,
  type CedarRequest,
  cedarConditions,
  cedarRequest,
} from '../../src/integrations/cedar.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const GUARDED = `
permit(principal, action, resource);
forbid(principal, action, resource) when { context.args.region == "eu" };
`

const SCHEMA = `
entity Role;
entity Agent in [Role] tags String;
entity Skill;
action pay appliesTo {
  principal: Agent,
  resource: Skill,
  context: { args: { amount: Long, region?: String }, resources: Set<String> },
};
`

function inputOf(args: JsonObject, more: Readonly<Record<string, JsonValue>> = {}): JsonObject {
  return { ...conditionInput({ node: 'clerk-1', skill: 'bank', tool: 'pay', args, resources: [] }), ...more }
}

interface Told {
  readonly answer: boolean | undefined
  readonly reason: string | undefined
}

async function tell(options: Partial<CedarConditionsOptions>, input: JsonObject, query = 'main'): Promise<Told> {
  const port = cedarConditions({ name: 'cedar', cedar, policies: { main: GUARDED }, ...options })
  const reasons: string[] = []
  const answers = await askConditions(new Map([['cedar', port]]), [{ engine: 'cedar', query }], input, {
    onUnanswered: (_, reason) => reasons.push(reason),
  })
  return { answer: answers[`cedar ${query}`], reason: reasons[0] }
}

/** Cedar as one would ask it: the decision, and nothing else, is looked at. */
function naively(policies: string, input: JsonObject): boolean {
  const answer = cedar.isAuthorized({
    ...(cedarRequest(input) as unknown as Omit<cedar.AuthorizationCall, 'policies'>),
    policies: { staticPolicies: policies },
  })
  return answer.type === 'success' && answer.response.decision === 'allow'
}

/** The same module without the functions that newer versions have. */
const { isAuthorized, checkParsePolicySet, policySetTextToParts, validate } = cedar
const older: CedarModule = { isAuthorized, checkParsePolicySet, policySetTextToParts, validate }

describe.each<[string, CedarModule]>([
  ['parsed once', cedar],
  ['parsed for every question', older],
])('an answer, with policies %s', (_, module) => {
  test('is what Cedar decides', async () => {
    const options = { cedar: module }
    expect(await tell(options, inputOf({ region: 'us' }))).toEqual({ answer: true, reason: undefined })
    expect(await tell(options, inputOf({ region: 'eu' }))).toEqual({ answer: false, reason: undefined })
  })

  test.each<[string, string, JsonObject]>([
    ['a forbid on an attribute that is not there', GUARDED, {}],
    [
      'a forbid on an attribute of another type',
      'permit(principal, action, resource); forbid(principal, action, resource) when { context.args.n > 5 };',
      { n: '10' },
    ],
    [
      'a forbid on an address Cedar does not read',
      'permit(principal, action, resource); forbid(principal, action, resource) when { ip(context.args.ip).isLoopback() };',
      { ip: '::ffff:127.0.0.1' },
    ],
    [
      'a forbid that overflows',
      'permit(principal, action, resource); forbid(principal, action, resource) when { context.args.n * 9000000000 > 0 };',
      { n: 9007199254740991 },
    ],
  ])('is none when Cedar skips %s; Cedar says allow', async (_name, policies, args) => {
    expect(naively(policies, inputOf(args))).toBe(true)
    const told = await tell({ cedar: module, policies: { main: policies } }, inputOf(args))
    expect(told.answer).toBeUndefined()
    expect(told.reason).toContain('Cedar skipped a policy: policy1')
  })

  test('is none for an action the schema does not know', async () => {
    const policies = { main: 'permit(principal, action, resource);' }
    const input = { ...inputOf({ amount: 5 }), tool: 'transfer' }
    // Without a schema nothing says that there is no such action.
    expect((await tell({ cedar: module, policies }, input)).answer).toBe(true)
    const told = await tell({ cedar: module, policies, schema: SCHEMA }, input)
    expect(told.answer).toBeUndefined()
    expect(told.reason).toContain('does not exist in the supplied schema')
  })

  test.each<[string, JsonObject]>([
    ['an attribute too few', {}],
    ['an attribute too many', { amount: 5, other: 1 }],
    ['an attribute of another type', { amount: '5' }],
  ])('is none for a request that does not fit the schema: %s', async (_name, args) => {
    const policies = { main: 'permit(principal, action, resource);' }
    expect(naively(policies.main, inputOf(args))).toBe(true)
    expect((await tell({ cedar: module, policies, schema: SCHEMA }, inputOf(args))).answer).toBeUndefined()
  })

  test('is there for one that fits', async () => {
    const policies = {
      main: `permit(principal in Role::"clerk", action == Action::"pay", resource == Skill::"bank")
        when { principal.hasTag("team") && principal.getTag("team") == "red" && context.args.amount <= 500 };`,
    }
    const who = { roles: ['clerk'], labels: { team: 'red' } }
    const options = { cedar: module, policies, schema: SCHEMA }
    expect(await tell(options, inputOf({ amount: 500 }, who))).toEqual({ answer: true, reason: undefined })
    expect((await tell(options, inputOf({ amount: 501 }, who))).answer).toBe(false)
    expect((await tell(options, inputOf({ amount: 5 }, { ...who, roles: ['intern'] }))).answer).toBe(false)
    expect((await tell(options, inputOf({ amount: 5 }, { ...who, labels: { team: 'blue' } }))).answer).toBe(false)
    expect((await tell(options, inputOf({ amount: 5 }))).answer).toBe(false)
  })

  test('is none for a query that names no policy set, a prototype included', async () => {
    for (const query of ['other', 'constructor', '__proto__', '', 'main ']) {
      const told = await tell({ cedar: module }, inputOf({ region: 'us' }), query)
      expect(told.answer).toBeUndefined()
      expect(told.reason).toContain('there is no policy set')
    }
  })

  test.each<[string, JsonObject]>([
    ['null', { region: null }],
    ['a fraction', { region: 0.5 }],
    ['null inside of a list', { region: 'us', list: [null] }],
  ])('is none for what Cedar has no value for: %s', async (_name, args) => {
    expect((await tell({ cedar: module }, inputOf(args))).answer).toBeUndefined()
  })

  test('is none for a call of no skill', async () => {
    const { skill: _skill, ...input } = inputOf({ region: 'us' })
    expect((await tell({ cedar: module }, input)).answer).toBeUndefined()
  })
})

describe('a call', () => {
  // With one of these a caller would be the owner that a policy compares with, or an address that is in a range.
  const owned = 'permit(principal, action, resource) when { context.args.owner == principal };'
  const entity = { owner: { __entity: { type: 'Agent', id: 'clerk-1' } } }

  test('cannot name an entity: as Cedar reads its JSON, it can', async () => {
    expect(naively(owned, inputOf(entity))).toBe(true)
    const told = await tell({ policies: { main: owned } }, inputOf(entity))
    expect(told.answer).toBeUndefined()
    expect(told.reason).toContain('__entity')
    // A text that only spells the same is a text.
    expect((await tell({ policies: { main: owned } }, inputOf({ owner: 'Agent::"clerk-1"' }))).answer).toBe(false)
  })

  test('cannot, wherever it hides one', () => {
    const leaf = fc
      .constantFrom('__entity', '__extn', '__expr')
      .map((key) => ({ [key]: { fn: 'ip', arg: '10.0.0.1' } }))
    const { tree } = fc.letrec<{ tree: JsonValue }>((tie) => ({
      tree: fc.oneof({ maxDepth: 5 }, leaf, fc.record({ a: fc.constant(1), b: tie('tree') }), fc.tuple(tie('tree'))),
    }))
    const policies = { main: 'permit(principal, action, resource);' }
    const port = cedarConditions({ name: 'cedar', cedar, policies })
    fc.assert(
      fc.property(tree, (hidden) => {
        expect(() => port.ask('main', inputOf({ hidden }))).toThrow(/reads as more than data/)
        expect(() => port.ask('main', inputOf({}, { facts: { hidden } }))).toThrow(/reads as more than data/)
      }),
      { numRuns: fuzzRuns(100) },
    )
    expect(port.ask('main', inputOf({}))).toBe(true)
  })

  test('cannot write policy text: names and values stay what they are', async () => {
    const policies = { main: 'permit(principal == Agent::"root", action, resource);' }
    for (const node of ['root"', '"root"', 'x", action, resource);permit(principal', 'root\\u0000', 'Agent::"root"']) {
      expect((await tell({ policies }, { ...inputOf({}), node })).answer).toBe(false)
    }
    expect((await tell({ policies }, { ...inputOf({}), node: 'root' })).answer).toBe(true)
  })
})

describe('a mapping', () => {
  const policies = {
    main: `permit(principal is User, action, resource) when { context.address.isInRange(ip("10.0.0.0/8")) };`,
  }
  const mapping = (input: JsonObject): CedarRequest => ({
    ...cedarRequest(input),
    principal: { type: 'User', id: String(input['principal']) },
    context: { address: { __extn: { fn: 'ip', arg: (input['args'] as { ip: string }).ip } } },
    entities: [],
  })

  test('is the operator’s own, and may make more than data', async () => {
    const given = { principal: 'ada' }
    expect((await tell({ policies, mapping }, inputOf({ ip: '10.1.2.3' }, given))).answer).toBe(true)
    expect((await tell({ policies, mapping }, inputOf({ ip: '192.0.2.1' }, given))).answer).toBe(false)
    expect((await tell({ policies, mapping }, inputOf({ ip: '010.0.0.1' }, given))).answer).toBeUndefined()
  })

  test.each<[string, unknown]>([
    ['throws', () => JSON.parse('{')],
    ['returns nothing', () => undefined],
    ['returns half of a request', () => ({ principal: { type: 'Agent', id: 'a' } })],
    ['returns another type', () => 'Agent'],
  ])('that %s answers nothing', async (_, broken) => {
    const told = await tell(
      { mapping: broken as CedarConditionsOptions['mapping'] & object },
      inputOf({ region: 'us' }),
    )
    expect(told.answer).toBeUndefined()
  })

  test('cannot choose another policy set or switch a check off', async () => {
    const other = cedarConditions({
      name: 'cedar',
      cedar,
      policies: { main: 'permit(principal, action, resource);', closed: 'forbid(principal, action, resource);' },
      mapping: (input) =>
        ({ ...cedarRequest(input), preparsedPolicySetId: 'main', validateRequest: false }) as CedarRequest,
    })
    expect(other.ask('closed', inputOf({}))).toBe(false)
  })

  test('the default tells Cedar of node, roles, labels, skill, tool, arguments and resources', () => {
    const resources = [resourceOf('url', 'https://api.example.com/'), resourceOf('path', '/srv/a', { access: 'write' })]
    const input = conditionInput({ node: 'n', roles: ['r'], skill: 's', tool: 't', args: { a: 1 }, resources })
    expect(cedarRequest(input)).toEqual({
      principal: { type: 'Agent', id: 'n' },
      action: { type: 'Action', id: 't' },
      resource: { type: 'Skill', id: 's' },
      context: { args: { a: 1 }, resources: ['network https://api.example.com:443', 'write /srv/a'] },
      entities: [
        { uid: { type: 'Agent', id: 'n' }, attrs: {}, parents: [{ type: 'Role', id: 'r' }] },
        { uid: { type: 'Role', id: 'r' }, attrs: {}, parents: [] },
      ],
    })
  })
})

describe('a module', () => {
  const unusual: readonly (readonly [string, unknown])[] = [
    ['nothing', undefined],
    ['a text', 'allow'],
    ['a failure', { type: 'failure', errors: [{ message: 'no' }] }],
    ['no diagnostics', { type: 'success', response: { decision: 'allow' } }],
    ['errors that are no list', { type: 'success', response: { decision: 'allow', diagnostics: { errors: {} } } }],
    ['another decision', { type: 'success', response: { decision: 'Allow', diagnostics: { errors: [] } } }],
    ['no decision', { type: 'success', response: { diagnostics: { errors: [] } } }],
  ]

  test.each(unusual)('that answers %s has not answered', async (_, answer) => {
    const odd = { ...older, isAuthorized: () => answer }
    expect((await tell({ cedar: odd }, inputOf({ region: 'us' }))).answer).toBeUndefined()
  })

  test('that traps has not answered', async () => {
    const trapping = {
      ...older,
      isAuthorized: () => {
        throw new WebAssembly.RuntimeError('unreachable')
      },
    }
    expect((await tell({ cedar: trapping }, inputOf({ region: 'us' }))).answer).toBeUndefined()
  })
})

describe('two ports of one name', () => {
  test('keep their policies apart, though the module keeps them in one place', () => {
    const open = cedarConditions({ name: 'cedar', cedar, policies: { main: 'permit(principal, action, resource);' } })
    const shut = cedarConditions({ name: 'cedar', cedar, policies: { main: 'forbid(principal, action, resource);' } })
    expect([open.ask('main', inputOf({})), shut.ask('main', inputOf({}))]).toEqual([true, false])
    shut.close()
    shut.close()
    expect(() => shut.ask('main', inputOf({}))).toThrow(/closed/)
    expect(open.ask('main', inputOf({}))).toBe(true)
  })
})

describe('loading', () => {
  test.each<[string, Partial<CedarConditionsOptions>, string]>([
    ['half a policy', { policies: { main: 'permit(principal,' } }, 'policy set "main" does not parse'],
    ['a policy of another language', { policies: { main: 'allow = true' } }, 'does not parse'],
    ['no policy', { policies: { main: '' } }, 'is empty'],
    ['only a comment', { policies: { main: '// permit(principal, action, resource);' } }, 'is empty'],
    ['a template', { policies: { main: 'permit(principal == ?principal, action, resource);' } }, ''],
    ['one bad set of two', { policies: { main: GUARDED, other: 'permit' } }, 'policy set "other"'],
    ['a schema that is none', { schema: 'entity' }, 'schema'],
    [
      'an attribute the schema does not have',
      { schema: SCHEMA, policies: { main: 'permit(principal, action, resource) when { context.args.amuont > 5 };' } },
      'does not fit the schema',
    ],
    [
      'an optional attribute that nobody checked for',
      {
        schema: SCHEMA,
        policies: { main: 'forbid(principal, action, resource) when { context.args.region == "eu" };' },
      },
      'does not fit the schema',
    ],
    [
      'an action the schema does not have',
      { schema: SCHEMA, policies: { main: 'permit(principal, action == Action::"pya", resource);' } },
      'does not fit the schema',
    ],
  ])('refuses %s', (_, options, message) => {
    for (const module of [cedar, older]) {
      const refused = expect.objectContaining({ code: 'ERR_POLICY_INVALID', message: expect.stringContaining(message) })
      expect(() => cedarConditions({ name: 'cedar', cedar: module, policies: { main: GUARDED }, ...options })).toThrow(
        refused,
      )
    }
  })

  test.each<[string, unknown]>([
    ['no name', { name: '' }],
    ['no module', { cedar: undefined }],
    ['another module', { cedar: { isAuthorized: () => true } }],
    ['no policies', { policies: undefined }],
    ['policies under no name', { policies: {} }],
    ['a policy that is no text', { policies: { main: 7 } }],
    ['a name with a space', { policies: { 'main set': GUARDED } }],
    ['a mapping that is none', { mapping: 'default' }],
  ])('%s is a misuse', (_, wrong) => {
    const options = { name: 'cedar', cedar, policies: { main: GUARDED }, ...(wrong as object) }
    expect(() => cedarConditions(options as CedarConditionsOptions)).toThrow(TypeError)
  })
})
