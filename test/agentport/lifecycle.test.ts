import { describe, expect, test } from 'vitest'

import { verifyAuditLog } from '../../src/index.ts'
import { openNode, recordTypes } from './fixture.ts'

describe('one call, end to end', () => {
  test('attested, declared, granted, recorded before and after', async () => {
    const { port, run, node, audit } = await openNode()
    expect(port.skills.map((skill) => (skill.admitted ? skill.name : skill.denial))).toEqual(['web'])
    expect(node.denial).toBeUndefined()
    const call = await node.authorize({ tool: 'http_get', args: { url: 'https://API.example.com./a' } })
    if (call.decision !== 'allow') throw new Error(call.denial.detail)
    expect(call.args).toEqual({ url: 'https://api.example.com/a' })
    expect(recordTypes(audit).at(-1)).toBe('call.allowed')
    expect(await call.settle({ status: 200 })).toEqual({ accepted: true, value: { status: 200 } })
    expect(await node.complete()).toMatchObject({ accepted: true, halted: false })
    await run.close()
    const head = await port.close()
    expect(recordTypes(audit)).toEqual([
      'log.opened',
      'policy.loaded',
      'skill.admitted',
      'run.opened',
      'node.admitted',
      'call.allowed',
      'call.outcome',
      'node.completed',
      'run.closed',
      'log.closed',
    ])
    expect(verifyAuditLog(audit.lines, { expectHead: head })).toMatchObject({ ok: true, faults: [] })
  })
})
