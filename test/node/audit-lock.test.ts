import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import { AgentPortError } from '../../src/core/errors.ts'
import { acquireLock, type ForeignLock, type LockHolder } from '../../src/node/audit-lock.ts'

const BASE = mkdtempSync(join(tmpdir(), 'agentport-lock-'))
const ID = 'ab'.repeat(16)
let path = ''

beforeEach(() => {
  path = join(mkdtempSync(join(BASE, 't-')), 'audit.jsonl.lock')
})

afterAll(() => rmSync(BASE, { recursive: true, force: true }))

/** What this process would write. */
function own(): LockHolder {
  const lock = acquireLock(`${path}.own`, 'refuse')
  const holder = JSON.parse(readFileSync(`${path}.own`, 'utf8')) as LockHolder
  lock.release()
  return holder
}

function outcome(foreign: ForeignLock = 'refuse'): string {
  try {
    const { recovery } = acquireLock(path, foreign)
    return recovery?.reason ?? 'acquired'
  } catch (error) {
    if (error instanceof AgentPortError) return error.code
    throw error
  }
}

// On a system without /proc nothing tells a dead holder from one with a reused pid; the lock then counts as held.
const LINUX = process.platform === 'linux'

describe.runIf(LINUX)('a lock that is there', () => {
  test.each<[string, (holder: LockHolder) => object, string]>([
    ['of this very process', (holder) => holder, 'ERR_AUDIT_LOCKED'],
    ['of another living process', (holder) => ({ ...holder, pid: 1, started: '' }), 'ERR_AUDIT_LOCKED'],
    ['of a process that never was', (holder) => ({ ...holder, pid: 2 ** 22 + 1 }), 'stale_lock'],
    ['of an earlier process with the same pid', (holder) => ({ ...holder, started: '1' }), 'stale_lock'],
    ['of an earlier boot, even with a living pid', (holder) => ({ ...holder, boot: 'other' }), 'stale_lock'],
    [
      'of another PID namespace, even with a dead pid',
      (holder) => ({ ...holder, namespace: 'pid:[1]', pid: 2 ** 22 + 1 }),
      'ERR_AUDIT_LOCKED',
    ],
    ['of an unknown namespace', (holder) => ({ ...holder, namespace: '' }), 'ERR_AUDIT_LOCKED'],
  ])('%s', (_name, change, expected) => {
    writeFileSync(path, JSON.stringify({ ...change(own()), id: ID }))
    expect(outcome()).toBe(expected)
    expect(existsSync(path)).toBe(true)
    expect(readdirSync(join(path, '..'))).toEqual(['audit.jsonl.lock'])
  })

  test('of another PID namespace is taken over when that was asked for', () => {
    writeFileSync(path, JSON.stringify({ ...own(), id: ID, namespace: 'pid:[1]' }))
    expect(outcome('take_over')).toBe('stale_lock')
  })

  test.each([
    [''],
    ['{'],
    ['null'],
    ['4711\n'],
    ['{"id":"../../etc/passwd","pid":1,"boot":"","namespace":"","started":""}'],
    [`{"id":"${ID}","pid":-1,"boot":"","namespace":"","started":""}`],
    [`{"id":"${ID}","pid":0,"boot":"","namespace":"","started":""}`],
    [`{"id":"${ID}","pid":1}`],
    ['x'.repeat(10_000)],
  ])('that cannot be read counts as held: %s', (text) => {
    writeFileSync(path, text)
    expect(outcome('take_over')).toBe('ERR_AUDIT_LOCKED')
    expect(readFileSync(path, 'utf8')).toBe(text)
  })

  test('that is a link counts as held', () => {
    symlinkSync('/proc/self/status', path)
    expect(outcome()).toBe('ERR_AUDIT_LOCKED')
  })

  test('of a zombie is taken over: it runs no more, though its pid still answers', async () => {
    // The shell starts a child that ends soon, and then becomes a program that never waits for it.
    const parent = spawn('/bin/sh', ['-c', '(exec sleep 0.2) & echo $!; exec sleep 30'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    try {
      const pid = Number(await new Promise<Buffer>((resolve) => parent.stdout.once('data', resolve)))
      for (let i = 0; i < 200 && !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '); i++) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      expect(() => process.kill(pid, 0)).not.toThrow()
      writeFileSync(path, JSON.stringify({ ...own(), id: ID, pid, started: '' }))
      expect(outcome()).toBe('stale_lock')
    } finally {
      parent.kill('SIGKILL')
    }
  })
})

describe.runIf(LINUX)('taking over', () => {
  test('while somebody else is at it is refused', () => {
    const holder = own()
    writeFileSync(path, JSON.stringify({ ...holder, id: ID, boot: 'other' }))
    writeFileSync(`${path}.${ID}`, JSON.stringify({ ...holder, id: 'cd'.repeat(16) }))
    expect(outcome()).toBe('ERR_AUDIT_LOCKED')
  })

  test('goes on when somebody else crashed at it', () => {
    const holder = { ...own(), boot: 'other' }
    writeFileSync(path, JSON.stringify({ ...holder, id: ID }))
    writeFileSync(`${path}.${ID}`, JSON.stringify({ ...holder, id: 'cd'.repeat(16) }))
    expect(outcome()).toBe('stale_lock')
    expect(readdirSync(join(path, '..'))).toEqual(['audit.jsonl.lock'])
    expect(outcome()).toBe('ERR_AUDIT_LOCKED')
  })
})

describe('releasing', () => {
  test('removes the lock, and lets the next one in', () => {
    const lock = acquireLock(path, 'refuse')
    expect(outcome()).toBe('ERR_AUDIT_LOCKED')
    lock.release()
    lock.release()
    expect(outcome()).toBe('acquired')
  })

  test('leaves the lock of somebody else alone', () => {
    const lock = acquireLock(path, 'refuse')
    writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), id: ID }))
    lock.release()
    expect(existsSync(path)).toBe(true)
  })
})
