import {
  closeSync,
  linkSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { identityOf, openLsmFiles, splitDev, superBlocks } from '../../../src/linux/lsm/files.ts'

describe('the parts of a device number', () => {
  test.each([
    [0n, 0, 0],
    [0xfe00n, 254, 0],
    [0x801n, 8, 1],
    // glibc's makedev(0xabcde, 0x12345678)
    [((0xab000n << 32n) | (0xcden << 8n) | 0x78n | (0x123456n << 20n)) as bigint, 0xabcde, 0x12345678],
  ])('%s', (dev, major, minor) => {
    expect(splitDev(dev)).toEqual([major, minor])
  })
})

describe('what the kernel says of an open file', () => {
  const supers = superBlocks(
    '22 1 254:0 / / rw - ext4 /dev/root rw\n30 22 0:27 /a /b\\040c rw - tmpfs t rw\nnonsense\n',
  )

  test('mount and number', () => {
    expect(supers.get(30)).toEqual({ major: 0, minor: 27 })
    expect(identityOf('pos:\t0\nflags:\t02\nmnt_id:\t30\nino:\t1234\n', supers)).toEqual({
      major: 0,
      minor: 27,
      ino: 1234n,
    })
  })

  test.each([
    ['an older kernel', 'pos:\t0\nmnt_id:\t30\n'],
    ['another mount namespace', 'mnt_id:\t99\nino:\t1\n'],
    ['nothing', ''],
  ])('%s', (_, fdinfo) => {
    expect(identityOf(fdinfo, supers)).toMatch(/kernel|mount/)
  })
})

const linux = process.platform === 'linux'
// biome-ignore lint/suspicious/noConsole: what was not tested must not look tested
if (!linux) console.warn('SKIPPED: files by number: not Linux')

describe.skipIf(!linux)('files by number', () => {
  let directory: string
  let file: string
  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'agentport-lsm-'))
    file = join(directory, 'file')
    writeFileSync(file, 'x')
    linkSync(file, join(directory, 'link'))
    symlinkSync(file, join(directory, 'symlink'))
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))
  const descriptors = () => readdirSync('/proc/self/fd').length

  test('are held open, so that nobody else gets the number', () => {
    const before = descriptors()
    const gone = join(directory, 'gone')
    writeFileSync(gone, 'x')
    const held = openLsmFiles([{ path: gone, execute: true, map: false }])
    expect(held.files[0]?.ino).toBe(statSync(gone, { bigint: true }).ino)
    rmSync(gone)
    const later = Array.from({ length: 50 }, (_, index) => {
      const path = join(directory, `new-${index}`)
      closeSync(openSync(path, 'w'))
      return statSync(path, { bigint: true }).ino
    })
    expect(later).not.toContain(held.files[0]?.ino)
    held.close()
    held.close()
    expect(descriptors()).toBe(before)
  })

  test('are the same under every hard link, and named by the first', () => {
    const held = openLsmFiles([{ path: join(directory, 'link'), execute: true, map: true }])
    const [listed] = held.files
    if (listed === undefined) throw new Error('nothing listed')
    expect(listed.ino).toBe(statSync(file, { bigint: true }).ino)
    expect(held.pathOf(((listed.major << 20) | listed.minor) >>> 0, listed.ino)).toBe(join(directory, 'link'))
    expect(held.pathOf(0, listed.ino)).toBeUndefined()
    held.close()
  })

  test.each(['symlink', 'absent', 'file/x'])('%s is refused and leaves nothing open', (name) => {
    const before = descriptors()
    const listed = [file, join(directory, name)].map((path) => ({ path, execute: true, map: true }))
    expect(() => openLsmFiles(listed)).toThrow(expect.objectContaining({ code: 'ERR_ENFORCEMENT_UNAVAILABLE' }))
    expect(descriptors()).toBe(before)
  })
})
