// The events of a confinement: a record that can be checked for gaps. What is not there did not happen, or is counted.

import type { Confinement, EnforcerEvent } from '../../enforcer/enforcer.ts'
import { ensure, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import type { Ground } from './ground.ts'

/** Everything that is there once the confinement is closed. */
async function closed(ground: Ground, box: Confinement): Promise<readonly EnforcerEvent[]> {
  await ground.patiently('close', box.close())
  return await ground.patiently('the events of a closed confinement', allEvents(box))
}

export async function allEvents(box: Confinement): Promise<readonly EnforcerEvent[]> {
  const events: EnforcerEvent[] = []
  for await (const event of box.events) events.push(event)
  return events
}

function withoutGaps(events: readonly EnforcerEvent[]): void {
  for (const [index, { seq }] of events.entries())
    ensure(seq === index + 1, `event ${index + 1} has the number ${shown(seq)}`)
}

function wallClock(events: readonly EnforcerEvent[], from: number, to: number): void {
  // A clock may be set while a test runs, but hardly by a day.
  const day = 86_400_000
  for (const { at } of events)
    ensure(at > from - day && at < to + day, `an event is said to have been at ${shown(at)}, which is not now`)
}

export const EVENTS: readonly CaseDefinition[] = [
  {
    name: 'events: every program is started and exited, numbered from 1 without gaps',
    body: async (ground) => {
      const from = Date.now()
      const box = await ground.open(ground.profile())
      const pids: number[] = []
      for (const code of [0, 3]) {
        const child = await ground.spawn(box, ground.script(`exit ${code}`))
        pids.push(child.pid)
        await ground.patiently('exited', child.exited)
      }
      const events = await closed(ground, box)
      withoutGaps(events)
      wallClock(events, from, Date.now())
      for (const [index, pid] of pids.entries()) {
        const own = events.filter((event) => 'pid' in event && event.pid === pid && event.type !== 'denied')
        const [started, exited] = own
        ensure(own.length === 2, `process ${pid} has ${own.length} events: ${shown(own)}`)
        ensure(
          started?.type === 'started' && started.file === ground.fixture.sh,
          `the first event of process ${pid} is ${shown(started)}`,
        )
        ensure(
          exited?.type === 'exited' && exited.code === index * 3,
          `the last event of process ${pid} is ${shown(exited)}`,
        )
      }
    },
  },
  {
    name: 'events: a program that is killed by close is exited before the end',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const { pid } = await ground.spawn(box, { file: ground.fixture.sleep, args: ['60'] })
      const events = await closed(ground, box)
      withoutGaps(events)
      const exited = events.find((event) => event.type === 'exited' && event.pid === pid)
      ensure(
        exited?.type === 'exited' && exited.signal !== undefined,
        `no event tells that process ${pid} was ended: ${shown(events)}`,
      )
    },
  },
  {
    name: 'events: a reader that came first gets them as they happen, and the end',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const reading = allEvents(box)
      reading.catch(() => undefined)
      await ground.mustWork(box)
      await ground.patiently('close', box.close())
      const events = await ground.patiently('the end of the events', reading)
      withoutGaps(events)
      ensure(
        events.some(({ type }) => type === 'started') && events.some(({ type }) => type === 'exited'),
        `a program ran, and the events are ${shown(events)}`,
      )
    },
  },
  {
    name: 'events: nothing is told of what was refused',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await box.spawn({ file: 'relative', args: [] }).catch(() => undefined)
      const events = await closed(ground, box)
      const wrong = events.filter(({ type }) => type === 'started' || type === 'exited')
      ensure(wrong.length === 0, `nothing was started, and the events are ${shown(wrong)}`)
    },
  },
  {
    name: 'events: there is one reader',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await closed(ground, box)
      const second = await ground.patiently(
        'a second reader',
        allEvents(box).then(
          () => undefined,
          (error: unknown) => error,
        ),
      )
      ensure(second instanceof TypeError, `a second reader gets ${shown(second)}, not a TypeError`)
    },
  },
  {
    name: 'events: what nobody reads is kept or counted, never lost in silence',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const { floodSpawns } = ground.fixture
      for (let started = 0; started < floodSpawns; started++) {
        const child = await ground.spawn(box, { file: ground.fixture.true, args: [] })
        await Promise.all([child.stdout.cancel(), child.stderr.cancel()])
        await ground.patiently('exited', child.exited)
      }
      const events = await closed(ground, box)
      withoutGaps(events)
      const lost = events.reduce((sum, event) => sum + (event.type === 'lost' ? event.count : 0), 0)
      const kept = events.filter(({ type }) => type === 'started' || type === 'exited').length
      ensure(
        kept + lost >= 2 * floodSpawns,
        `${floodSpawns} programs make ${2 * floodSpawns} events; ${kept} are there and ${lost} are counted as lost`,
      )
    },
  },
]
