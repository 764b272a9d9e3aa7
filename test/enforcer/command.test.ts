import { describe, expect, test } from 'vitest'

import { type Command, checkCommand } from '../../src/enforcer/command.ts'

const endless = new Proxy([], {
  get: (target, key) => (key === 'length' ? Number.MAX_SAFE_INTEGER : Reflect.get(target, key)),
})

describe('checkCommand', () => {
  test.each<[string, Record<string, unknown>]>([
    ['a relative file', { file: 'sh' }],
    ['an empty file', { file: '' }],
    ['a file through ..', { file: '/usr/bin/../sbin/x' }],
    ['a file with a doubled slash', { file: '/usr//bin/x' }],
    ['a file with a NUL', { file: '/bin/sh\0.txt' }],
    ['a file that is no text', { file: { toString: () => '/bin/sh' } }],
    ['a relative cwd', { cwd: '.' }],
    ['args as text', { args: '-c' }],
    ['an argument with a NUL', { args: ['a\0b'] }],
    ['an argument that is no text', { args: [1] }],
    ['a hole in the arguments', { args: new Array(2) }],
    ['too many arguments', { args: new Array(100_000).fill('') }],
    ['arguments without end', { args: endless }],
    ['arguments too long', { args: ['x'.repeat(5 * 1024 * 1024)] }],
    ['a variable with = in its name', { env: { 'A=B': 'x' } }],
    ['a variable with a NUL', { env: { A: 'x\0B=y' } }],
    ['a variable that is no text', { env: { A: 1 } }],
    ['stdin as text', { stdin: 'inherit' }],
  ])('%s is refused', (_name, change) => {
    const command = { file: '/bin/echo', args: [], ...change } as unknown as Command
    expect(() => checkCommand(command)).toThrow(expect.objectContaining({ code: 'ERR_COMMAND_INVALID' }))
  })

  test('control: a NUL would start another program than the one that was judged', () => {
    const judged = '/srv/tools/safe\0/../../../bin/sh'
    const executed = judged.split('\0')[0]
    expect(judged).not.toBe(executed)
  })

  test('what passes is a frozen copy that later changes do not reach', () => {
    const args = ['-n', 'hello']
    const stdin = new Uint8Array([1])
    const env: Record<string, string> = { A: '1' }
    const copy = checkCommand({ file: '/bin/echo', args, env, cwd: '/', stdin })
    args[0] = '--evil'
    stdin[0] = 9
    env['LD_PRELOAD'] = '/tmp/x.so'
    expect(copy).toEqual({
      file: '/bin/echo',
      args: ['-n', 'hello'],
      env: { A: '1' },
      cwd: '/',
      stdin: new Uint8Array([1]),
    })
    expect([copy, copy.args, copy.env].every(Object.isFrozen)).toBe(true)
    expect(checkCommand({ file: '/bin/echo', args: [] })).toEqual({ file: '/bin/echo', args: [], env: {} })
  })
})
