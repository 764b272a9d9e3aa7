// A process of its own that opens boxes, for tests that kill it or count what it holds. Prints one line of JSON when it is
// where the test wants it.

import { footprint } from './linux-host.ts'
import { linuxEnforcer, profileOf, runIn } from './linux-supervised.ts'

const SHELL = 'skill: supervised\nallowed_binaries: [/bin/sh, /usr/bin/setsid, /usr/bin/sleep, /usr/bin/true]\n'

const [mode, argument = ''] = process.argv.slice(2)

function say(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

/** A box with a process of ours, one of its own session, and one that nobody waits for; then nothing until the end. */
async function hold(marker: string): Promise<void> {
  const box = await (await linuxEnforcer()).open(profileOf(SHELL))
  const loop = `trap '' TERM HUP INT; while :; do /usr/bin/sleep 1; done`
  await box.spawn({ file: '/bin/sh', args: ['-c', loop, marker] })
  const daemon = `(/usr/bin/setsid /bin/sh -c "${loop}" ${marker} </dev/null >/dev/null 2>&1 &)`
  const started = await box.spawn({ file: '/bin/sh', args: ['-c', daemon] })
  await started.exited
  say({ ready: true })
  setInterval(() => undefined, 60_000)
}

/** One box after the other. */
async function row(count: number): Promise<void> {
  const enforcer = await linuxEnforcer()
  const profile = profileOf(SHELL)
  const one = async (): Promise<void> => {
    const box = await enforcer.open(profile)
    const { code } = await runIn(box, '/usr/bin/true')
    if (code !== 0) throw new Error(`true ended with ${code}`)
    await box.close()
  }
  // What Node opens once and keeps.
  for (let index = 0; index < 5; index++) await one()
  const before = footprint()
  for (let index = 0; index < count; index++) await one()
  say({ before, after: footprint() })
}

/** All boxes at the same time. */
async function crowd(count: number): Promise<void> {
  const enforcer = await linuxEnforcer()
  const profile = profileOf(SHELL)
  const before = footprint()
  const boxes = await Promise.all(Array.from({ length: count }, () => enforcer.open(profile)))
  const outcomes = await Promise.all(boxes.map((box) => runIn(box, '/usr/bin/true')))
  const reports = await Promise.all(boxes.map((box) => box.kill()))
  await Promise.all(boxes.map((box) => box.close()))
  say({
    before,
    after: footprint(),
    succeeded: outcomes.filter(({ code }) => code === 0).length,
    clean: reports.filter(({ outcome }) => outcome === 'clean').length,
  })
}

switch (mode) {
  case 'hold':
    await hold(argument)
    break
  case 'row':
    await row(Number(argument))
    break
  case 'crowd':
    await crowd(Number(argument))
    break
  default:
    throw new Error(`no mode ${mode}`)
}
