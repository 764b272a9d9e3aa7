// Egress tables: each role sees its own network, in every call and in the box of every process, whatever permits say.

import { describe, expect, test } from 'vitest'

import { ask, BANK_GRAPH, BANK_MANIFEST, type Bank, bankPolicy, openBank, refusedCall } from './bank.ts'
import { bundleOf, scriptedEnforcer } from './fixture.ts'

const HOSTS = ['docs.example.com', 'bank.example.com', 'other.example.com']
const SKILLS = [bundleOf(BANK_MANIFEST.replace('["*.example.com"]', JSON.stringify(HOSTS)), 'bank')]

/** A clerk who researches, a teller who pays, an auditor of whom no table says anything. */
const TABLES = `
roles:
  research: { nodes: [clerk] }
  payments: { nodes: [teller] }
egress:
  - { id: research, roles: [research], hosts: [docs.example.com] }
  - { id: payments, roles: [payments], hosts: [bank.example.com] }
  - { id: rest, nodes: [nobody], hosts: [other.example.com] }
`

const get = (host: string) => ({ tool: 'http_get', args: { url: `https://${host}.example.com/` } })
const pay = (host: string) => ({ tool: 'pay', args: { url: `https://${host}.example.com/` } })

function open(beside = TABLES, more: Parameters<typeof openBank>[0] = {}): Promise<Bank> {
  return openBank({ skills: SKILLS, policy: bankPolicy(beside), ...more })
}

describe('a call', () => {
  const cases = [
    ['clerk', 'docs', 'allow'],
    ['clerk', 'bank', 'egress_not_granted'],
    ['clerk', 'other', 'egress_not_granted'],
    ['teller', 'bank', 'allow'],
    ['teller', 'docs', 'egress_not_granted'],
  ] as const

  test.each(cases)('of %s to %s: %s', async (name, host, answer) => {
    const { run, node } = await open()
    const asking = name === 'clerk' ? node : await run.admit(name)
    expect([await ask(asking, get(host)), await ask(asking, pay(host))]).toEqual([answer, answer])
  })

  test.each(cases)('control: without tables, %s to %s is allowed', async (name, host) => {
    const { run, node } = await open('')
    expect(await ask(name === 'clerk' ? node : await run.admit(name), get(host))).toBe('allow')
  })

  test('of a node that no table is about reaches nothing, and still runs what reaches nothing', async () => {
    const { run, node } = await open()
    await node.complete()
    const auditor = await run.admit('auditor')
    for (const host of ['docs', 'bank', 'other']) expect(await ask(auditor, get(host))).toBe('egress_not_granted')
    expect(await ask(auditor, { tool: 'ping' })).toBe('allow')
  })

  test('is told what would have to be listed, and the third same one ends the node', async () => {
    const { node } = await open()
    expect(await refusedCall(node, get('bank'))).toMatchObject({
      denial: { code: 'egress_not_granted', recoverable: 'narrower', layer: 'policy' },
    })
    expect([await ask(node, get('bank')), await ask(node, get('bank'))]).toEqual([
      'egress_not_granted',
      'denial_repeated',
    ])
  })

  test('a table grants nothing by itself, and lifts no forbid', async () => {
    const policy = {
      file: 'p.yaml',
      text: bankPolicy(
        TABLES,
        '  - { id: no, effect: forbid, nodes: ["*"], tools: [pay], hosts: [docs.example.com] }',
      ).text.replace('web, effect: permit, nodes: ["*"]', 'web, effect: permit, nodes: [teller, auditor]'),
    }
    const { node } = await open(TABLES, { policy })
    expect([await ask(node, get('docs')), await ask(node, pay('docs'))]).toEqual(['no_matching_permit', 'forbidden'])
  })

  const byMethod = TABLES.replace('hosts: [docs.example.com]', 'hosts: [docs.example.com], methods: [HEAD]')

  test('by another method is another one, and one whose method is not known is none of the listed', async () => {
    const { node } = await open(byMethod)
    const head = { tool: 'http_head', args: get('docs').args }
    expect([await ask(node, head), await ask(node, get('docs')), await ask(node, pay('docs'))]).toEqual([
      'allow',
      'egress_not_granted',
      'egress_not_granted',
    ])
  })

  test('a role that the graph asserts, and a label, bring their table', async () => {
    const beside = `
roles:
  research: { labels: { team: [science] } }
  payments: { asserted: true }
egress:
  - { id: research, roles: [research], hosts: [docs.example.com] }
  - { id: payments, roles: [payments], hosts: [bank.example.com] }
  - { id: rest, nodes: [nobody], hosts: [other.example.com] }
`
    const { clerk, teller } = BANK_GRAPH.nodes
    const nodes = { clerk: { ...clerk, labels: { team: 'science' } }, teller: { ...teller, roles: ['payments'] } }
    const { node, run } = await openBank({ skills: SKILLS, policy: bankPolicy(beside) }, { graph: { nodes } })
    const paying = await run.admit('teller')
    const answers = [node, paying].map((asking) => Promise.all([ask(asking, get('docs')), ask(asking, get('bank'))]))
    expect(await Promise.all(answers)).toEqual([
      ['allow', 'egress_not_granted'],
      ['egress_not_granted', 'allow'],
    ])
  })
})

describe('a process', () => {
  async function profiles(beside: string): Promise<readonly (readonly string[])[]> {
    const { enforcer, boxes } = scriptedEnforcer()
    const { node, run } = await open(beside, { enforcer })
    await node.confine('http_get')
    await (await run.admit('teller')).confine('http_get')
    await node.complete()
    await (await run.admit('auditor')).confine('http_get')
    return boxes.map(({ profile }) => profile.egress.map(({ value }) => value.text))
  }

  test('gets the network of its role, and none where no table is about it', async () => {
    expect(await profiles(TABLES)).toEqual([['docs.example.com'], ['bank.example.com'], []])
  })

  test('control: without tables it gets what manifest and permits have in common', async () => {
    const all = await profiles('')
    expect(all.map((hosts) => [...hosts].sort())).toEqual([[...HOSTS].sort(), [...HOSTS].sort(), [...HOSTS].sort()])
  })

  test('gets nothing from a table for some methods: who sees addresses sees no methods', async () => {
    const byMethod = TABLES.replace('hosts: [docs.example.com]', 'hosts: [docs.example.com], methods: [GET]')
    expect(await profiles(byMethod)).toEqual([[], ['bank.example.com'], []])
  })

  test('gets no more from a table than manifest and permits have', async () => {
    const wide = TABLES.replace('hosts: [docs.example.com]', 'hosts: ["**.example.com", "*"]')
    const [clerk = []] = await profiles(wide)
    expect([...clerk].sort()).toEqual([...HOSTS].sort())
  })
})
