// Limits: time, processes, memory. Each program outside of a confinement does what its limit forbids.

import { resists } from './attack.ts'
import { ensure, pause, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'

const WALL_MS = 1_000
const PROCESSES = 12
const CHILDREN = 40
/** Time for all children to start; they live much longer. */
const FORKING_MS = 1_500
const MEMORY = 32 * 1024 * 1024
/** Doublings of sixteen characters: 64 MiB, twice the limit. */
const DOUBLINGS = 22

export const LIMITS: readonly CaseDefinition[] = [
  {
    name: 'limits: time that is over ends what runs, and what would run',
    feature: 'limits',
    body: async (ground) => {
      const box = await ground.open(ground.profile({ limits: { wallMs: WALL_MS } }))
      await ground.mustWork(box)
      const ended = await ground.run(box, { file: ground.fixture.sleep, args: ['60'] })
      ensure(ended.status.signal !== undefined, `after ${WALL_MS} ms it ended with ${shown(ended.status)}`)
      const late = await ground.patiently(
        'spawn after the time is over',
        box.spawn({ file: ground.fixture.true, args: [] }).then(
          () => 'fulfilled',
          (error: unknown) => (error as { readonly code?: unknown }).code,
        ),
      )
      ensure(late === 'ERR_STATE_INVALID', `spawn after the time is over: ${shown(late)}, not ERR_STATE_INVALID`)
    },
  },
  {
    name: 'limits: time that is not over ends nothing',
    feature: 'limits',
    body: async (ground) => {
      const box = await ground.open(ground.profile({ limits: { wallMs: 60_000 } }))
      const ended = await ground.run(box, { file: ground.fixture.sleep, args: ['0.5'] })
      ensure(ended.status.code === 0, `half a second of a minute ended with ${shown(ended.status)}`)
    },
  },
  {
    name: 'limits: there are no more processes than the limit says',
    feature: 'limits',
    body: async (ground) => {
      const tree = `${ground.folder('writable')}/**`
      const file = ground.file('writable', 'started')
      const box = await ground.open(ground.profile({ read: [tree], write: [tree], limits: { processes: PROCESSES } }))
      const script = `i=0; while [ $i -lt ${CHILDREN} ]; do ( echo started >> "$1"; exec "$2" 15 ) >/dev/null 2>&1 & i=$((i+1)); done; "$2" ${FORKING_MS / 1000}`
      const started = (): number => (ground.content(file)?.split('\n').length ?? 1) - 1
      let count = 0
      await resists(ground, box, {
        what: `having ${CHILDREN} processes, where ${PROCESSES} are allowed,`,
        prepare: () => ground.file('writable', 'started'),
        command: ground.script(script, [file, ground.fixture.sleep]),
        succeeded: async () => {
          // The shell may have ended early, for want of a process.
          await pause(FORKING_MS / 3)
          count = started()
          return count > PROCESSES
        },
      })
      ensure(count > 0, `not one of ${CHILDREN} processes was started, where ${PROCESSES} are allowed`)
    },
  },
  {
    name: 'limits: memory over the limit is not to be had',
    feature: 'limits',
    body: async (ground) => {
      const box = await ground.open(ground.profile({ limits: { memoryBytes: MEMORY } }))
      const script = `x=0123456789abcdef; i=0; while [ $i -lt ${DOUBLINGS} ]; do x=$x$x; i=$((i+1)); done; echo \${#x}`
      await resists(ground, box, {
        what: `holding ${16 * 2 ** DOUBLINGS} bytes, where ${MEMORY} are allowed,`,
        command: ground.script(script),
        succeeded: (ended) => ended?.stdout === `${16 * 2 ** DOUBLINGS}\n`,
      })
    },
  },
]
