// A listener on an abort signal is someone else's code, running in the middle of a halt.

import { spawnSync } from 'node:child_process'
import { addAbortListener, EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { EventEmitter as EventEmitter3 } from 'eventemitter3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

import type { HaltChange } from '../../src/halt/changes.ts'
import { HaltPropagator } from '../../src/halt/propagator.ts'
import { guardedAbort } from '../../src/halt/signal.ts'
import { graphOf, scopeOf, start } from './helpers.ts'

describe('what a halt would be without this', () => {
  test.each<[string, { on(name: string, listener: () => void): unknown; emit(name: string): unknown }]>([
    ["Node's EventEmitter", new EventEmitter()],
    ['eventemitter3', new EventEmitter3()],
  ])(
    'control: with %s one listener that throws keeps the others running, and throws at who halts',
    (_name, emitter) => {
      let stopped = 0
      emitter.on('halt', () => {
        throw new Error('tool bug')
      })
      emitter.on('halt', () => {
        stopped += 1
      })
      expect(() => emitter.emit('halt')).toThrow('tool bug')
      expect(stopped).toBe(0)
    },
  )

  test.each([
    ['throws', `() => { throw new Error('tool bug') }`],
    ['rejects', `async () => { throw new Error('tool bug') }`],
  ])(
    'control: on a plain AbortSignal of Node a listener that %s ends the process before the report is written',
    (_name, listener) => {
      const script = `
      const controller = new AbortController()
      controller.signal.addEventListener('abort', ${listener})
      controller.signal.addEventListener('abort', () => console.log('second listener ran'))
      controller.abort()
      console.log('abort returned')
      setTimeout(() => console.log('report written'), 20)`
      const ran = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' })
      // Both listeners run and abort() returns; what was thrown is raised again as an uncaught exception.
      expect(ran.stdout).toBe('second listener ran\nabort returned\n')
      expect(ran.stderr).toContain('tool bug')
      expect(ran.status).toBe(1)
    },
  )
})

describe('listeners cannot harm a halt', () => {
  const uncaught: unknown[] = []
  const note = (error: unknown): void => {
    uncaught.push(error)
  }
  beforeEach(() => {
    uncaught.length = 0
    process.on('uncaughtException', note)
    process.on('unhandledRejection', note)
  })
  afterEach(async () => {
    await sleep(5)
    process.off('uncaughtException', note)
    process.off('unhandledRejection', note)
    expect(uncaught).toEqual([])
  })

  test.each<[string, (signal: AbortSignal) => void]>([
    ['throws', (signal) => signal.addEventListener('abort', () => fail())],
    [
      'throws something that is no error',
      (signal) => signal.addEventListener('abort', () => fail({ toString: () => fail() })),
    ],
    ['rejects', (signal) => signal.addEventListener('abort', async () => fail())],
    [
      'is an object whose handleEvent throws',
      (signal) => signal.addEventListener('abort', { handleEvent: () => fail() }),
    ],
    ['is an object without handleEvent', (signal) => signal.addEventListener('abort', {} as EventListenerObject)],
    ['is onabort and throws', (signal) => Object.assign(signal, { onabort: () => fail() })],
    ['is onabort and rejects', (signal) => Object.assign(signal, { onabort: async () => fail() })],
    ['is added once and throws', (signal) => signal.addEventListener('abort', () => fail(), { once: true })],
    ["is added through Node's own helper and throws", (signal) => addAbortListener(signal, () => fail())],
    [
      'hides the event from later listeners',
      (signal) => signal.addEventListener('abort', (event) => event.stopImmediatePropagation()),
    ],
  ])('a listener that %s stops neither the halt, nor other nodes, nor the process', async (_name, attack) => {
    const propagator = new HaltPropagator()
    const changes: HaltChange[] = []
    propagator.onChange((change) => changes.push(change))
    const scope = scopeOf({ a: {}, b: {} }, propagator)
    const first = scope.admit('a')
    const second = scope.admit('b')
    if (!first.ok || !second.ok) throw new Error('refused')
    let told = 0
    attack(first.signal)
    attack(scope.signal)
    second.signal.addEventListener('abort', () => {
      told += 1
    })
    const report = scope.halt({ reason: 'stop' })
    expect(report.cancelled).toHaveLength(2)
    expect(told).toBe(1)
    expect([first.signal.aborted, second.signal.aborted, scope.signal.aborted]).toEqual([true, true, true])
    await sleep(1)
    const failures = changes.filter((change) => change.type === 'listener_failed').length
    expect(failures).toBe(_name.startsWith('hides') ? 0 : 2)
  })

  test('listeners on one signal all run although the first throws', () => {
    const failures: unknown[] = []
    const { signal, abort } = guardedAbort((error) => failures.push(error))
    const ran: string[] = []
    signal.addEventListener('abort', () => fail())
    signal.onabort = () => ran.push('onabort')
    signal.addEventListener('abort', () => ran.push('listener'))
    abort(new Error('stop'))
    expect(ran).toEqual(['onabort', 'listener'])
    expect(failures).toHaveLength(1)
  })

  test('a listener that calls back finds everything stopped already', () => {
    const propagator = new HaltPropagator()
    const outer = propagator.open('outer', graphOf({ host: {}, other: {} }))
    start(outer, 'host')
    const inner = propagator.open('inner', graphOf({ a: {}, b: {} }), { parent: outer })
    const admitted = inner.admit('a')
    if (!admitted.ok) throw new Error('refused')
    const seen: unknown[] = []
    admitted.signal.addEventListener('abort', () => {
      seen.push(inner.state, outer.state, inner.admit('b').ok, outer.admit('other').ok)
      seen.push(inner.settle('a', 1, 'succeeded').accepted, inner.halt({ reason: 'again' }) === inner.report)
      inner.close()
      outer.close()
    })
    const report = inner.halt({ reason: 'stop' })
    expect(seen).toEqual(['halting', 'halting', false, false, false, true])
    expect(report.cause.reason).toBe('stop')
    expect([inner.state, outer.state]).toEqual(['closed', 'closed'])
    expect(propagator.scopes()).toEqual([])
  })
})

describe('a guarded signal is an AbortSignal', () => {
  test('it is taken by what takes one', async () => {
    const { signal, abort } = guardedAbort(() => undefined)
    expect(signal).toBeInstanceOf(AbortSignal)
    const timer = sleep(10_000, undefined, { signal })
    const any = AbortSignal.any([signal])
    const request = new Request('http://localhost/', { signal })
    abort(new Error('stop'))
    await expect(timer).rejects.toMatchObject({ name: 'AbortError' })
    expect([any.aborted, request.signal.aborted]).toEqual([true, true])
    expect(() => signal.throwIfAborted()).toThrow('stop')
  })

  test('listeners are added and removed as ever', () => {
    const { signal, abort } = guardedAbort(() => undefined)
    const ran: string[] = []
    const twice = (): number => ran.push('twice')
    const removed = (): number => ran.push('removed')
    const object = {
      handleEvent(event: Event): void {
        ran.push(`object ${this === object} ${event.type}`)
      },
    }
    signal.addEventListener('abort', twice)
    signal.addEventListener('abort', twice)
    signal.addEventListener('abort', removed)
    signal.removeEventListener('abort', removed)
    signal.addEventListener('abort', object)
    const handler = function (this: AbortSignal): void {
      ran.push(`onabort ${this === signal}`)
    }
    signal.onabort = () => ran.push('replaced')
    signal.onabort = handler
    expect(signal.onabort).toBe(handler)
    abort(undefined)
    abort(undefined)
    expect(ran).toEqual(['twice', 'object true abort', 'onabort true'])
    signal.onabort = null
    expect(signal.onabort).toBeNull()
  })

  test('what an attempt started is stopped when the attempt ends, and not before', () => {
    const scope = scopeOf({ a: { attempts: 2 }, b: {} })
    const first = scope.admit('a')
    scope.settle('a', 1, 'failed')
    expect(first.ok && first.signal.aborted).toBe(true)
    const second = scope.admit('a')
    const other = scope.admit('b')
    scope.settle('b', 1, 'succeeded')
    if (!first.ok || !second.ok || !other.ok) throw new Error('refused')
    expect([first.signal.aborted, second.signal.aborted, other.signal.aborted]).toEqual([true, false, true])
    scope.halt({ reason: 'stop' })
    expect(second.signal.aborted).toBe(true)
  })
})

function fail(error: unknown = new Error('tool bug')): never {
  throw error
}
