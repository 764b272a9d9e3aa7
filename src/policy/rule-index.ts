// All statements of a set by who and which tool. The cost of a decision follows the statements that nearly match, not the
// statements there are.

import { Bucket } from './bucket.ts'
import type { Rule } from './rule.ts'

/** A rule and the numbers of whom and which tools it is about. */
export interface PlacedRule {
  readonly rule: Rule
  readonly who: readonly number[]
  readonly tools: readonly number[]
}

export class RuleIndex {
  readonly #buckets = new Map<number, Bucket>()
  readonly #toolCount: number

  /** `toolCount` is the number of tool selectors; pairs are packed into one number by it. */
  constructor(placed: readonly PlacedRule[], toolCount: number) {
    this.#toolCount = toolCount
    const pairs = new Map<number, Rule[]>()
    for (const { rule, who, tools } of placed) {
      for (const whoId of who) {
        for (const toolId of tools) {
          const key = whoId * toolCount + toolId
          const rules = pairs.get(key)
          if (rules === undefined) pairs.set(key, [rule])
          else rules.push(rule)
        }
      }
    }
    for (const [key, rules] of pairs) this.#buckets.set(key, new Bucket(rules))
  }

  get(who: number, tool: number): Bucket | undefined {
    return this.#buckets.get(who * this.#toolCount + tool)
  }
}
