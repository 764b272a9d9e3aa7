// Every attack of the corpus, twice: without a box, where it works, and in one, where it must not. What this user cannot do
// here without a box proves nothing about the box; it is tried in one all the same, and named at the end.

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { Attack } from './attacks/attack.ts'
import { ATTACKS } from './attacks/table.ts'
import { type Arsenal, buildArsenal, hasCompiler } from './support/attack-arsenal.ts'
import { enforcedRunner } from './support/attack-boxes.ts'
import { AttackHost } from './support/attack-host.ts'
import {
  ATTACK_DEADLINE_MS,
  type ConfinedRunner,
  type ControlRecord,
  confined,
  control,
  describeAttack,
  faults,
  sieve,
} from './support/attack-runner.ts'

const AS_ROOT = process.getuid?.() === 0
/** Attacks that work on a plain host, at the least. A host with more hardening than that must say so. */
const FEWEST_CONTROLS = AS_ROOT ? 350 : 280
const ready = await hasCompiler()

/** Loud on purpose: a corpus that is left out must not look like one that passed. */
function say(text: string): void {
  process.stderr.write(`attacks: ${text}\n`)
}

if (!ready) say('NOT RUN: this needs Linux and a C compiler (set CC)')

test('the table is sound', () => {
  expect(new Set(ATTACKS.map(({ id }) => id)).size).toBe(ATTACKS.length)
  for (const kind of ['binary', 'files', 'net', 'privilege']) {
    expect(ATTACKS.filter((attack) => attack.class === kind).length, kind).toBeGreaterThan(40)
  }
})

describe.skipIf(!ready)('attacks', () => {
  let arsenal: Arsenal
  let runner: ConfinedRunner
  const controls = new Map<Attack, ControlRecord>()
  const contained: Attack[] = []
  const declared = new Map<Attack, string>()

  beforeAll(async () => {
    arsenal = await buildArsenal()
    runner = await enforcedRunner()
  }, 60_000)

  afterAll(async () => {
    await arsenal?.remove()
    const inapplicable = [...controls].filter(([, { outcome }]) => outcome !== 'succeeded')
    const user = AS_ROOT ? 'root' : `uid ${process.getuid?.()}`
    say(
      `${contained.length} of ${controls.size - inapplicable.length} that work as ${user} without a box are contained`,
    )
    for (const [attack, found] of declared) {
      say(`NOT CONTAINED, as the box reports of ${attack.feature}: ${describeAttack(attack)}: ${found}`)
    }
    for (const [attack, { said }] of inapplicable) {
      say(`not applicable for ${user} here: ${describeAttack(attack)}: ${said}`)
    }
  })

  test('what is granted can be done', async () => {
    const host = await AttackHost.open(arsenal, 'confined')
    try {
      await host.begin()
      const box = await runner.open(host, {})
      const args = ['permitted', host.work, `${host.input}/data.txt`, `data ${host.token}`, host.listed]
      const result = await box.run(host.listed, args)
      const events = await box.close()
      expect(result).toMatchObject({ code: 0, stdout: expect.stringContaining('succeeded') })
      expect(events.filter(({ type }) => type === 'denied')).toEqual([])
      expect(await host.changes()).toEqual([])
    } finally {
      await host.close()
    }
  })

  test('a box that confines nothing is seen through', async () => {
    // One in eleven, so that all classes are among them and a run stays short.
    const some = ATTACKS.filter((_, index) => index % 11 === 0)
    // The proxy of a box is asked, and there is none.
    for (const attack of some.filter(({ id }) => !id.startsWith('proxy-'))) {
      const without = await control(attack, arsenal)
      if (without.outcome !== 'succeeded') continue
      expect(faults(attack, await confined(attack, arsenal, sieve)), attack.id).not.toEqual([])
    }
  })

  test.each(ATTACKS.map((attack) => [attack.class, attack.id, attack] as const))(
    '%s: %s',
    async (_class, _id, attack) => {
      const without = await control(attack, arsenal)
      controls.set(attack, without)
      // A control that could not even be tried says that the machine lacks what the attack is about.
      if (without.outcome === 'untried') return
      const record = await confined(attack, arsenal, runner)
      const found = faults(attack, record)
      const status = record.report?.features[attack.feature].status
      // The box has said of itself that it does not hold this; whoever required it would not have got the box.
      if (found.length > 0 && status !== undefined && status !== 'enforced') declared.set(attack, found.join('; '))
      else expect(found, attack.title).toEqual([])
      if (found.length === 0 && without.outcome === 'succeeded') contained.push(attack)
    },
    3 * ATTACK_DEADLINE_MS,
  )

  test('enough of them work without a box', () => {
    const working = [...controls.values()].filter(({ outcome }) => outcome === 'succeeded')
    expect(working.length).toBeGreaterThanOrEqual(FEWEST_CONTROLS)
    // Whoever can do everything must be able to do what anybody can.
    const mistaken = AS_ROOT
      ? []
      : [...controls].filter(([attack, { outcome }]) => attack.user === 'root' && outcome === 'succeeded')
    expect(mistaken.map(([attack]) => attack.id)).toEqual([])
  })
})
