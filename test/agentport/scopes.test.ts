// OAuth scopes: a tool uses them, the manifest says which, the run holds them, and the policy has to grant them as well.

import { describe, expect, test } from 'vitest'

import { ask, BANK_GRAPH, BANK_MANIFEST, bankPolicy, openBank, refusedCall } from './bank.ts'
import { bundleOf, openPort } from './fixture.ts'

const MAIL = { tool: 'mail_send', args: { to: 'bob' } }
const READING = BANK_MANIFEST.replace('oauth_scopes: [mail.send]', 'oauth_scopes: [mail.send, mail.read]')

describe('a scope', () => {
  test('that the run holds and the policy permits', async () => {
    const { node } = await openBank({}, { scopes: ['mail.send'] })
    expect(await ask(node, MAIL)).toBe('allow')
  })

  test.each([
    ['none', []],
    ['another one', ['mail.read']],
    ['another case', ['Mail.Send']],
    ['a pattern', ['mail.*', '*']],
    ['one that begins alike', ['mail.send.all', 'mail']],
    ['two in one', ['mail.send mail.read']],
  ])('that the run does not hold (it has %s)', async (_, scopes) => {
    const { node } = await openBank({}, { scopes })
    expect(await refusedCall(node, MAIL)).toMatchObject({
      denial: { code: 'scope_not_held', recoverable: 'narrower', missing: "scopes: ['mail.send'] in openRun()" },
    })
    expect(await ask(node, { tool: 'ping' })).toBe('allow')
  })

  test('of which one is missing', async () => {
    const skills = [bundleOf(READING, 'bank')]
    const policy = { file: 'p.yaml', text: bankPolicy().text.replace('[mail.send]', '[mail.send, mail.read]') }
    const [part, both] = [
      await openBank({ skills, policy }, { scopes: ['mail.send'] }),
      await openBank({ skills, policy }, { scopes: ['mail.read', 'mail.send'] }),
    ]
    expect([await ask(part.node, MAIL), await ask(both.node, MAIL)]).toEqual(['scope_not_held', 'allow'])
  })

  test('that is held and not permitted to this node', async () => {
    const policy = {
      file: 'p.yaml',
      text: bankPolicy().text.replace('mail, effect: permit, nodes: ["*"]', 'mail, effect: permit, nodes: [teller]'),
    }
    const { node, run } = await openBank({ policy }, { scopes: ['mail.send'] })
    expect(await ask(node, MAIL)).toBe('no_matching_permit')
    expect(await ask(await run.admit('teller'), MAIL)).toBe('allow')
  })

  test('a permit for the tool alone permits no scope', async () => {
    const text = bankPolicy('', '  - { id: tool, effect: permit, nodes: ["*"], tools: [mail_send] }').text
    const policy = {
      file: 'p.yaml',
      text: text.replace('mail, effect: permit, nodes: ["*"]', 'mail, effect: permit, nodes: [teller]'),
    }
    const { node } = await openBank({ policy }, { scopes: ['mail.send'] })
    expect(await ask(node, MAIL)).toBe('no_matching_permit')
  })

  test('that is forbidden', async () => {
    const policy = bankPolicy(
      '',
      '  - { id: no, effect: forbid, nodes: ["*"], tools: ["*"], oauth_scopes: [mail.send] }',
    )
    const { node } = await openBank({ policy }, { scopes: ['mail.send'] })
    expect([await ask(node, { tool: 'ping' }), await ask(node, MAIL)]).toEqual(['allow', 'forbidden'])
  })

  test('that no policy grants rejects the skill', async () => {
    const skills = [bundleOf(READING, 'bank')]
    await expect(openBank({ skills })).rejects.toThrow(/manifest_excess[\s\S]*scope mail\.read/)
  })

  test('is held as it was when the run opened', async () => {
    const scopes = ['mail.read']
    const { node } = await openBank({}, { scopes })
    scopes.push('mail.send')
    expect(await ask(node, MAIL)).toBe('scope_not_held')
  })

  test('cannot be had by an argument', async () => {
    const { node } = await openBank({}, { scopes: [] })
    expect(await ask(node, { ...MAIL, scopes: ['mail.send'] } as never)).toBe('scope_not_held')
  })

  test.each([['mail.send'], [[1]], [{ 0: 'mail.send' }], [new Set(['mail.send'])]])(
    'scopes as %j open no run',
    async (scopes) => {
      const { port } = await openPort({ skills: [bundleOf(BANK_MANIFEST, 'bank')], policy: bankPolicy() })
      await expect(port.openRun({ graph: BANK_GRAPH, principal: 'ann', scopes: scopes as never })).rejects.toThrow(
        TypeError,
      )
    },
  )
})

test('facts tell a rule which scopes there are', async () => {
  const policy = bankPolicy(
    '',
    '  - { id: powerful, effect: forbid, nodes: ["*"], tools: [pay], facts: { /scopes: { contains: admin } } }',
  )
  const pay = { tool: 'pay', args: { url: 'https://bank.example.com/' } }
  const [plain, admin] = [await openBank({ policy }), await openBank({ policy }, { scopes: ['admin'] })]
  expect([await ask(plain.node, pay), await ask(admin.node, pay)]).toEqual(['allow', 'forbidden'])
})
