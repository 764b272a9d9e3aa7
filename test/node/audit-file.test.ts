import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { AuditHead } from '../../src/audit/chain.ts'
import type { AuditEvent } from '../../src/audit/event.ts'
import { AuditLog, type AuditReceipt } from '../../src/audit/log.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { sha256Hex } from '../../src/core/crypto.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import { LIMITS } from '../../src/core/limits.ts'
import { type AuditFileOptions, openAuditFile, verifyAuditFile } from '../../src/node/audit-file.ts'
import { buildChild, startChild } from './audit-child.ts'

const BASE = mkdtempSync(join(tmpdir(), 'agentport-audit-'))
const IS_ROOT = process.geteuid?.() === 0
const NOBODY = 65534
let directory = ''
let path = ''

beforeEach(() => {
  directory = mkdtempSync(join(BASE, 't-'))
  path = join(directory, 'audit.jsonl')
})

afterAll(() => rmSync(BASE, { recursive: true, force: true }))

const event: AuditEvent = { type: 'run.closed', run: 'r', state: 'succeeded' }

async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action()
  } catch (error) {
    if (error instanceof AgentPortError) return error.code
    throw error
  }
  return 'none'
}

async function session(count: number, options: AuditFileOptions = {}): Promise<AuditHead> {
  const log = AuditLog.open({ sink: await openAuditFile(path, options) })
  for (let i = 0; i < count; i++) await log.append(event)
  return log.close()
}

function records(): { seq: number; type: string; [key: string]: unknown }[] {
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
}

function tornFiles(): string[] {
  return readdirSync(directory)
    .filter((name) => name.includes('.torn-'))
    .sort()
}

describe.each(['fdatasync', 'os'] as const)('durability %s', (durability) => {
  test('sessions follow each other in one chain; only the log is left behind', async () => {
    const first = await session(3, { durability })
    const second = await session(2, { durability })
    expect(second.seq).toBe(first.seq + 4)
    expect(records()[first.seq + 1]).toMatchObject({ type: 'log.opened', resumed_from: first })
    expect(await verifyAuditFile(path, { expectHead: second })).toMatchObject({
      ok: true,
      tail: 'verified',
      records: 9,
    })
    expect(await verifyAuditFile(path, { expectHead: first })).toMatchObject({ ok: true, tail: 'closed' })
    expect(readdirSync(directory)).toEqual(['audit.jsonl'])
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  test('a record is in the file when its receipt is there', async () => {
    const log = AuditLog.open({ sink: await openAuditFile(path, { durability }) })
    for (let i = 1; i < 20; i++) {
      const receipt = await log.append(event)
      expect(verifyAuditLog(readFileSync(path, 'utf8'), { expectHead: receipt }).tail).toBe('verified')
    }
    await log.close()
  })

  test('many callers at once keep the order of their calls', async () => {
    const log = AuditLog.open({ sink: await openAuditFile(path, { durability }) })
    const receipts = await Promise.all(Array.from({ length: 300 }, () => log.append(event)))
    expect(receipts.map(({ seq }: AuditReceipt) => seq)).toEqual(receipts.map((_, index) => index + 1))
    const head = await log.close()
    expect(await verifyAuditFile(path, { expectHead: head })).toMatchObject({ ok: true, tail: 'verified' })
  })

  test.each<[string, () => void]>([
    ['deleted', () => unlinkSync(path)],
    ['renamed by a log rotation', () => renameSync(path, `${path}.1`)],
    ['replaced', () => [renameSync(path, `${path}.1`), writeFileSync(path, '')]],
    ['truncated', () => truncateSync(path, 10)],
    ['appended to by somebody else', () => appendFileSync(path, '{}\n')],
    ['given a second name', () => linkSync(path, `${path}.copy`)],
  ])('a log that is %s is not written any more', async (_name, meddle) => {
    const log = AuditLog.open({ sink: await openAuditFile(path, { durability }) })
    await log.append(event)
    meddle()
    const before = existsSync(path) ? readFileSync(path) : undefined
    expect(await codeOf(() => log.append(event))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(await codeOf(() => log.append(event))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(await codeOf(() => log.close())).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(existsSync(path) ? readFileSync(path) : undefined).toEqual(before)
    expect(existsSync(`${path}.lock`)).toBe(false)
  })
})

describe('a crash', () => {
  /** What a logger does that knows nothing of torn lines: continue after what looks like the last record. */
  function naiveAppend(file: string): void {
    const lines = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
    appendFileSync(file, `${JSON.stringify({ v: 1, seq: lines.length, type: 'run.closed' })}\n`)
  }

  test('at every byte of the last two records: never a corrupt log, never silent loss', async () => {
    await session(4, { durability: 'os' })
    const whole = readFileSync(path)
    const lines = whole.toString().trimEnd().split('\n')
    const start = Buffer.byteLength(`${lines.slice(0, -2).join('\n')}\n`)
    let torn = 0
    let glued = 0
    for (let cut = start; cut <= whole.length; cut++) {
      writeFileSync(path, whole.subarray(0, cut))
      const complete = whole.subarray(0, cut).toString().split('\n').length - 1
      const rest = whole.subarray(
        Buffer.byteLength(
          lines
            .slice(0, complete)
            .map((line) => `${line}\n`)
            .join(''),
        ),
        cut,
      )

      writeFileSync(`${path}.naive`, whole.subarray(0, cut))
      naiveAppend(`${path}.naive`)
      if (
        readFileSync(`${path}.naive`, 'utf8')
          .trimEnd()
          .split('\n')
          .some((line) => !isJson(line))
      )
        glued++

      const head = await session(1, { durability: 'os' })
      const result = await verifyAuditFile(path, { expectHead: head })
      expect(result).toMatchObject({ ok: true, tail: 'verified' })
      const after = records()
      expect(after.length).toBe(complete + (rest.length > 0 ? 4 : 3))
      if (rest.length > 0) {
        torn++
        const offset = cut - rest.length
        const digest = sha256Hex(rest)
        expect(after[complete]).toMatchObject({
          type: 'log.recovered',
          reason: 'torn_tail',
          offset,
          length: rest.length,
          sha256: digest,
        })
        expect(readFileSync(join(directory, String(after[complete]?.['file'])))).toEqual(rest)
      }
      for (const name of tornFiles()) unlinkSync(join(directory, name))
    }
    expect(torn).toBe(whole.length - start - 2)
    // Control: all but the cuts at a line's very end leave the naive logger with two records glued into one.
    expect(glued).toBeGreaterThan(torn - 3)
  })

  test('during the repair, at each of its steps: nothing is lost and nothing is recorded twice', async () => {
    await session(2)
    const whole = readFileSync(path)
    const tail = Buffer.from('{"v":1,"seq":4,"pre')
    const recovered = async (): Promise<unknown[]> => {
      await session(0)
      await session(0)
      return records()
        .filter(({ type }) => type === 'log.recovered')
        .map(({ file, length, offset }) => ({ file, length, offset }))
    }
    const at = { offset: whole.length }
    const steps: [string, () => void, unknown[]][] = [
      ['before anything', () => undefined, [{ file: 'audit.jsonl.torn-1', length: 19, ...at }]],
      [
        'file made, nothing in it',
        () => writeFileSync(`${path}.torn-1`, ''),
        [
          { file: 'audit.jsonl.torn-1', length: 0, ...at },
          { file: 'audit.jsonl.torn-2', length: 19, ...at },
        ],
      ],
      [
        'file half written',
        () => writeFileSync(`${path}.torn-1`, tail.subarray(0, 7)),
        [
          { file: 'audit.jsonl.torn-1', length: 7, ...at },
          { file: 'audit.jsonl.torn-2', length: 19, ...at },
        ],
      ],
      [
        'file written',
        () => writeFileSync(`${path}.torn-1`, tail),
        [{ file: 'audit.jsonl.torn-1', length: 19, ...at }],
      ],
      [
        'log cut, nothing recorded',
        () => [writeFileSync(`${path}.torn-1`, tail), writeFileSync(path, whole)],
        [{ file: 'audit.jsonl.torn-1', length: 19, ...at }],
      ],
    ]
    for (const [, prepare, expected] of steps) {
      writeFileSync(path, Buffer.concat([whole, tail]))
      prepare()
      expect(await recovered()).toEqual(expected)
      expect((await verifyAuditFile(path)).ok).toBe(true)
      for (const name of tornFiles()) unlinkSync(join(directory, name))
    }
  })

  test('in the first record leaves an empty log that begins with what was found', async () => {
    writeFileSync(path, '{"v":1,"se', { mode: 0o600 })
    await session(0)
    expect(records()).toMatchObject([
      { seq: 0, type: 'log.recovered', offset: 0, length: 10 },
      { seq: 1, type: 'log.opened' },
      { type: 'log.closed' },
    ])
    expect((await verifyAuditFile(path)).ok).toBe(true)
  })
})

function isJson(line: string): boolean {
  try {
    JSON.parse(line)
    return true
  } catch {
    return false
  }
}

describe('a log that does not verify', () => {
  test.each<[string, (text: string) => string]>([
    ['altered', (text) => text.replace('"run":"r"', '"run":"s"')],
    [
      'dropped',
      (text) =>
        text
          .split('\n')
          .filter((_, index) => index !== 1)
          .join('\n'),
    ],
    ['not a log', () => 'hello\n'],
    ['malformed last line with a newline', (text) => `${text}{"v":1\n`],
    ['more than a record without a newline', (text) => text + 'x'.repeat(LIMITS.auditRecordBytes + 1)],
    ['a block of zeros inside', (text) => text.replace('\n', `\n${'\0'.repeat(512)}\n`)],
  ])('%s: refused with the place, and left as it is', async (_name, spoil) => {
    await session(3)
    writeFileSync(path, spoil(readFileSync(path, 'utf8')))
    const before = readFileSync(path)
    expect(await codeOf(() => openAuditFile(path))).toBe('ERR_AUDIT_CORRUPT')
    expect(readFileSync(path)).toEqual(before)
    expect(readdirSync(directory)).toEqual(['audit.jsonl'])
  })

  test('an outcome without its call is reported, and does not end the log for good', async () => {
    const log = AuditLog.open({ sink: await openAuditFile(path) })
    await log.append({ type: 'call.outcome', run: 'r', node: 'n', attempt: 1, intent: 77, outcome: 'failed' })
    await log.close()
    expect((await verifyAuditFile(path)).faults).toMatchObject([{ kind: 'unpaired', line: 2 }])
    expect(await codeOf(() => session(1))).toBe('none')
  })
})

describe('what is not our file', () => {
  test('a symbolic link at the path of the log is not followed', async () => {
    const target = join(directory, 'target')
    writeFileSync(target, '')
    symlinkSync(target, path)
    // Control: an ordinary append goes where the link says.
    appendFileSync(path, 'x')
    expect(readFileSync(target, 'utf8')).toBe('x')
    expect(await codeOf(() => openAuditFile(path))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(readFileSync(target, 'utf8')).toBe('x')
    expect(readdirSync(directory).sort()).toEqual(['audit.jsonl', 'target'])
  })

  test('a dangling link makes no file elsewhere', async () => {
    symlinkSync(join(directory, 'elsewhere'), path)
    expect(await codeOf(() => openAuditFile(path))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(existsSync(join(directory, 'elsewhere'))).toBe(false)
  })

  test.each<[string, () => void]>([
    ['a hard link', () => [writeFileSync(join(directory, 'other'), ''), linkSync(join(directory, 'other'), path)]],
    ['a directory', () => mkdirSync(path)],
    ['a named pipe', () => expect(spawnSync('mkfifo', [path]).status).toBe(0)],
    ['a file others can write', () => [writeFileSync(path, ''), chmodSync(path, 0o666)]],
    ['a set-aside file that is a link', () => symlinkSync('/etc/passwd', `${path}.torn-1`)],
    ['a set-aside file that is too big', () => writeFileSync(`${path}.torn-1`, 'x'.repeat(70_000))],
  ])('%s is refused', async (_name, plant) => {
    plant()
    expect(await codeOf(() => openAuditFile(path))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  test.runIf(IS_ROOT)('a file of another user is refused', async () => {
    writeFileSync(path, '', { mode: 0o600 })
    chownSync(path, NOBODY, NOBODY)
    expect(await codeOf(() => openAuditFile(path))).toBe('ERR_AUDIT_UNAVAILABLE')
  })

  test('two names of one directory lead to one lock', async () => {
    symlinkSync(directory, `${directory}-link`)
    const sink = await openAuditFile(path)
    expect(await codeOf(() => openAuditFile(join(`${directory}-link`, 'audit.jsonl')))).toBe('ERR_AUDIT_LOCKED')
    await sink.close()
  })

  test('a directory that is missing is a coded error', async () => {
    expect(await codeOf(() => openAuditFile(join(directory, 'no', 'audit.jsonl')))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(await codeOf(() => verifyAuditFile(join(directory, 'no')))).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(await codeOf(() => verifyAuditFile(directory))).toBe('ERR_AUDIT_UNAVAILABLE')
  })

  test.each([[''], [7]])('path %j is misuse', async (bad) => {
    await expect(openAuditFile(bad as string)).rejects.toThrow(TypeError)
    await expect(openAuditFile(path, { durability: 'none' as 'os' })).rejects.toThrow(TypeError)
    await expect(openAuditFile(path, { foreignLock: 'yes' as 'refuse' })).rejects.toThrow(TypeError)
  })
})

describe('verifying a file', () => {
  test('lines across chunks and lines longer than any record are read with bounded memory', async () => {
    await session(3000, { durability: 'os' })
    expect(statSync(path).size).toBeGreaterThan(256 * 1024)
    expect(await verifyAuditFile(path)).toMatchObject({ ok: true, records: 3002 })
    appendFileSync(path, `${'y'.repeat(3_000_000)}\n`)
    expect((await verifyAuditFile(path)).faults).toMatchObject([{ line: 3003, kind: 'torn' }])
    appendFileSync(path, '\n\n')
    expect((await verifyAuditFile(path)).faults).toMatchObject([
      { line: 3003, kind: 'malformed' },
      { line: 3004 },
      { line: 3005, kind: 'torn' },
    ])
  })

  test('a tail without a newline is torn, and bytes that are not UTF-8 are malformed', async () => {
    await session(2)
    appendFileSync(path, Buffer.from([0xff, 0x0a]))
    appendFileSync(path, '{"v":1')
    expect((await verifyAuditFile(path)).faults).toMatchObject([
      { line: 5, kind: 'malformed' },
      { line: 6, kind: 'torn' },
    ])
  })
})

describe('other processes', () => {
  const program = buildChild(BASE)
  // A directory that nobody but root may enter would make every child fail for the wrong reason.
  chmodSync(BASE, 0o755)

  test('a second writer fails at once, here and in another process; the first goes on', async () => {
    const log = AuditLog.open({ sink: await openAuditFile(path) })
    expect(await codeOf(() => openAuditFile(path))).toBe('ERR_AUDIT_LOCKED')
    const child = startChild(process.execPath, [program, 'hold', path])
    await child.ended
    expect(child.lines).toEqual([expect.stringMatching(/^error ERR_AUDIT_LOCKED/)])
    await log.append(event)
    const head = await log.close()
    expect(await verifyAuditFile(path, { expectHead: head })).toMatchObject({ ok: true, tail: 'verified' })
  })

  test('control: two chains without a lock fork', () => {
    const write = (seq: number, who: string): void => appendFileSync(path, `${JSON.stringify({ seq, who })}\n`)
    for (const seq of [0, 1]) for (const who of ['a', 'b']) write(seq, who)
    expect(records().map(({ seq }) => seq)).toEqual([0, 0, 1, 1])
  })

  test('a killed writer: its lock is taken over, which is recorded, and what it acknowledged is there', async () => {
    const child = startChild(process.execPath, [program, 'fill', path, 'fdatasync'])
    await child.said('acknowledged 20')
    child.process.kill('SIGKILL')
    await child.ended
    expect(existsSync(`${path}.lock`)).toBe(true)
    const acknowledged = Number(child.lines.at(-1)?.split(' ')[1])
    const before = verifyAuditLog(readFileSync(path, 'utf8')).head.seq
    expect(before).toBeGreaterThanOrEqual(acknowledged)
    const head = await session(1)
    const stale = records().find(({ type }) => type === 'log.recovered')
    expect(stale).toMatchObject({ seq: before + 1, reason: 'stale_lock', pid: child.process.pid })
    expect(await verifyAuditFile(path, { expectHead: head })).toMatchObject({ ok: true, tail: 'verified' })
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  test('several processes that find the same dead lock: exactly one gets it', async () => {
    const dead = startChild(process.execPath, [program, 'open', path])
    await dead.ended
    expect(existsSync(`${path}.lock`)).toBe(true)
    const children = Array.from({ length: 5 }, () => startChild(process.execPath, [program, 'hold', path]))
    await Promise.all(children.map(async (child) => Promise.race([child.said('held'), child.said('error')])))
    expect(
      children
        .flatMap(({ lines }) => lines)
        .map((line) => line.split(' ')[1] ?? line)
        .sort(),
    ).toEqual([...Array(4).fill('ERR_AUDIT_LOCKED'), 'held'])
    for (const child of children) child.process.kill('SIGKILL')
    await Promise.all(children.map(({ ended }) => ended))
    await session(0)
    expect((await verifyAuditFile(path)).ok).toBe(true)
    expect(readdirSync(directory)).toEqual(['audit.jsonl'])
  })

  test('a write that the system cuts short ends the log; the rest of it is found at the next opening', async () => {
    for (const durability of ['fdatasync', 'os']) {
      const file = `${path}-${durability}`
      const child = startChild('/bin/bash', [
        '-c',
        'ulimit -f 9; exec "$0" "$@"',
        process.execPath,
        program,
        'fill',
        file,
        durability,
      ])
      await child.ended
      expect(child.lines.at(-1)).toBe('error ERR_AUDIT_UNAVAILABLE EFBIG')
      const log = AuditLog.open({ sink: await openAuditFile(file) })
      const head = await log.close()
      const acknowledged = Number(child.lines.at(-2)?.split(' ')[1])
      const [stale, torn] = readFileSync(file, 'utf8')
        .split('\n')
        .slice(acknowledged + 1)
        .map((line) => JSON.parse(line || '{}'))
      expect(stale).toMatchObject({ type: 'log.recovered', reason: 'stale_lock' })
      expect(torn).toMatchObject({ type: 'log.recovered', reason: 'torn_tail' })
      expect(await verifyAuditFile(file, { expectHead: head })).toMatchObject({ ok: true, tail: 'verified' })
    }
  })

  test('a directory that cannot be written', async () => {
    chmodSync(directory, 0o555)
    const child = startChild(process.execPath, [program, 'hold', path], IS_ROOT ? { uid: NOBODY, gid: NOBODY } : {})
    await child.ended
    expect(child.lines).toEqual([expect.stringMatching(/^error ERR_AUDIT_UNAVAILABLE EACCES/)])
    chmodSync(directory, 0o755)
    expect(readdirSync(directory)).toEqual([])
  })
})
