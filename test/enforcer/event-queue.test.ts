import { describe, expect, test } from 'vitest'

import type { EnforcerEvent } from '../../src/enforcer/enforcer.ts'
import { EventQueue } from '../../src/enforcer/event-queue.ts'

const clock = { now: () => 42, monotonic: () => 0 }

async function all(queue: EventQueue): Promise<EnforcerEvent[]> {
  const events: EnforcerEvent[] = []
  for await (const event of queue) events.push(event)
  return events
}

describe('EventQueue', () => {
  test('events come in order, numbered, before and after the reader is there', async () => {
    const queue = new EventQueue(clock)
    queue.push({ type: 'started', pid: 1, file: '/bin/a' })
    const reading = all(queue)
    await Promise.resolve()
    queue.push({ type: 'exited', pid: 1, code: 0 })
    queue.end()
    queue.push({ type: 'exited', pid: 2, code: 0 })
    expect(await reading).toEqual([
      { type: 'started', pid: 1, file: '/bin/a', seq: 1, at: 42 },
      { type: 'exited', pid: 1, code: 0, seq: 2, at: 42 },
    ])
  })

  test('a flood is bounded, and the loss is an event where it happened', async () => {
    const queue = new EventQueue(clock)
    for (let pid = 1; pid <= 1_000_000; pid++) queue.push({ type: 'exited', pid, code: 0 })
    const reader = queue[Symbol.asyncIterator]()
    const first = await reader.next()
    expect(first.value).toMatchObject({ pid: 1, seq: 1 })
    queue.push({ type: 'exited', pid: 1_000_001, code: 0 })
    queue.end()
    const rest: EnforcerEvent[] = []
    for (let next = await reader.next(); next.done !== true; next = await reader.next()) rest.push(next.value)
    expect(rest.slice(-2)).toEqual([
      { type: 'lost', count: 1_000_000 - 1_024, seq: 1_025, at: 42 },
      { type: 'exited', pid: 1_000_001, code: 0, seq: 1_026, at: 42 },
    ])
  })

  test('a loss at the end is told too', async () => {
    const queue = new EventQueue(clock)
    for (let pid = 1; pid <= 1_025; pid++) queue.push({ type: 'exited', pid, code: 0 })
    queue.end()
    expect((await all(queue)).at(-1)).toMatchObject({ type: 'lost', count: 1 })
  })

  test('an attempt at privileges is not hidden behind a flood of anything else', async () => {
    const queue = new EventQueue(clock)
    for (let pid = 1; pid <= 5_000; pid++) queue.push({ type: 'exited', pid, code: 0 })
    queue.push({ type: 'denied', feature: 'egress', subject: 'flood', evidence: 'enforced' })
    queue.push({ type: 'denied', feature: 'privilege', subject: 'ptrace', evidence: 'enforced' })
    queue.end()
    const events = await all(queue)
    expect(events.filter((event) => event.type === 'denied')).toMatchObject([{ feature: 'privilege' }])
    expect(events.filter((event) => event.type === 'lost')).toMatchObject([{ count: 5_000 - 1_024 + 1 }])
  })

  test('that room is bounded too', async () => {
    const queue = new EventQueue(clock)
    for (let time = 0; time < 5_000; time++) {
      queue.push({ type: 'denied', feature: 'privilege', subject: 'ptrace', evidence: 'enforced' })
    }
    queue.end()
    const events = await all(queue)
    expect(events.length).toBeLessThan(1_200)
    expect(events.at(-1)).toMatchObject({ type: 'lost' })
  })

  test('there is one reader', async () => {
    const queue = new EventQueue(clock)
    queue.end()
    await all(queue)
    await expect(all(queue)).rejects.toThrow(TypeError)
  })
})
