// The end of a confinement: a kill leaves nobody, however a program hid from its parent, and an end is an end: nothing
// starts after it, and to ask for it again does no harm.

import type { Confinement, KillReport } from '../../enforcer/enforcer.ts'
import { ContractViolationError, ensure, NotApplicableError, pause, rejectsWith, shown } from './case.ts'
import type { CaseDefinition } from './definition.ts'
import type { Ground } from './ground.ts'

/** Long enough for several beats. */
const BEATS_MS = 400

/** `$1` the file, `$2` sleep. Ends by itself when its file is gone, should everything else fail. */
const BEAT = 'while [ -e "$1" ]; do echo beat >> "$1"; "$2" 0.05; done'
// Its output goes nowhere, or whoever waits for the end of the output would wait for the daemon.
const AWAY = '>/dev/null 2>&1 </dev/null &'

/** Ways to leave {@link BEAT} running; `$3` is setsid and `$4` the shell. */
const HIDINGS = {
  'a child that its parent left behind': `( ${BEAT} ) ${AWAY}`,
  'a daemon that was forked twice and takes no signal': `( ( trap "" HUP INT TERM; ${BEAT} ) ${AWAY} ) &`,
  'a daemon in a session of its own': `( "$3" "$4" -c '${BEAT}' sh "$1" "$2" ${AWAY} ) &`,
} as const

type Hiding = keyof typeof HIDINGS

interface Hidden {
  readonly box: Confinement
  /** Whether it still runs. */
  readonly beats: () => Promise<boolean>
}

async function hide(ground: Ground, hiding: Hiding, signal?: AbortSignal): Promise<Hidden> {
  const { sh, sleep, setsid } = ground.fixture
  if (HIDINGS[hiding].includes('$3') && setsid === undefined)
    throw new NotApplicableError('the fixture names no program that makes a session')
  const file = ground.file('writable', 'beats')
  const tree = `${ground.folder('writable')}/**`
  const box = await ground.open(
    ground.profile({ read: [tree], write: [tree], binaries: [sh, sleep, setsid] }),
    signal === undefined ? {} : { signal },
  )
  const beats = async (): Promise<boolean> => {
    const before = ground.content(file)?.length ?? 0
    await pause(BEATS_MS)
    return (ground.content(file)?.length ?? 0) > before
  }
  const ended = await ground.run(box, ground.script(HIDINGS[hiding], [file, sleep, setsid ?? '', sh]))
  ensure(await beats(), `${hiding} does not run, so that its end would show nothing: ${shown(ended)}`)
  return { box, beats }
}

function isClean(what: string, report: KillReport): void {
  const { enforcement, outcome, mechanism, unreaped } = report
  ensure(outcome === 'clean', `${what} says ${shown(outcome)}, not "clean": ${shown(report)}`)
  ensure(enforcement === 'kernel', `${what} says that enforcement is ${shown(enforcement)}`)
  ensure(unreaped.length === 0, `${what} is clean and names processes that did not end: ${shown(unreaped)}`)
  ensure(mechanism !== '', `${what} names no mechanism`)
}

function afterKill(hiding: Hiding): CaseDefinition {
  return {
    name: `process_tree_kill: kill ends ${hiding}, and says so`,
    feature: 'process_tree_kill',
    body: async (ground) => {
      const { box, beats } = await hide(ground, hiding)
      isClean('kill', await ground.patiently('kill', box.kill()))
      ensure(!(await beats()), `${hiding} survives a kill that is called clean`)
    },
  }
}

export const LIFETIME: readonly CaseDefinition[] = [
  afterKill('a child that its parent left behind'),
  afterKill('a daemon that was forked twice and takes no signal'),
  afterKill('a daemon in a session of its own'),
  {
    name: 'process_tree_kill: close alone leaves nobody',
    feature: 'process_tree_kill',
    body: async (ground) => {
      const { box, beats } = await hide(ground, 'a daemon that was forked twice and takes no signal')
      await ground.patiently('close', box.close())
      ensure(!(await beats()), 'a daemon survives close')
    },
  },
  {
    name: 'process_tree_kill: an aborted signal leaves nobody',
    feature: 'process_tree_kill',
    body: async (ground) => {
      const controller = new AbortController()
      const { box, beats } = await hide(ground, 'a daemon that was forked twice and takes no signal', controller.signal)
      controller.abort()
      await ground.patiently('kill after an abort', box.kill())
      ensure(!(await beats()), 'a daemon survives the abort of the signal')
    },
  },
  {
    name: 'kill: a running program ends by a signal, and its streams end',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const running = ground.run(box, { file: ground.fixture.sleep, args: ['60'] })
      running.catch(() => undefined)
      await pause(BEATS_MS)
      await ground.patiently('kill', box.kill())
      const { status } = await running
      ensure(status.signal === 'SIGKILL' && status.code === undefined, `its end is told as ${shown(status)}`)
    },
  },
  {
    name: 'kill: an aborted signal kills by itself',
    body: async (ground) => {
      const controller = new AbortController()
      const box = await ground.open(ground.profile(), { signal: controller.signal })
      const child = await ground.spawn(box, { file: ground.fixture.sleep, args: ['60'] })
      controller.abort()
      const status = await ground.patiently('the end of a program after an abort', child.exited)
      ensure(status.signal !== undefined, `its end is told as ${shown(status)}`)
      const late = box.spawn({ file: ground.fixture.true, args: [] })
      await rejectsWith('ERR_STATE_INVALID', 'spawn after an abort', ground.patiently('spawn', late))
    },
  },
  {
    name: 'kill: under a signal that is aborted already nothing is opened',
    body: async (ground) => {
      const opened = await ground.tryOpen(ground.profile(), { signal: AbortSignal.abort() }).then(
        () => true,
        (error: unknown) => {
          // To hang is not to refuse.
          if (error instanceof ContractViolationError) throw error
          return false
        },
      )
      ensure(!opened, 'open was fulfilled under an aborted signal')
    },
  },
  {
    name: 'kill: nothing starts afterwards',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await ground.patiently('kill', box.kill())
      const late = ground.spawn(box, { file: ground.fixture.true, args: [] })
      await rejectsWith('ERR_STATE_INVALID', 'spawn after kill', late)
    },
  },
  {
    name: 'kill: what is being started at that moment does not survive',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      const starting = Array.from({ length: 8 }, () => box.spawn({ file: ground.fixture.sleep, args: ['60'] }))
      const outcomes = Promise.allSettled(starting)
      await ground.patiently('kill', box.kill())
      for (const outcome of await ground.patiently('spawn during a kill', outcomes)) {
        if (outcome.status === 'rejected') continue
        const status = await ground.patiently('the end of a program started during a kill', outcome.value.exited)
        ensure(status.signal !== undefined, `its end is told as ${shown(status)}`)
      }
    },
  },
  {
    name: 'kill: asked for again, at the same time and after close, it answers',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await ground.spawn(box, { file: ground.fixture.sleep, args: ['60'] })
      const reports = await ground.patiently('kill, twice at once,', Promise.all([box.kill(), box.kill()]))
      await ground.patiently('close', box.close())
      reports.push(await ground.patiently('kill after close', box.kill()))
      for (const { unreaped, outcome } of reports) {
        ensure(unreaped.length === 0, `processes did not end: ${shown(unreaped)}`)
        ensure(outcome === 'clean' || outcome === 'unproven', `a kill says ${shown(outcome)}`)
      }
    },
  },
  {
    name: 'close: nothing starts afterwards, and to close again does no harm',
    body: async (ground) => {
      const box = await ground.open(ground.profile())
      await ground.patiently('close, twice at once,', Promise.all([box.close(), box.close()]))
      await ground.patiently('a third close', box.close())
      const late = ground.spawn(box, { file: ground.fixture.true, args: [] })
      await rejectsWith('ERR_STATE_INVALID', 'spawn after close', late)
    },
  },
  {
    name: 'close: ends one confinement and no other',
    body: async (ground) => {
      const [one, other] = [await ground.open(ground.profile()), await ground.open(ground.profile())]
      const child = await ground.spawn(other, { file: ground.fixture.sleep, args: ['60'] })
      await ground.patiently('close', one.close())
      await ground.mustWork(other)
      const early = await Promise.race([child.exited, pause(BEATS_MS)])
      ensure(early === undefined, `a program of another confinement ended: ${shown(early)}`)
    },
  },
]
