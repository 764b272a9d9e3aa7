import fc from 'fast-check'
import { describe, expect, test } from 'vitest'

import { askConditions, untilAborted } from '../../src/core/ask-conditions.ts'
import {
  type ConditionPort,
  type ConditionQuestion,
  conditionInput,
  conditionKey,
} from '../../src/core/condition-port.ts'
import { Deadline } from '../../src/core/deadline.ts'
import type { JsonObject } from '../../src/core/json.ts'
import { resourceOf } from '../../src/core/named-resource.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { fuzzRuns } from '../support/fuzz.ts'

const INPUT: JsonObject = { node: 'fetch', tool: 'http_get', args: {}, resources: [] }
const never = new Promise<boolean>(() => undefined)

type Ask = ConditionPort['ask']

function portsOf(engines: Readonly<Record<string, Ask>>): ReadonlyMap<string, ConditionPort> {
  return new Map(Object.entries(engines).map(([name, ask]) => [name, { name, ask }]))
}

/** Asks the engine `e` one question for each of `answers`, which say what it does. */
async function answersOf(ask: Ask, signal?: AbortSignal): Promise<Readonly<Record<string, boolean>>> {
  return askConditions(
    portsOf({ e: ask }),
    [{ engine: 'e', query: 'q' }],
    INPUT,
    signal === undefined ? {} : { signal },
  )
}

describe('an answer', () => {
  test.each<[string, Ask, Readonly<Record<string, boolean>>]>([
    ['true', () => true, { 'e q': true }],
    ['false', () => false, { 'e q': false }],
    ['a promise of true', async () => true, { 'e q': true }],
    ['a promise of false', async () => false, { 'e q': false }],
  ])('%s is one', async (_, ask, expected) => {
    expect(await answersOf(ask)).toEqual(expected)
  })

  // Each of these is truthy or falsy, and so an answer to a caller that only tests it.
  const otherwise: readonly (readonly [string, () => unknown])[] = [
    ['the text "true"', () => 'true'],
    ['the text ""', () => ''],
    ['1', () => 1],
    ['0', () => 0],
    ['null', () => null],
    ['nothing', () => undefined],
    ['{}', () => ({})],
    ['a list with true in it', () => [true]],
    ['a boxed false, which is truthy', () => new Boolean(false)],
    ['a promise of a text', async () => 'true'],
    [
      'a throw',
      () => {
        throw new Error('down')
      },
    ],
    ['a throw of nothing', () => Promise.reject()],
    ['a rejection', () => Promise.reject(new Error('down'))],
    [
      'a thenable that throws',
      () => ({
        // biome-ignore lint/suspicious/noThenProperty: a hostile thenable is the point
        then: (): never => {
          throw new Error('no')
        },
      }),
    ],
  ]

  test.each(otherwise)('%s is none', async (_, ask) => {
    expect(await answersOf(ask as Ask)).toEqual({})
  })

  test('of an engine nobody gave is none, and no name on a prototype is an engine', async () => {
    const questions = ['absent', 'constructor', 'toString', 'hasOwnProperty'].map((engine) => ({ engine, query: 'q' }))
    expect(await askConditions(portsOf({ e: () => true }), questions, INPUT)).toEqual({})
  })

  test('goes under a key that two questions cannot share', () => {
    const name = fc.stringMatching(/^[a-z][a-z.:_-]{0,5}[a-z]$/)
    const question = fc.record({ engine: name, query: fc.string() })
    fc.assert(
      fc.property(question, question, (one, other) => {
        const same = one.engine === other.engine && one.query === other.query
        expect(conditionKey(one) === conditionKey(other)).toBe(same)
      }),
      { numRuns: fuzzRuns(200) },
    )
  })
})

describe('asking', () => {
  test('is done at the same time, once for equal questions', async () => {
    const asked: string[] = []
    let release: (() => void) | undefined
    const both = new Promise<void>((resolve) => {
      release = resolve
    })
    const ask: Ask = async (query) => {
      asked.push(query)
      // Each waits for the other: one after the other would never end.
      if (asked.length === 2) release?.()
      await both
      return query === 'a'
    }
    const questions = ['a', 'b', 'a', 'a'].map((query) => ({ engine: 'e', query }))
    expect(await askConditions(portsOf({ e: ask }), questions, INPUT)).toEqual({ 'e a': true, 'e b': false })
    expect(asked).toEqual(['a', 'b'])
  })

  test('with no question asks nobody', async () => {
    expect(await askConditions(portsOf({}), [], INPUT)).toEqual({})
  })

  test('one engine that fails or hangs takes no answer from another', async () => {
    const controller = new AbortController()
    const ports = portsOf({
      hangs: () => never,
      fails: () => Promise.reject(new Error('down')),
      works: async () => {
        setTimeout(() => controller.abort(), 5)
        return true
      },
    })
    const questions = ['hangs', 'fails', 'works'].map((engine) => ({ engine, query: 'q' }))
    expect(await askConditions(ports, questions, INPUT, { signal: controller.signal })).toEqual({ 'works q': true })
  })

  test('hands over a frozen copy: no engine changes what another is asked, or what runs', async () => {
    const args = { amount: 5, nested: { list: [1] } }
    const seen: JsonObject[] = []
    const ask: Ask = (_query, input) => {
      seen.push(input)
      ;(input as { args: { nested: { list: number[] } } }).args.nested.list.push(2)
      return true
    }
    expect(await askConditions(portsOf({ e: ask }), [{ engine: 'e', query: 'q' }], { ...INPUT, args })).toEqual({})
    expect(seen).toEqual([{ ...INPUT, args: { amount: 5, nested: { list: [1] } } }])
    expect(args.nested.list).toEqual([1])
  })

  test('does not happen with an input that is not plain data', async () => {
    let asked = 0
    const reasons: string[] = []
    const input = {
      get args(): JsonObject {
        return {}
      },
    }
    const count: Ask = () => {
      asked++
      return true
    }
    const options = { onUnanswered: (_: ConditionQuestion, reason: string) => reasons.push(reason) }
    expect(await askConditions(portsOf({ e: count }), [{ engine: 'e', query: 'q' }], input, options)).toEqual({})
    expect(asked).toBe(0)
    expect(reasons).toEqual([expect.stringContaining('not plain data')])
  })

  test('never rejects, whatever is handed over', async () => {
    const hostile = [
      [undefined, [{ engine: 'e', query: 'q' }], INPUT],
      [portsOf({}), undefined, INPUT],
      [portsOf({}), [undefined], INPUT],
      [portsOf({}), [{ engine: 'two words', query: 'q' }], INPUT],
      [portsOf({}), [{ engine: 'e', query: 7 }], INPUT],
      [new Map([['e', undefined]]), [{ engine: 'e', query: 'q' }], INPUT],
      [new Map([['e', { name: 'e' }]]), [{ engine: 'e', query: 'q' }], INPUT],
      [portsOf({ e: () => true }), [{ engine: 'e', query: 'q' }], undefined],
    ] as const
    for (const [ports, questions, input] of hostile) {
      expect(await askConditions(ports as never, questions as never, input as never)).toEqual({})
    }
  })

  test('tells an observer what was left out and why; one that throws changes nothing', async () => {
    const told: string[] = []
    const ports = portsOf({ up: () => true, down: () => Promise.reject(new Error('connection\u001b[2J refused')) })
    const questions = ['up', 'down', 'gone'].map((engine) => ({ engine, query: 'q' }))
    const onUnanswered = (question: ConditionQuestion, reason: string): void => {
      told.push(`${conditionKey(question)}: ${reason}`)
      throw new Error('observer')
    }
    expect(await askConditions(ports, questions, INPUT, { onUnanswered })).toEqual({ 'up q': true })
    expect(told.sort()).toEqual([
      'down q: Error: connection\\u{1b}[2J refused',
      'gone q: Error: no engine of this name was given',
    ])
  })
})

describe('the end', () => {
  test('by the signal: what is not there is left out, and every engine is told to stop', async () => {
    const controller = new AbortController()
    const signals: AbortSignal[] = []
    const ports = portsOf({
      slow: (_query, _input, signal) => {
        signals.push(signal)
        return never
      },
      quick: async () => true,
    })
    const questions = ['slow', 'quick'].map((engine) => ({ engine, query: 'q' }))
    const asked = askConditions(ports, questions, INPUT, { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('halted')), 5)
    expect(await asked).toEqual({ 'quick q': true })
    expect(signals.map(({ aborted, reason }) => [aborted, String(reason)])).toEqual([[true, 'Error: halted']])
  })

  test('before it began: nobody is asked', async () => {
    let asked = 0
    const count: Ask = () => {
      asked++
      return true
    }
    expect(await answersOf(count, AbortSignal.abort())).toEqual({})
    expect(asked).toBe(0)
  })

  test('an engine that answers after it was told to stop is not heard', async () => {
    const controller = new AbortController()
    const stubborn: Ask = (_query, _input, signal) =>
      new Promise((resolve) => signal.addEventListener('abort', () => resolve(true)))
    const asked = answersOf(stubborn, controller.signal)
    controller.abort()
    expect(await asked).toEqual({})
  })

  test('by the deadline: while waiting, and when an engine kept the thread until it had passed', async () => {
    const clock = manualClock()
    const late = new Deadline(clock, 50)
    const blocking: Ask = () => {
      clock.advance(51)
      return true
    }
    const question = [{ engine: 'e', query: 'q' }]
    expect(await askConditions(portsOf({ e: blocking }), question, INPUT, { deadline: late })).toEqual({})
    const waiting = new Deadline(manualClock(), 5)
    const reasons: string[] = []
    const options = { deadline: waiting, onUnanswered: (_: ConditionQuestion, reason: string) => reasons.push(reason) }
    expect(await askConditions(portsOf({ e: () => never }), question, INPUT, options)).toEqual({})
    expect(reasons).toEqual(['Error: the deadline of the decision has passed'])
  })

  test('leaves no listener on the signal, and what is returned is frozen', async () => {
    const controller = new AbortController()
    let listeners = 0
    const { signal } = controller
    const add = signal.addEventListener.bind(signal)
    const remove = signal.removeEventListener.bind(signal)
    signal.addEventListener = (...args: Parameters<typeof add>) => {
      listeners++
      add(...args)
    }
    signal.removeEventListener = (...args: Parameters<typeof remove>) => {
      listeners--
      remove(...args)
    }
    const answers = await answersOf(() => true, signal)
    expect(listeners).toBe(0)
    expect(Object.isFrozen(answers)).toBe(true)
    expect(await untilAborted(Promise.resolve(7), signal)).toBe(7)
    expect(listeners).toBe(0)
  })
})

describe('the input', () => {
  test('has every member that the call has, and no other', () => {
    const resources = [
      resourceOf('url', 'https://[2001:db8::1]:8443/x', { from: '/url' }),
      resourceOf('path', '/srv/a', { from: '/path', access: 'write' }),
      resourceOf('binary', '/bin/sh'),
      resourceOf('env', 'HOME'),
    ]
    const args = { url: 'https://[2001:db8::1]:8443/x' }
    const input = conditionInput({ node: 'n', tool: 't', args, resources, labels: { team: 'red' }, now: 0 })
    expect(input).toEqual({
      node: 'n',
      tool: 't',
      labels: { team: 'red' },
      now: 0,
      args,
      resources: [
        {
          kind: 'network',
          host: '2001:db8::1',
          scheme: 'https',
          port: 8443,
          from: '/url',
          text: 'network https://[2001:db8::1]:8443',
        },
        { kind: 'path', path: '/srv/a', access: 'write', from: '/path', text: 'write /srv/a' },
        { kind: 'binary', path: '/bin/sh', from: '', text: 'run /bin/sh' },
        { kind: 'env', name: 'HOME', from: '', text: 'env HOME' },
      ],
    })
    const whole = { roles: ['r'], skill: 's', facts: {}, principal: 'p', run: 'r1' }
    expect(conditionInput({ node: 'n', tool: 't', args, resources: [], ...whole })).toEqual({
      node: 'n',
      tool: 't',
      args,
      resources: [],
      ...whole,
    })
  })
})
