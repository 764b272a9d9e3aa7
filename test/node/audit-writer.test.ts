import { describe, expect, test } from 'vitest'
import { AuditLog } from '../../src/audit/log.ts'
import { verifyAuditLog } from '../../src/audit/verify.ts'
import { AgentPortError } from '../../src/core/errors.ts'
import { type AuditFileIo, type Durability, openWriter } from '../../src/node/audit-writer.ts'

/** A disk that fails as it is told. */
class Disk implements AuditFileIo {
  bytes: Buffer = Buffer.alloc(0)
  syncs = 0
  closed = 0
  used = 0
  /** How much the next writes take; beyond the list all of it. */
  takes: (number | Error)[] = []
  syncError: Error | undefined
  hold: Promise<void> | undefined

  writeSync(bytes: Uint8Array): number {
    this.#use()
    const take = this.takes.shift() ?? bytes.length
    if (typeof take !== 'number') throw take
    this.bytes = Buffer.concat([this.bytes, bytes.subarray(0, take)])
    return take
  }

  get written(): string {
    return this.bytes.toString()
  }

  async write(bytes: Uint8Array): Promise<number> {
    return this.writeSync(bytes)
  }

  async sync(): Promise<void> {
    this.#use()
    this.syncs++
    await this.hold
    if (this.syncError !== undefined) throw this.syncError
  }

  check(size: number): void {
    this.#use()
    if (size !== this.bytes.length) throw new Error('changed by somebody else')
  }

  close(): void {
    this.closed++
  }

  #use(): void {
    this.used++
    if (this.closed > 0) throw new Error('used after close')
  }
}

const NO_SPACE = Object.assign(new Error('no space left'), { code: 'ENOSPC' })
const IO_ERROR = Object.assign(new Error('i/o error'), { code: 'EIO' })

async function failureOf(action: () => unknown): Promise<AgentPortError | undefined> {
  try {
    await action()
    return undefined
  } catch (error) {
    if (error instanceof AgentPortError) return error
    throw error
  }
}

describe.each<Durability>(['fdatasync', 'os'])('durability %s', (durability) => {
  test('short writes are continued', async () => {
    const disk = new Disk()
    disk.takes = [1, 2, 1, 1]
    const writer = openWriter(disk, 0, durability)
    await writer.append('abcdé')
    await writer.append('x')
    await writer.close()
    expect(disk.written).toBe('abcdé\nx\n')
    expect(disk.closed).toBe(1)
  })

  test.each<[string, (number | Error)[]]>([
    ['no space', [NO_SPACE]],
    ['no space after a part', [2, NO_SPACE]],
    ['a write that takes nothing', [2, 0]],
    ['a write that claims too much', [99]],
    ['a write that claims nonsense', [Number.NaN]],
  ])('%s: latched, the descriptor closed and never used again', async (_name, takes) => {
    const disk = new Disk()
    const writer = openWriter(disk, 0, durability)
    await writer.append('first')
    disk.takes = takes
    const failure = await failureOf(() => writer.append('second'))
    expect(failure?.code).toBe('ERR_AUDIT_UNAVAILABLE')
    const used = disk.used
    expect(await failureOf(() => writer.append('third'))).toBe(failure)
    expect(await failureOf(() => writer.flush())).toBe(failure)
    expect(await failureOf(() => writer.close())).toBeUndefined()
    expect(disk.used).toBe(used)
    expect(disk.closed).toBe(1)
    expect(disk.written).not.toContain('third')
  })

  test('after close nothing is written', async () => {
    const disk = new Disk()
    const writer = openWriter(disk, 0, durability)
    await writer.close()
    expect((await failureOf(() => writer.append('x')))?.code).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(disk.written).toBe('')
  })
})

describe('fdatasync', () => {
  test('one group, one write, one sync; what arrives meanwhile is the next group', async () => {
    const disk = new Disk()
    const writer = openWriter(disk, 0, 'fdatasync')
    let release = (): void => undefined
    disk.hold = new Promise((resolve) => {
      release = resolve
    })
    const first = ['a', 'b', 'c'].map((line) => writer.append(line))
    await new Promise((resolve) => setTimeout(resolve))
    expect([disk.written, disk.syncs]).toEqual(['a\nb\nc\n', 1])
    const second = ['d', 'e'].map((line) => writer.append(line))
    await new Promise((resolve) => setTimeout(resolve))
    expect(disk.syncs).toBe(1)
    disk.hold = undefined
    release()
    await Promise.all([...first, ...second])
    expect([disk.written, disk.syncs]).toEqual(['a\nb\nc\nd\ne\n', 2])
  })

  test('a failed sync rejects its group and all that waits, and is not tried again', async () => {
    const disk = new Disk()
    const writer = openWriter(disk, 0, 'fdatasync')
    const log = AuditLog.open({ sink: writer })
    await log.flush()
    let release = (): void => undefined
    disk.hold = new Promise((resolve) => {
      release = resolve
    })
    const event = { type: 'run.closed', run: 'r', state: 'succeeded' } as const
    const receipts = [failureOf(() => log.append(event)), failureOf(() => log.append(event))]
    await new Promise((resolve) => setTimeout(resolve))
    receipts.push(failureOf(() => log.append(event)))
    // The disk recovers after the failure: a second fsync would report success although the first lost the pages.
    disk.syncError = IO_ERROR
    release()
    expect((await Promise.all(receipts)).map((failure) => failure?.code)).toEqual(
      Array(3).fill('ERR_AUDIT_UNAVAILABLE'),
    )
    disk.syncError = undefined
    expect((await failureOf(() => log.append(event)))?.code).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(disk.syncs).toBe(2)
    expect(disk.closed).toBe(1)
    expect(log.head().seq).toBe(0)
    expect(verifyAuditLog(disk.written).ok).toBe(true)
  })
})

describe('os', () => {
  test('append is synchronous and does not sync; flush does', async () => {
    const disk = new Disk()
    const writer = openWriter(disk, 0, 'os')
    expect(writer.append('x')).toBeUndefined()
    expect(disk.syncs).toBe(0)
    await writer.flush()
    expect(disk.syncs).toBe(1)
  })

  test('close waits for a flush that is still running', async () => {
    const disk = new Disk()
    const writer = openWriter(disk, 0, 'os')
    let release = (): void => undefined
    disk.hold = new Promise((resolve) => {
      release = resolve
    })
    const flushing = writer.flush()
    const closing = writer.close()
    await new Promise((resolve) => setTimeout(resolve))
    expect([disk.syncs, disk.closed]).toEqual([1, 0])
    release()
    await Promise.all([flushing, closing])
    expect([disk.syncs, disk.closed]).toEqual([2, 1])
  })

  test('a failed flush latches', async () => {
    const disk = new Disk()
    const writer = openWriter(disk, 0, 'os')
    disk.syncError = IO_ERROR
    expect((await failureOf(() => writer.flush()))?.code).toBe('ERR_AUDIT_UNAVAILABLE')
    expect((await failureOf(() => writer.append('x')))?.code).toBe('ERR_AUDIT_UNAVAILABLE')
    expect(disk.closed).toBe(1)
  })
})
