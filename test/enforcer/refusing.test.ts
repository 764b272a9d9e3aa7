import { describe, expect, test, vi } from 'vitest'

import { FEATURES } from '../../src/enforcer/feature.ts'
import { refusingEnforcer } from '../../src/enforcer/refusing.ts'
import { ALL_PREFERRED, EMPTY } from './helpers.ts'

const spawned = vi.hoisted(() => vi.fn())
vi.mock('node:child_process', () => ({
  spawn: spawned,
  exec: spawned,
  execFile: spawned,
  fork: spawned,
  spawnSync: spawned,
}))

describe('refusingEnforcer', () => {
  test('it supports nothing and says what to do about it', async () => {
    const capabilities = await refusingEnforcer.probe()
    expect(Object.keys(capabilities.features)).toEqual([...FEATURES])
    for (const feature of FEATURES) {
      expect(capabilities.features[feature]).toEqual({
        support: 'unsupported',
        mechanism: '',
        reason: 'no enforcer was given',
        fix: 'pass an enforcer for this operating system',
      })
    }
  })

  test.each([
    ['by default', {}, FEATURES.length],
    ['with one preferred', { requirements: { egress: 'preferred' } }, FEATURES.length - 1],
    ['with everything preferred', { requirements: ALL_PREFERRED }, 0],
  ] as const)('it refuses %s, names what is missing and starts nothing', async (_name, options, count) => {
    const opened = refusingEnforcer.open(EMPTY, options)
    await expect(opened).rejects.toMatchObject({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' })
    const error = (await opened.catch((reason: unknown) => reason)) as {
      message: string
      missing: { feature: string }[]
    }
    expect(error.missing).toHaveLength(count)
    expect(error.message).toContain('no enforcer was given')
    for (const { feature } of error.missing) expect(error.message).toContain(feature)
    expect(spawned).not.toHaveBeenCalled()
  })

  test('it cannot be altered', () => {
    expect(Object.isFrozen(refusingEnforcer)).toBe(true)
  })
})
