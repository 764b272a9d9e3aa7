// Looks for requests that two policy sets judge differently. For each statement that may have changed a request is built to
// which it applies, with what grants the rest, and every facet of that request is then tried with every value at hand.

import type { Resource } from '../../core/resource.ts'
import type { PolicyVerdict } from '../decide.ts'
import { names } from '../explanation.ts'
import type { PolicyRequest, Question } from '../request.ts'
import { readRequest } from '../request.ts'
import { rolesOfLabels, rolesOfNode } from '../roles.ts'
import { compareVerdicts, type Shift } from './compare.ts'
import { type Facet, facetsOf, type Names, NEUTRAL } from './facets.ts'
import { compareGrants } from './process.ts'
import type { Changed, LoadedSide, Statement } from './statements.ts'

/** A request that is judged differently, and how. */
export interface Hit {
  readonly request: PolicyRequest
  readonly shift: Shift
  /** Absent of `process`. */
  readonly verdicts?: { readonly before: PolicyVerdict; readonly after: PolicyVerdict }
}

/** Hits of one kind with the same determining rules. */
export interface HitGroup {
  readonly hits: Hit[]
  count: number
}

/** Statements whose constants are tried beside those of the one in question, and grants that are joined with it. */
const RELATED = 48
const PARTNERS = 12
const HITS_KEPT = 12
const RANDOM_TRIES = 48
const REPAIRS = 4
/** Other nodes and tools a statement applies to, with which all resources are tried. */
const ELSEWHERE = 6

export class Search {
  readonly groups: Map<string, HitGroup> = new Map()
  asked = 0
  readonly #before: LoadedSide
  readonly #after: LoadedSide
  readonly #all: readonly Statement[]
  readonly #names: Names
  readonly #most: number
  #budget = 0
  #state = 0x2545f491
  /** Whether some value was not tried because there were too many. */
  cut = false

  constructor(before: LoadedSide, after: LoadedSide, changed: Changed, most: number) {
    this.#before = before
    this.#after = after
    this.#all = [...before.statements, ...after.statements]
    this.#names = {
      roles: [before.roles, after.roles],
      regions: [before.regions, after.regions],
      changedRoles: changed.roles,
    }
    this.#most = most
  }

  /** Looks around one statement; `left` is how many are still to come, this one too. */
  around(seed: Statement, left: number): void {
    this.#budget = this.asked + Math.max(1, Math.floor((this.#most - this.asked) / left))
    const related = this.#relatedTo(seed)
    const facets = facetsOf([seed.raw, ...related.map(({ raw }) => raw)], this.#names)
    if (seed.rule.effect !== 'permit' || seed.isEgress) {
      let joined = 0
      const grants = related.filter(({ rule, isEgress }) => isGrant(rule) && !isEgress && !rule.processOnly)
      for (const partner of grants) {
        if (joined >= PARTNERS) {
          this.cut = true
          break
        }
        if (this.#explore([seed, partner], facets)) joined++
      }
    }
    if (isGrant(seed.rule)) this.#explore([seed], facets)
  }

  /** Whether there is a request to which all of the statements apply. */
  #explore(targets: readonly Statement[], facets: readonly Facet[]): boolean {
    if (this.#exhausted()) return true
    const needed = targets.map((target, index) => new Need(target, index > 0 || targets.length === 1))
    const most = needed.reduce((sum, need) => sum + need.most, 0)
    const fit = (request: PolicyRequest): number => {
      const question = readRequest(request)
      return typeof question === 'string' ? -1 : needed.reduce((sum, need) => sum + this.#fit(need, question), 0)
    }
    let base = NEUTRAL
    let best = fit(base)
    for (let pass = 0; pass < 3 && best < most; pass++) {
      for (const { changes } of facets) {
        for (const change of changes) {
          const tried = change(base)
          const score = fit(tried)
          if (score > best) [base, best] = [tried, score]
          if (best === most) break
        }
      }
    }
    if (best < most && targets.length > 1) return false
    const stays = (request: PolicyRequest): boolean => best < most || fit(request) === most
    base = this.#repair(base, facets, stays, targets)
    this.#vary(base, facets)
    this.#varyElsewhere(base, facets, stays)
    // A permit that lists resources allows the call without any as well.
    const [seed] = targets
    const isOfCall = seed !== undefined && (seed.rule.effect === 'permit' || !seed.rule.namesResources)
    if (isOfCall && !seed.isEgress && base.resources.length > 0) {
      this.#vary(
        { ...base, resources: [] },
        facets.filter(({ name }) => name !== 'resource' && name !== 'method'),
      )
    }
    return true
  }

  /** Away from statements that would hide the difference, as far as changing single things leads. */
  #repair(
    from: PolicyRequest,
    facets: readonly Facet[],
    stays: (request: PolicyRequest) => boolean,
    targets: readonly Statement[],
  ): PolicyRequest {
    const own = new Set(targets.map(({ raw }) => raw.id))
    let base = from
    let least = this.#ask(base, own)
    for (let round = 0; round < REPAIRS && least > 0; round++) {
      let better: PolicyRequest | undefined
      for (const { changes } of facets) {
        for (const change of changes) {
          if (this.#exhausted()) return base
          const tried = change(base)
          if (!stays(tried)) continue
          const obstacles = this.#ask(tried, own)
          if (obstacles < least) [better, least] = [tried, obstacles]
        }
      }
      if (better === undefined) break
      base = better
    }
    return base
  }

  #vary(base: PolicyRequest, facets: readonly Facet[]): void {
    this.#compareProcesses(base)
    for (const { name, changes } of facets) {
      for (const change of changes) {
        if (this.#exhausted()) return
        const tried = change(base)
        this.#ask(tried)
        if (name === 'who' || name === 'tool' || name === 'skill') this.#compareProcesses(tried)
      }
    }
    // What takes two changes at once; the choice is the same every time.
    for (let index = 0; index < RANDOM_TRIES; index++) {
      let tried = base
      for (let changes = 0; changes < 3; changes++) {
        const facet = facets[this.#next(facets.length)]
        tried = facet?.changes[this.#next(facet.changes.length)]?.(tried) ?? tried
      }
      if (this.#exhausted()) return
      this.#ask(tried)
    }
  }

  /** Other nodes and tools to which the statements apply: what they may touch may be another thing. */
  #varyElsewhere(base: PolicyRequest, facets: readonly Facet[], stays: (request: PolicyRequest) => boolean): void {
    const resources = facets.find(({ name }) => name === 'resource')?.changes ?? []
    const places = new Set([placeOf(base)])
    for (const { name, changes } of facets) {
      if (name !== 'who' && name !== 'tool') continue
      for (const change of changes) {
        const other = change(base)
        if (places.size > ELSEWHERE) return
        if (places.has(placeOf(other)) || !stays(other)) continue
        places.add(placeOf(other))
        for (const resource of resources) {
          if (this.#exhausted()) return
          this.#ask(resource(other))
        }
      }
    }
  }

  #exhausted(): boolean {
    if (this.asked < this.#budget) return false
    this.cut = true
    return true
  }

  /** Asks both engines and keeps what differs; how many other statements stand in the way of an allow. */
  #ask(request: PolicyRequest, own?: ReadonlySet<string>): number {
    this.asked++
    const before = this.#before.engine.evaluate(request)
    const after = this.#after.engine.evaluate(request)
    for (const shift of compareVerdicts(before, after)) this.#keep({ request, shift, verdicts: { before, after } })
    return own === undefined ? 0 : obstaclesIn(before, own) + obstaclesIn(after, own)
  }

  #compareProcesses(request: PolicyRequest): void {
    // Only what can be asked about at all: grants are not refused for a malformed name.
    if (typeof readRequest(request) === 'string') return
    const shift = compareGrants(this.#before.engine.grantsFor(request), this.#after.engine.grantsFor(request))
    if (shift !== undefined) this.#keep({ request, shift })
  }

  #keep(hit: Hit): void {
    const key = keyOf(hit)
    const group = this.groups.get(key) ?? { hits: [], count: 0 }
    this.groups.set(key, group)
    group.count++
    // The first few, and then now and then one: those that were found together are much alike.
    if (group.hits.length < HITS_KEPT && (group.count <= 4 || group.count % 7 === 0)) group.hits.push(hit)
  }

  #relatedTo(seed: Statement): readonly Statement[] {
    const meets = this.#all.filter((other) => other !== seed && mayShareTool(seed, other))
    // The same statement in the other set first, then what can stand in the way, then what grants.
    const rank = ({ raw, side, rule, isEgress }: Statement): number =>
      raw.id === seed.raw.id && side !== seed.side ? 0 : isEgress ? 1 : isGrant(rule) ? 3 : 2
    const sorted = meets.sort((a, b) => rank(a) - rank(b))
    const stops = sorted.filter((one) => rank(one) < 3).slice(0, RELATED)
    const grants = sorted.filter((one) => rank(one) === 3).slice(0, RELATED)
    if (stops.length + grants.length < sorted.length) this.cut = true
    return [...stops, ...grants]
  }

  #fit(need: Need, question: Question): number {
    const { set } = need.statement.side === 'old' ? this.#before : this.#after
    const roles = new Set([
      ...question.roles,
      ...rolesOfNode(set.roles, question.node),
      ...rolesOfLabels(set.labelRoles, question.labels),
    ])
    return need.fit(question, roles)
  }

  /** xorshift32: a search that finds something else each time could not be used to compare two builds. */
  #next(below: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % Math.max(1, below)
  }
}

/** What a request must have for a statement to apply to it, counted. */
class Need {
  readonly statement: Statement
  readonly most: number
  readonly #covering: boolean

  constructor(statement: Statement, covering: boolean) {
    this.statement = statement
    this.#covering = covering || statement.rule.effect === 'permit'
    this.most = statement.rule.guards.length + 3
  }

  fit(question: Question, roles: ReadonlySet<string>): number {
    const { rule } = this.statement
    const { resources } = question
    const byRole = rule.roles === undefined || rule.everyone || rule.roles.some((role) => roles.has(role))
    const byNode = rule.nodes === undefined || rule.nodes.some((glob) => glob.matches(question.node))
    let score = byRole && byNode ? 1 : 0
    if (rule.tools.some((glob) => glob.matches(question.tool))) score++
    for (const guard of rule.guards) if (guard.test(question) === true) score++
    if (rule.processOnly) return score + 1
    if (!rule.namesResources) return score + (!this.#covering || resources.length === 0 ? 1 : 0)
    return score + Math.max(0, ...resources.map((resource) => this.#near(resource)))
  }

  /** 1 where the resource is named; less where only its host fits, so that the rest is looked for from there. */
  #near(resource: Resource): number {
    const { rule } = this.statement
    if (names(rule, resource, this.#covering)) return 1
    const { reach } = rule
    if (reach === undefined) return 0
    if (names({ ...rule, reach: { ...reach, methods: undefined } }, resource, this.#covering)) return 0.75
    return names({ ...rule, reach: undefined }, resource, this.#covering) ? 0.5 : 0
  }
}

function placeOf({ node, roles = [], tool }: PolicyRequest): string {
  return [node, tool, ...roles].join('\n')
}

function isGrant({ effect }: Statement['rule']): boolean {
  return effect === 'permit' || effect === 'require_approval'
}

function mayShareTool(a: Statement, b: Statement): boolean {
  return a.rule.tools.some((one) =>
    b.rule.tools.some((other) => {
      if (one.literal !== undefined && other.literal !== undefined) return one.literal === other.literal
      if (one.literal !== undefined) return other.matches(one.literal)
      return other.literal === undefined || one.matches(other.literal)
    }),
  )
}

function obstaclesIn(verdict: PolicyVerdict, own: ReadonlySet<string>): number {
  if (verdict.decision !== 'deny') return 0
  return verdict.rules.length === 0 ? 1 : verdict.rules.filter(({ id }) => !own.has(id)).length
}

/** Hits with the same key tell a reader the same thing. */
export function keyOf({ shift, verdicts }: Hit): string {
  const { kind, direction, summary } = shift
  const told = (verdict: PolicyVerdict | undefined): readonly unknown[] =>
    verdict === undefined
      ? [kind === 'process' ? summary : '']
      : [verdict.decision, verdict.decision === 'deny' ? verdict.code : '', verdict.rules.map(({ id }) => id)]
  return JSON.stringify([kind, direction, told(verdicts?.before), told(verdicts?.after)])
}
