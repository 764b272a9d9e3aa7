// Counts limits on a server of Redis or Valkey that many machines share. The server counts, by its own clock; here it is
// only asked, and whatever it does not answer in time and in form is a rejection: the caller denies.

import { createHash } from 'node:crypto'

import type { Charge, LimitStore, Reservation } from '../core/charge.ts'
import { AgentPortError } from '../core/errors.ts'
import { checkLease, checkReserve, checkRun, counterName, meterOf } from '../limit/check-charge.ts'
import { WINDOW_ENTRIES } from '../limit/sliding-window.ts'
import { limitUnavailable } from '../limit/unavailable.ts'
import type { RedisScripting } from './redis-client.ts'
import { FORGET, RELEASE, RESERVE } from './redis-limit-scripts.ts'

export {
  fromIoredis,
  fromNodeRedis,
  type IoredisClient,
  type NodeRedisClient,
  type RedisScripting,
} from './redis-client.ts'

export interface RedisLimitStoreOptions {
  /** See `fromIoredis` and `fromNodeRedis`. Stays the caller's: it is not closed here. */
  readonly client: RedisScripting
  /**
   * Before the name of each key, in braces: all keys have the same hash tag, and so lie on the same shard of a cluster.
   * 1 to 64 letters, digits or `:._-`; `agentport` unless said. Stores with the same prefix share their counters.
   */
  readonly prefix?: string
  /** For how long `reserve` waits, milliseconds; 20 unless said. Must be below the deadline of the decision. */
  readonly timeoutMs?: number
  /** For how long a budget without a period is kept after it was last asked for, milliseconds; 30 days unless said. */
  readonly budgetLifeMs?: number
  /** Milliseconds, instead of the clock of the server. For tests: with two machines it is two clocks. */
  readonly time?: () => number
}

/** Keys live so much longer than they are needed, so that a small step of the server's clock ends none too early. */
const SLACK_MS = 60_000

/** For how long a released lease takes nothing when a `reserve` arrives late. */
const RELEASED_MS = 300_000

/** What is not on the way of a decision may take longer. */
const PATIENCE_MS = 1_000

/** Each drops up to 500 counters. */
const MAX_FORGETS = 10_000

interface Script {
  readonly text: string
  readonly sha1: string
}

const script = (text: string): Script => ({ text, sha1: createHash('sha1').update(text).digest('hex') })
const reserveScript = script(RESERVE)
const releaseScript = script(RELEASE)
const forgetScript = script(FORGET)

/**
 * A store that counts on a server. Its methods reject with TypeError for what cannot be counted, else with
 * `ERR_LIMIT_UNAVAILABLE`. After a rejection of `reserve` what it may have taken is undone in the background; its lease
 * must not be used again.
 */
export function redisLimitStore(options: RedisLimitStoreOptions): LimitStore {
  return new RedisLimitStore(options)
}

class RedisLimitStore implements LimitStore {
  readonly #client: RedisScripting
  readonly #tag: string
  readonly #timeoutMs: number
  readonly #budgetLifeMs: number
  readonly #time: (() => number) | undefined
  /** Leases whose `reserve` failed, until it is undone: a retry must not be told `held` just before. */
  readonly #undoing = new Set<string>()

  constructor({
    client,
    prefix = 'agentport',
    timeoutMs = 20,
    budgetLifeMs = 2_592_000_000,
    time,
  }: RedisLimitStoreOptions) {
    if (typeof client?.eval !== 'function' || typeof client.evalsha !== 'function')
      throw new TypeError('client has no eval and evalsha; see fromIoredis and fromNodeRedis')
    if (!/^[A-Za-z0-9:._-]{1,64}$/.test(prefix)) throw new TypeError('prefix is not 1 to 64 letters, digits or :._-')
    for (const [name, value] of Object.entries({ timeoutMs, budgetLifeMs }))
      if (!(Number.isFinite(value) && value > 0)) throw new TypeError(`${name} is not a finite number above 0`)
    this.#client = client
    this.#tag = `{${prefix}}:limit`
    this.#timeoutMs = timeoutMs
    this.#budgetLifeMs = budgetLifeMs
    this.#time = time
  }

  async reserve(charges: readonly Charge[], lease: string, leaseMs: number): Promise<Reservation> {
    checkReserve(charges, lease, leaseMs)
    // Before anything is awaited: what is judged here is what is sent.
    const taken = charges.map((charge) => Object.freeze({ ...charge }))
    if (taken.length === 0) return { ok: true }
    if (this.#undoing.has(lease)) throw limitUnavailable('the lease failed before and is being undone')
    const now = this.#now()
    const keys = [this.#key('lease', lease)]
    const args = [
      now,
      String(leaseMs),
      digestOf(taken),
      String(SLACK_MS),
      String(this.#budgetLifeMs),
      String(WINDOW_ENTRIES),
    ]
    for (const charge of taken) {
      const name = counterName(charge)
      const { amount, max, perMs = 0, burst = max, run } = charge
      const counter = this.#key('counter', name)
      keys.push(counter, this.#key('part', name), run === undefined ? counter : this.#key('run', run))
      args.push(meterOf(charge), text(amount), text(max), text(perMs), text(burst), run === undefined ? '' : name)
    }
    const asked = this.#ask(reserveScript, keys, args)
    let answer: Reservation
    try {
      answer = reservationOf(await within(this.#timeoutMs, asked), taken)
    } catch (error) {
      if (!(error instanceof TypeError)) this.#undo(asked, taken, lease)
      throw error
    }
    return answer.ok ? answer : { ...answer, charge: charges[taken.indexOf(answer.charge)] ?? answer.charge }
  }

  async release(charges: readonly Charge[], lease: string, how: 'settled' | 'undone'): Promise<void> {
    checkLease(charges, lease)
    if (how !== 'settled' && how !== 'undone') throw new TypeError('a lease is released settled or undone')
    if (charges.length === 0) return
    const keys = [this.#key('lease', lease)]
    const args = [this.#now(), how, digestOf(charges), String(RELEASED_MS)]
    for (const charge of charges) {
      const name = counterName(charge)
      keys.push(this.#key('counter', name), this.#key('part', name))
      args.push(meterOf(charge), text(charge.amount), text(charge.perMs ?? 0))
    }
    const word = wordOf(await within(Math.max(PATIENCE_MS, this.#timeoutMs), this.#ask(releaseScript, keys, args)))
    if (word === 'differs') throw new TypeError(DIFFERS)
    if (word !== 'ok' && word !== 'unknown') throw nonsense(word)
  }

  async forgetRun(run: string): Promise<void> {
    checkRun(run)
    const list = this.#key('run', run)
    let names: readonly string[] = []
    for (let asked = 0; asked < MAX_FORGETS; asked++) {
      const keys = [list, ...names.flatMap((name) => [this.#key('counter', name), this.#key('part', name)])]
      const left = await within(Math.max(PATIENCE_MS, this.#timeoutMs), this.#ask(forgetScript, keys, names))
      if (!Array.isArray(left) || left.some((name) => typeof name !== 'string')) throw nonsense(left)
      if (left.length === 0) return
      names = left as readonly string[]
    }
    throw limitUnavailable('the server does not come to an end with the counters of a run')
  }

  #key(what: string, name: string): string {
    return `${this.#tag}:${what}:${name}`
  }

  #now(): string {
    if (this.#time === undefined) return ''
    const micros = Math.floor(this.#time() * 1000)
    if (!Number.isSafeInteger(micros) || micros < 0) throw limitUnavailable('the clock does not tell the time')
    return String(micros)
  }

  /** By digest, so that the script travels once; whole where the server has lost it, which a restart or a flush does. */
  async #ask({ text, sha1 }: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await this.#client.evalsha(sha1, keys, args)
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error
    }
    return await this.#client.eval(text, keys, args)
  }

  /** It may have been taken, or may still be. Once that is known it is given back; if it cannot be, the lease ends. */
  #undo(asked: Promise<unknown>, charges: readonly Charge[], lease: string): void {
    this.#undoing.add(lease)
    const undo = (): Promise<void> => this.release(charges, lease, 'undone')
    const done = (): unknown => this.#undoing.delete(lease)
    asked.then(undo, undo).then(done, done)
  }
}

const DIFFERS = 'the lease holds other charges'

function reservationOf(answer: unknown, charges: readonly Charge[]): Reservation {
  const word = wordOf(answer)
  if (word === 'ok') return { ok: true }
  if (word === 'differs') throw new TypeError(DIFFERS)
  if (word === 'released') throw limitUnavailable('the lease was released before')
  if (word === 'damaged') throw limitUnavailable('a part of the counter is missing; does the server evict keys?')
  const [, index, wait] = answer as readonly unknown[]
  const charge = charges[Number(index) - 1]
  if (word !== 'refused' || charge === undefined || typeof wait !== 'string') throw nonsense(answer)
  if (wait === '') return { ok: false, charge }
  const retryAfterMs = Number(wait)
  if (!Number.isSafeInteger(retryAfterMs) || retryAfterMs < 1) throw nonsense(answer)
  return { ok: false, charge, retryAfterMs }
}

function wordOf(answer: unknown): string {
  const word: unknown = Array.isArray(answer) ? answer[0] : undefined
  if (typeof word !== 'string') throw nonsense(answer)
  return word
}

const nonsense = (answer: unknown): Error =>
  limitUnavailable(`the server answered with ${typeof answer}, not as agreed`)

/** -0 is 0: the server would write it otherwise. */
const text = (value: number): string => String(value === 0 ? 0 : value)

function digestOf(charges: readonly Charge[]): string {
  const held = charges.map((charge) => [counterName(charge), text(charge.amount)])
  return createHash('sha256').update(JSON.stringify(held)).digest('base64')
}

async function within(ms: number, asked: Promise<unknown>): Promise<unknown> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(limitUnavailable(`the server did not answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([asked, late])
  } catch (error) {
    if (error instanceof AgentPortError) throw error
    throw limitUnavailable('the server cannot be asked', { cause: error })
  } finally {
    clearTimeout(timer)
  }
}
