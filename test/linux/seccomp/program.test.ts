// The compiler against a model that reads the rules as they stand.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { floorOf } from '../../../src/linux/seccomp/floor.ts'
import { compileProgram } from '../../../src/linux/seccomp/program.ts'
import {
  ALLOW,
  type Answer,
  type ArgumentTest,
  argumentIs,
  checked,
  fail,
  KILL,
  NOTIFY,
  type Rule,
  type RuleSet,
  whenAll,
} from '../../../src/linux/seccomp/rules.ts'
import { ARCHES, everyNeed, STRICTEST } from './needs.ts'
import { answerOf, vectorsFor } from './reference.ts'
import { instructionsOf, RET_KILL_PROCESS, rejects, run } from './simulator.ts'

const X64 = 0xc000_003e
const I386 = 0x4000_0003
const ARM64 = 0xc000_00b7
const ZERO = [0n, 0n, 0n, 0n, 0n, 0n]

function differences(rules: RuleSet, numbers: readonly number[]): readonly string[] {
  const program = compileProgram(rules)
  const found: string[] = []
  for (const nr of numbers) {
    for (const args of vectorsFor(rules.rules.get(nr))) {
      const data = { nr, arch: rules.auditArch, args }
      const [got, want] = [run(program, data), answerOf(rules, data)]
      if (got !== want) found.push(`${nr}(${args.join(', ')}): ${got.toString(16)} instead of ${want.toString(16)}`)
    }
  }
  return found
}

const NUMBERS = Array.from({ length: 601 }, (_, nr) => nr)

describe('every box', () => {
  test.each(ARCHES)('answers as its rules say to every number and argument vector on %s', (arch) => {
    const widest = { executableMemory: true, listen: true, inet: true, udp: true, unixSockets: true, notify: true }
    for (const needs of [
      STRICTEST,
      { ...STRICTEST, ...widest },
      { ...STRICTEST, inet: true, notify: true },
      { ...STRICTEST, rootOutside: true },
      { ...STRICTEST, ...widest, rootOutside: true },
      { ...STRICTEST, namespaces: false, forbiddenSyscalls: ['clone', 'connect', 'socket', 'mmap'] },
    ]) {
      const { box, command } = floorOf({ ...needs, arch })
      expect(differences(box, NUMBERS)).toEqual([])
      if (command !== undefined) expect(differences(command, NUMBERS)).toEqual([])
    }
  })

  test('is a program the kernel takes, far below its limit', () => {
    const sizes = everyNeed().map((needs) => {
      const program = compileProgram(floorOf(needs).box)
      expect(rejects(program)).toBeUndefined()
      return instructionsOf(program).length
    })
    expect(Math.max(...sizes)).toBeLessThan(400)
  })

  test.each([
    ['x64', 0x4000_0000],
    ['x64', 0x4000_0000 + 101],
    ['x64', 0x4000_0000 + 520],
    ['x64', 0x7fff_ffff],
    ['x64', -1],
    ['x64', -2_147_483_648],
    ['arm64', 0x4000_0000 + 57],
    ['arm64', -1],
  ] as const)('kills x32 and negative numbers: %s %d', (arch, nr) => {
    for (const needs of everyNeed().filter((need) => need.arch === arch)) {
      const { box } = floorOf(needs)
      expect(run(compileProgram(box), { nr, arch: box.auditArch, args: ZERO })).toBe(RET_KILL_PROCESS)
    }
  })

  test('kills other architectures, whatever they ask for', () => {
    for (const arch of ARCHES) {
      const { box, command } = floorOf({ ...STRICTEST, arch, forbiddenSyscalls: ['clone'] })
      for (const rules of [box, command]) {
        if (rules === undefined) throw new Error('no program')
        const program = compileProgram(rules)
        for (const foreign of [I386, X64, ARM64, 0, 0xffff_ffff, X64 + 1].filter(
          (other) => other !== rules.auditArch,
        )) {
          for (const nr of NUMBERS) expect(run(program, { nr, arch: foreign, args: ZERO })).toBe(RET_KILL_PROCESS)
        }
      }
    }
  })
})

describe('random rule sets', () => {
  const answer: fc.Arbitrary<Answer> = fc.oneof(
    fc.constantFrom(ALLOW, NOTIFY, KILL),
    fc.integer({ min: 1, max: 4095 }).map(fail),
  )
  const word = fc.oneof(fc.integer({ min: 0, max: 0xffff_ffff }), fc.constantFrom(0, 1, 4, 0x8000, 0xffff_ffff))
  const condition: fc.Arbitrary<ArgumentTest> = fc.record({
    argument: fc.constantFrom(0, 5),
    mask: word,
    anyOf: fc.array(word, { maxLength: 2 }),
  })
  const rule: fc.Arbitrary<Rule> = fc.oneof(
    { weight: 2, arbitrary: answer },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('checked' as const),
        cases: fc.array(fc.record({ when: fc.array(condition, { maxLength: 2 }), answer }), { maxLength: 3 }),
        otherwise: answer,
      }),
    },
  )
  const ruleSet: fc.Arbitrary<RuleSet> = fc
    .record({
      rules: fc.array(fc.tuple(fc.integer({ min: 0, max: 500 }), rule), { maxLength: 120 }),
      otherwise: answer,
    })
    .map(({ rules, otherwise }) => ({ auditArch: X64, rules: new Map(rules), otherwise }))

  test('compile to what they say', () => {
    fc.assert(
      fc.property(
        ruleSet,
        fc.array(
          fc.tuple(
            fc.integer({ min: 0, max: 501 }),
            fc.array(fc.bigInt(0n, 2n ** 64n - 1n), { minLength: 6, maxLength: 6 }),
          ),
        ),
        (rules, more) => {
          const program = compileProgram(rules)
          expect(rejects(program)).toBeUndefined()
          for (const [nr, rule] of rules.rules) {
            for (const args of vectorsFor(rule).slice(0, 200)) {
              const data = { nr, arch: X64, args }
              expect(run(program, data)).toBe(answerOf(rules, data))
            }
          }
          for (const [nr, args] of more) {
            const data = { nr, arch: X64, args }
            expect(run(program, data)).toBe(answerOf(rules, data))
          }
        },
      ),
      { numRuns: 60 },
    )
  })

  test('with jumps much farther than 255 instructions', () => {
    const rules = new Map<number, Rule>()
    for (let nr = 0; nr < 450; nr++) {
      rules.set(
        nr,
        nr % 3 === 0 ? fail((nr % 40) + 1) : checked(ALLOW, whenAll(NOTIFY, argumentIs(1, nr), argumentIs(3, 7, nr))),
      )
    }
    const set: RuleSet = { auditArch: X64, rules, otherwise: fail(38) }
    const program = compileProgram(set)
    expect(instructionsOf(program).length).toBeGreaterThan(1500)
    expect(rejects(program)).toBeUndefined()
    expect(instructionsOf(program).filter(({ code }) => code === 0x05).length).toBeGreaterThan(0)
    expect(differences(set, NUMBERS)).toEqual([])
  })

  test('too large for the kernel are refused and not cut', () => {
    const rules = new Map<number, Rule>()
    for (let nr = 0; nr < 2000; nr++) rules.set(nr, checked(ALLOW, whenAll(NOTIFY, argumentIs(0, nr, nr + 1))))
    expect(() => compileProgram({ auditArch: X64, rules, otherwise: KILL })).toThrow(RangeError)
  })

  test.each([0, -1, 4096, 1.5, Number.NaN])('an errno of %d is misuse', (errno) => {
    expect(() => compileProgram({ auditArch: X64, rules: new Map(), otherwise: fail(errno) })).toThrow(TypeError)
  })

  test.each([-1, 0x4000_0000, 1.5])('a number of %d is misuse', (nr) => {
    expect(() => compileProgram({ auditArch: X64, rules: new Map([[nr, ALLOW]]), otherwise: KILL })).toThrow(TypeError)
  })
})
