// What a rule set answers, read straight from it: the model that compiled programs are compared with.

import type { Answer, ArgumentTest, Rule, RuleSet } from '../../../src/linux/seccomp/rules.ts'
import { RET_ALLOW, RET_ERRNO, RET_KILL_PROCESS, RET_USER_NOTIF, type SeccompData } from './simulator.ts'

export function answerOf(rules: RuleSet, { nr, arch, args }: SeccompData): number {
  if (arch !== rules.auditArch) return RET_KILL_PROCESS
  if (nr < 0 || nr >= 0x4000_0000) return RET_KILL_PROCESS
  const rule: Rule = rules.rules.get(nr) ?? rules.otherwise
  if (rule.kind !== 'checked') return returned(rule)
  for (const { when, answer } of rule.cases) {
    if (when.every((condition) => holds(condition, args))) return returned(answer)
  }
  return returned(rule.otherwise)
}

function holds({ argument, mask, anyOf }: ArgumentTest, args: readonly bigint[]): boolean {
  const masked = (args[argument] ?? 0n) & 0xffff_ffffn & BigInt(mask)
  return anyOf.some((value) => BigInt(value) === masked)
}

function returned(answer: Answer): number {
  if (answer.kind === 'allow') return RET_ALLOW
  if (answer.kind === 'notify') return RET_USER_NOTIF
  if (answer.kind === 'kill') return RET_KILL_PROCESS
  return RET_ERRNO + answer.errno
}

/** Each alone, when a rule asks for any of a few. */
function bitsOf(mask: number): readonly number[] {
  const bits = Array.from({ length: 32 }, (_, index) => (1 << index) >>> 0).filter((bit) => (mask & bit) !== 0)
  return bits.length > 2 ? [] : bits
}

/** Vectors on both sides of everything the rule set asks of this call, each also with garbage in the upper half. */
export function vectorsFor(rule: Rule | undefined): readonly (readonly bigint[])[] {
  if (rule === undefined || rule.kind !== 'checked')
    return [[0n, 0n, 0n, 0n, 0n, 0n], Array<bigint>(6).fill(0xffff_ffff_ffff_ffffn)]
  const interesting = Array.from({ length: 6 }, () => new Set<bigint>([0n]))
  for (const { argument, mask, anyOf } of rule.cases.flatMap(({ when }) => when)) {
    for (const value of anyOf) {
      const outside = BigInt(~mask >>> 0)
      const nearby = [value, (value ^ 1) >>> 0, (value ^ mask) >>> 0, ...bitsOf(mask).map((bit) => (value ^ bit) >>> 0)]
      for (const near of [...nearby.map(BigInt), BigInt(value) | outside]) {
        interesting[argument]?.add(near)
        interesting[argument]?.add(near | 0x1_0000_0000n)
        interesting[argument]?.add(near | 0xffff_ffff_0000_0000n)
      }
    }
  }
  let vectors: bigint[][] = [[]]
  for (const values of interesting)
    vectors = vectors.flatMap((vector) => [...values].map((value) => [...vector, value]))
  return vectors
}
