import { describe, expect, test } from 'vitest'

import { FEATURES, type Feature, type Requirements, requiredFeatures } from '../../src/enforcer/feature.ts'
import {
  assertRequirements,
  type EnforcementReport,
  EnforcementUnavailableError,
  type FeatureReport,
} from '../../src/enforcer/report.ts'
import { ALL_PREFERRED } from './helpers.ts'

const ENFORCED: FeatureReport = { status: 'enforced', mechanism: 'landlock', visibility: 'silent' }

function report(
  changes: Partial<Record<Feature, unknown>> = {},
  more: Partial<EnforcementReport> = {},
): EnforcementReport {
  const features = { ...Object.fromEntries(FEATURES.map((feature) => [feature, ENFORCED])), ...changes }
  return {
    enforcer: 'test',
    enforcement: 'kernel',
    confined: true,
    features: features as EnforcementReport['features'],
    ...more,
  }
}

function missing(act: () => void): Feature[] {
  try {
    act()
  } catch (error) {
    if (!(error instanceof EnforcementUnavailableError)) throw error
    expect(error.code).toBe('ERR_ENFORCEMENT_UNAVAILABLE')
    for (const { feature } of error.missing) expect(error.message).toContain(feature)
    return error.missing.map(({ feature }) => feature)
  }
  return []
}

describe('requirements', () => {
  test.each<[string, Requirements | undefined, number]>([
    ['absent', undefined, FEATURES.length],
    ['empty', {}, FEATURES.length],
    ['one preferred', { egress: 'preferred' }, FEATURES.length - 1],
    ['all preferred', ALL_PREFERRED, 0],
    ['a word that is none', { egress: 'prefered' as 'preferred' }, FEATURES.length],
    ['a feature that is none', { Egress: 'preferred' } as Requirements, FEATURES.length],
    ['an inherited wish', Object.create(ALL_PREFERRED) as Requirements, FEATURES.length],
  ])('%s', (_name, requirements, count) => {
    expect(requiredFeatures(requirements)).toHaveLength(count)
  })
})

describe('assertRequirements', () => {
  const absent: FeatureReport = {
    status: 'absent',
    mechanism: '',
    visibility: 'silent',
    reason: 'no kernel',
    fix: 'boot one',
  }

  test.each<[string, EnforcementReport, Requirements, Feature[]]>([
    ['all enforced', report(), {}, []],
    ['one absent', report({ egress: absent }), {}, ['egress']],
    ['partial is not enforced', report({ fs_write: { ...ENFORCED, status: 'partial' } }), {}, ['fs_write']],
    ['absent but preferred', report({ egress: absent }), { egress: 'preferred' }, []],
    ['left out of the report', report({ syscalls: undefined }), {}, ['syscalls']],
    ['null in the report', report({ syscalls: null }), {}, ['syscalls']],
    ['a status in its own words', report({ env: { ...ENFORCED, status: 'fully_enforced' } }), {}, ['env']],
    [
      'a report inherited from elsewhere',
      report({}, { features: Object.create(report().features) }),
      {},
      [...FEATURES],
    ],
    ['a report without features', report({}, { features: undefined as never }), {}, [...FEATURES]],
    ['enforced, and not confined', report({}, { confined: false }), {}, [...FEATURES]],
    ['enforced, by nothing', report({}, { enforcement: 'none' }), {}, [...FEATURES]],
    ['confined as a word', report({}, { confined: 'yes' as never }), {}, [...FEATURES]],
  ])('%s', (_name, given, requirements, expected) => {
    expect(missing(() => assertRequirements(given, requirements))).toEqual(expected)
  })

  test('the error says which, why and what would mend it, in visible text', () => {
    const hidden = { ...absent, reason: 'no\u202ekernel' }
    expect(() => assertRequirements(report({ egress: hidden }))).toThrow(
      'test: required features cannot be enforced\n  egress is absent: no\\u{202e}kernel; fix: boot one',
    )
  })
})
