// The suite is tried itself: on enforcers that break the contract in one way each, and on one that confines nothing. A
// suite that nothing fails shows nothing.

import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

import type { Enforcer } from '../../src/enforcer/enforcer.ts'
import { FEATURES, type Feature } from '../../src/enforcer/feature.ts'
import { refusingEnforcer } from '../../src/enforcer/refusing.ts'
import { type ContractCase, NotApplicableError } from '../../src/testing/enforcer-contract/case.ts'
import { type ContractSubject, enforcerContract } from '../../src/testing/enforcer-contract/contract.ts'
import { type ContractFixture, contractFixture } from '../../src/testing/enforcer-contract/fixture.ts'
import { type ContractMatrix, renderMatrix, runEnforcerContract } from '../../src/testing/enforcer-contract/matrix.ts'
import { unsafeNullEnforcer } from '../../src/testing/null-enforcer.ts'
import { LIARS, liar } from './liars.ts'

const posix = existsSync('/bin/sh')

/** Short: a hanging enforcer is waited for many times. */
const FIXTURE: Partial<ContractFixture> = { patienceMs: 3_000, floodSpawns: 20 }
const CASES = posix ? enforcerContract({ open: () => unsafeNullEnforcer }) : []

function about(feature: Feature): readonly string[] {
  return CASES.filter((one) => one.feature === feature).map(({ name }) => name)
}

const names = (matrix: ContractMatrix, outcome: string): readonly string[] =>
  matrix.results.filter((result) => result.outcome === outcome).map(({ name }) => name)

interface Found {
  readonly failed: readonly string[]
  /** For a message. */
  readonly text: string
}

/** What becomes of the cases that `wanted` picks. */
async function failing(enforcer: Enforcer, wanted: (one: ContractCase) => boolean): Promise<Found> {
  const failed: string[] = []
  const reasons: string[] = []
  for (const one of enforcerContract({ open: () => enforcer, fixture: FIXTURE }).filter(wanted)) {
    await one
      .run((reason) => reasons.push(`${one.name}: n/a: ${reason}`))
      .catch((error: unknown) => {
        failed.push(one.name)
        reasons.push(`${one.name}: ${String(error)}`)
      })
  }
  return { failed, text: reasons.join('\n') }
}

const topic = (name: string): string => name.slice(0, name.indexOf(':'))

async function matrixOf(enforcer: Enforcer, fixture: Partial<ContractFixture> = FIXTURE): Promise<ContractMatrix> {
  return await runEnforcerContract({ open: () => enforcer, fixture })
}

describe.skipIf(!posix)('the suite', () => {
  test('has a case about every feature, and names that tell cases apart', () => {
    expect(FEATURES.filter((feature) => about(feature).length === 0)).toEqual([])
    expect(new Set(CASES.map(({ name }) => name)).size).toBe(CASES.length)
  })

  test.concurrent.each(LIARS)('finds out %s', async (_name, lie, expected) => {
    const wanted = expected.flatMap((name) => {
      const feature = /^every case about (\w+)$/.exec(name)?.[1]
      return feature === undefined ? [name] : about(feature as Feature)
    })
    // Every case of a topic that finds it out must agree on what is wrong; one that keeps the contract passes all topics.
    const topics = new Set(wanted.map(topic))
    const { failed, text } = await failing(liar(lie), ({ name }) => topics.size === 0 || topics.has(topic(name)))
    expect([...failed].sort(), text).toEqual([...wanted].sort())
  })

  // What works without any confinement, and what says nothing when denials are silent.
  const HARMLESS = /: (a granted|time that is not over)|^events: /

  test.concurrent.each(FEATURES)('finds out one that claims %s and has it not', async (feature) => {
    const { failed, text } = await failing(liar({ claims: [feature] }), (one) => one.feature === feature)
    const expected = about(feature).filter((name) => !HARMLESS.test(name))
    expect(expected).not.toEqual([])
    expect(failed, text).toEqual(expected)
  })

  test('finds out one that claims everything and opens nothing', async () => {
    const claiming = liar({ claims: FEATURES, open: () => Promise.reject(new Error('not today')) })
    const matrix = await matrixOf(claiming)
    const passed = names(matrix, 'passed')
    expect(passed.filter((name) => !name.startsWith('probe: '))).toEqual([
      'kill: under a signal that is aborted already nothing is opened',
    ])
  })

  test('finds out one that says its denials are reported, and reports none', async () => {
    const claims = ['fs_read', 'fs_write', 'fs_execute', 'syscalls', 'egress'] as const
    const silent = liar({
      claims,
      report: (honest) => ({
        ...honest,
        features: Object.fromEntries(
          FEATURES.map((feature) => [feature, { ...honest.features[feature], visibility: 'reported' }]),
        ) as typeof honest.features,
      }),
    })
    const told = CASES.filter(({ name, feature }) => feature !== undefined && topic(name) === 'events')
    expect(new Set(told.map(({ feature }) => feature))).toEqual(new Set(claims))
    const { failed, text } = await failing(silent, ({ name }) => told.some((one) => one.name === name))
    expect(failed, text).toEqual(told.map(({ name }) => name))
  })

  test('of one that hangs it says so, and goes on', async () => {
    const hanging: Enforcer = {
      name: 'hanging',
      probe: () => new Promise(() => undefined),
      open: () => new Promise(() => undefined),
    }
    const [first] = enforcerContract({ open: () => hanging, fixture: { patienceMs: 50 } })
    await expect(first?.run()).rejects.toThrow('probe did not settle within 50 ms')
    const matrix = await matrixOf(hanging, { patienceMs: 20 })
    expect(names(matrix, 'passed')).toEqual([])
  })
})

describe.skipIf(!posix)('unsafeNullEnforcer', () => {
  test('keeps the port, says that nothing enforces, and is asked for nothing that it does not claim', async () => {
    const matrix = await matrixOf(unsafeNullEnforcer, { patienceMs: 10_000 })
    expect(names(matrix, 'failed'), renderMatrix(matrix)).toEqual(['report: says that the kernel confines'])
    expect(matrix.ok).toBe(false)
    for (const { feature, outcome, reason } of matrix.results) {
      if (feature === undefined) continue
      expect([outcome, reason]).toEqual([
        'not_applicable',
        `the probe calls ${feature} unsupported: this enforcer confines nothing`,
      ])
    }
    const text = renderMatrix(matrix)
    expect(text).toContain('FAIL  report: says that the kernel confines\n        enforcement is "none"')
    expect(text).toMatch(/\nunsafe_null: \d+ passed, 1 failed, \d+ not applicable\n$/)
  })
})

describe.skipIf(!posix)('a case', () => {
  const refusing: ContractSubject = { open: () => refusingEnforcer }
  const egress = (subject: ContractSubject) => enforcerContract(subject).find(({ feature }) => feature === 'egress')

  test('that is not applicable never looks as if it had passed', async () => {
    await expect(egress(refusing)?.run()).rejects.toBeInstanceOf(NotApplicableError)
    const reasons: string[] = []
    await egress(refusing)?.run((reason) => reasons.push(reason))
    expect(reasons).toEqual(['the probe calls egress unsupported: no enforcer was given'])
  })

  test.each<[string, Partial<ContractFixture>, Feature, string]>([
    [
      'without a program that connects',
      { tcp: undefined, udp: undefined },
      'egress',
      'the fixture names no program for tcp',
    ],
    ['without a program that makes a directory', { mkdir: undefined }, 'syscalls', 'the fixture names no program'],
  ])('%s is not applicable', async (_name, fixture, feature, reason) => {
    const one = enforcerContract({ open: () => liar({ claims: [feature] }), fixture }).find(
      (found) => found.feature === feature,
    )
    await expect(one?.run()).rejects.toThrow(reason)
    await expect(one?.run()).rejects.toBeInstanceOf(NotApplicableError)
  })

  test('whose control fails on this host is not applicable', async () => {
    const fixture = { tcp: () => ({ file: '/bin/false', args: [] }) }
    const one = egress({ open: () => liar({ claims: ['egress'] }), fixture })
    await expect(one?.run()).rejects.toThrow(/fails on this host without any confinement/)
    await expect(one?.run()).rejects.toBeInstanceOf(NotApplicableError)
  })

  test('cleans up after itself', async () => {
    const directory = contractFixture().directory
    const before = new Set(readdirSync(directory))
    const subject = { open: () => liar({ claims: ['fs_read'] }) }
    const one = enforcerContract(subject).find(({ name }) => name === 'fs_read: a file that is not granted is not read')
    await expect(one?.run()).rejects.toThrow('succeeds inside the confinement')
    const made = readdirSync(directory).filter((name) => name.startsWith('agentport-contract-') && !before.has(name))
    expect(made).toEqual([])
  })
})
