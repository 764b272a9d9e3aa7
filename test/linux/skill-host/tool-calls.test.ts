import { expect, test } from 'vitest'

import type { NodeAdmission } from '../../../src/admission.ts'
import { type DenialCode, deny } from '../../../src/core/denial.ts'
import { DeniedError } from '../../../src/core/denied-error.ts'
import type { JsonObject } from '../../../src/core/json.ts'
import {
  type CallAuthority,
  gatewayCalls,
  type JudgedCall,
  noCalls,
  refusalOf,
} from '../../../src/linux/skill-host/tool-calls.ts'

// The real one fits.
type Fits = NodeAdmission extends CallAuthority ? true : false
const fits: Fits = true

const LIVE = new AbortController().signal

interface Seen {
  readonly events: string[]
  readonly node: CallAuthority
}

function authority(options: { denied?: DenialCode; dropped?: DenialCode; signal?: AbortSignal } = {}): Seen {
  const events: string[] = []
  return {
    events,
    node: {
      async authorize({ tool, args }): Promise<JudgedCall> {
        events.push(`authorize ${tool}`)
        if (options.denied !== undefined) return { decision: 'deny', denial: deny(options.denied, 'no') }
        return {
          decision: 'allow',
          tool,
          // What was judged and not what was asked.
          args: { judged: args as JsonObject },
          signal: options.signal ?? LIVE,
          async settle(value) {
            events.push('settle')
            return options.dropped === undefined
              ? { accepted: true, value }
              : { accepted: false, denial: deny(options.dropped, 'late') }
          },
          async fail() {
            events.push('fail')
          },
        }
      },
    },
  }
}

test('an admission of a node is an authority', () => expect(fits).toBe(true))

test('authorize, dispatch, settle, with the arguments that were judged', async () => {
  const { node, events } = authority()
  const call = gatewayCalls(node, async (tool, args) => {
    events.push(`dispatch ${tool} ${JSON.stringify(args)}`)
    return 'result'
  })
  expect(await call('fetch', { a: 1 }, LIVE)).toBe('result')
  expect(events).toEqual(['authorize fetch', 'dispatch fetch {"judged":{"a":1}}', 'settle'])
})

test('what is denied is not dispatched', async () => {
  const { node, events } = authority({ denied: 'no_matching_permit' })
  const call = gatewayCalls(node, async () => events.push('dispatch'))
  await expect(call('fetch', {}, LIVE)).rejects.toMatchObject({ denial: { code: 'no_matching_permit' } })
  expect(events).toEqual(['authorize fetch'])
})

test('a result that is not accepted does not get to the skill', async () => {
  const { node } = authority({ dropped: 'run_halted' })
  await expect(gatewayCalls(node, async () => 'secret')('fetch', {}, LIVE)).rejects.toMatchObject({
    denial: { code: 'run_halted' },
  })
})

test('a dispatch that throws is recorded as failed', async () => {
  const { node, events } = authority()
  const call = gatewayCalls(node, async () => {
    throw new Error('broken')
  })
  await expect(call('fetch', {}, LIVE)).rejects.toThrow('broken')
  expect(events).toEqual(['authorize fetch', 'fail'])
})

test.each(['run', 'skill'] as const)('nothing is dispatched when the %s is over by then', async (which) => {
  const { node, events } = authority(which === 'run' ? { signal: AbortSignal.abort() } : {})
  const call = gatewayCalls(node, async () => events.push('dispatch'))
  await expect(call('fetch', {}, which === 'skill' ? AbortSignal.abort() : LIVE)).rejects.toThrow()
  expect(events).toEqual(['authorize fetch', 'fail'])
})

test('what a skill learns of a refusal', async () => {
  expect(refusalOf(new DeniedError(deny('forbidden', 'rule never-the-admin-pages', { missing: 'a secret' })))).toEqual({
    code: 'forbidden',
    message: expect.not.stringContaining('never-the-admin-pages'),
    recoverable: 'never',
  })
  for (const thrown of [new Error('secret'), 'secret', null, { denial: { code: 'forbidden' } }]) {
    expect(refusalOf(thrown)).toMatchObject({ code: 'tool_failed' })
    expect(JSON.stringify(refusalOf(thrown))).not.toContain('secret')
  }
  await expect(noCalls('x', {}, LIVE)).rejects.toMatchObject({ code: 'ERR_STATE_INVALID' })
})
