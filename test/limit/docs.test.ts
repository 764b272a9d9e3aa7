// The table of docs/limits.md, run on both stores.

import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { Charge, LimitKind, LimitStore } from '../../src/core/charge.ts'
import { parseDuration } from '../../src/core/duration.ts'
import { fromIoredis, redisLimitStore } from '../../src/integrations/redis-limit-store.ts'
import { MAX_CHARGES } from '../../src/limit/check-charge.ts'
import { MemoryLimitStore } from '../../src/limit/memory-store.ts'
import { WINDOW_ENTRIES } from '../../src/limit/sliding-window.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { noServer, SERVERS, type Server, startServer } from './server.ts'

const page = readFileSync(new URL('../../docs/limits.md', import.meta.url), 'utf8')

interface Row {
  readonly title: string
  readonly charge: Omit<Charge, 'amount'>
  readonly calls: readonly { readonly at: number; readonly amount: number }[]
  readonly answers: readonly string[]
}

const LIMIT = /^(rate|window|concurrency|budget) (\d+)(?: per (\w+))?(?: burst (\d+))?$/

const rows: readonly Row[] = page
  .split('\n')
  .map((line) => line.split('|').map((cell) => cell.trim()))
  .filter((cells) => LIMIT.test(cells[1] ?? ''))
  .map(([, title = '', at = '', answers = '']) => {
    const [, kind, max, per, burst] = LIMIT.exec(title) ?? []
    return {
      title,
      charge: {
        limit: 'l',
        key: 'k',
        kind: kind as LimitKind,
        max: Number(max),
        ...(per === undefined ? {} : { perMs: milliseconds(per) }),
        ...(burst === undefined ? {} : { burst: Number(burst) }),
      },
      calls: at.split(', ').map((call) => {
        const [, time, amount = '1'] = /^(\d+)(?: ×(\d+))?$/.exec(call) ?? []
        return { at: Number(time), amount: Number(amount) }
      }),
      answers: answers.split(', '),
    }
  })

function milliseconds(text: string): number {
  const parsed = parseDuration(text)
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.ms
}

async function answersOf({ charge, calls }: Row, store: LimitStore, moveTo: (ms: number) => void): Promise<string[]> {
  const answers: string[] = []
  for (const [index, { at, amount }] of calls.entries()) {
    moveTo(at)
    const answer = await store.reserve([{ ...charge, amount }], `lease ${index}`, 86_400_000)
    answers.push(answer.ok ? 'ok' : String(answer.retryAfterMs ?? 'no'))
  }
  return answers
}

test('there is a table, with each kind', () => {
  expect(new Set(rows.map(({ charge }) => charge.kind)).size).toBe(4)
  for (const row of rows) expect(row.answers, row.title).toHaveLength(row.calls.length)
})

test('bounds are as the page says', () => {
  for (const bound of [MAX_CHARGES, WINDOW_ENTRIES]) expect(page).toContain(bound.toLocaleString('en-US'))
  expect(page).toContain(`\`per\` / ${WINDOW_ENTRIES / 2}`)
})

test.each(rows.map((row) => [row.title, row] as const))('in memory: %s', async (_, row) => {
  const clock = manualClock()
  const store = new MemoryLimitStore({ clock })
  expect(await answersOf(row, store, (ms) => clock.advance(ms - clock.monotonic()))).toEqual(row.answers)
})

const missing = noServer()
if (missing !== undefined) test.skip(`on a server: ${missing}`)

describe.each(missing === undefined ? SERVERS : [])('on %s', (program) => {
  let server: Server
  beforeAll(async () => {
    server = await startServer(program)
  })
  afterAll(async () => {
    await server.stop()
  })

  test.each(rows.map((row, index) => [row.title, row, index] as const))('%s', async (_, row, index) => {
    const start = 1_767_225_600_000
    let now = start
    const client = fromIoredis(await server.connect())
    const store = redisLimitStore({ client, prefix: `row-${index}`, timeoutMs: 10_000, time: () => now })
    const moveTo = (ms: number): void => {
      now = start + ms
    }
    expect(await answersOf(row, store, moveTo)).toEqual(row.answers)
  })
})
