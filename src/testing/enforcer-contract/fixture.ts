// What the suite runs inside a confinement. By default small POSIX programs at their usual places, which need little and
// are nearly everywhere; a host or an enforcer that has others says so.

import { existsSync, realpathSync } from 'node:fs'
import { tmpdir } from 'node:os'

/** A program and its arguments. */
export interface ContractProgram {
  readonly file: string
  readonly args: readonly string[]
}

/** Every path is absolute; but for the loader it has no symbolic link in it. A program that is `undefined` makes its cases not applicable. */
export interface ContractFixture {
  /** A POSIX shell; the suite needs it for nearly everything. */
  readonly sh: string
  /** Copies its input to its output. */
  readonly cat: string
  /** Takes seconds, with a fraction. */
  readonly sleep: string
  /** Ends at once with 0. */
  readonly true: string
  /** `ln -s`. */
  readonly ln: string | undefined
  readonly mkdir: string | undefined
  /** Starts a program in a session of its own. */
  readonly setsid: string | undefined
  /** The dynamic loader, which runs the program that it is given. */
  readonly loader: string | undefined
  /** Makes a TCP connection to an IPv4 address and ends. */
  readonly tcp: ((address: string, port: number) => ContractProgram) | undefined
  /** Sends one UDP datagram to an IPv4 address and ends. */
  readonly udp: ((address: string, port: number) => ContractProgram) | undefined
  /** Path patterns that every profile of the suite grants besides its own, for what those programs cannot do without. */
  readonly alsoRead: readonly string[]
  readonly alsoExecute: readonly string[]
  /** Where the suite makes its directories. Must not be a place that every profile may reach anyway. */
  readonly directory: string
  /** Places where a program leaves temporary files. */
  readonly scratch: readonly string[]
  /** How long one operation may take before it counts as hanging, in milliseconds. */
  readonly patienceMs: number
  /** Programs started, one after the other, for the case of unread events. */
  readonly floodSpawns: number
}

// At the paths that programs name, as that is where a confinement has them.
const LOADERS: readonly string[] = [
  '/lib64/ld-linux-x86-64.so.2',
  '/lib/ld-linux-aarch64.so.1',
  '/lib/ld-musl-x86_64.so.1',
  '/lib/ld-musl-aarch64.so.1',
]

/** The parts of the default fixture that this host has. Throws `TypeError` when there is no shell, cat, sleep or true. */
export function contractFixture(overrides: Partial<ContractFixture> = {}): ContractFixture {
  const bash = find('bash')
  const socket = (kind: 'tcp' | 'udp', script: string) =>
    bash === undefined
      ? undefined
      : (address: string, port: number): ContractProgram => ({
          file: bash,
          args: ['-c', script, kind, address, String(port)],
        })
  return Object.freeze({
    sh: overrides.sh ?? need('sh'),
    cat: overrides.cat ?? need('cat'),
    sleep: overrides.sleep ?? need('sleep'),
    true: overrides.true ?? need('true'),
    ln: find('ln'),
    mkdir: find('mkdir'),
    setsid: find('setsid'),
    loader: LOADERS.find((place) => existsSync(place)),
    tcp: socket('tcp', 'exec 3<>"/dev/tcp/$1/$2"'),
    udp: socket('udp', 'echo datagram > "/dev/udp/$1/$2"'),
    alsoRead: [],
    alsoExecute: [],
    directory: realpathSync(tmpdir()),
    scratch: ['/tmp', '/var/tmp', '/dev/shm'],
    patienceMs: 10_000,
    floodSpawns: 600,
    ...overrides,
  })
}

function find(name: string): string | undefined {
  const path = [`/bin/${name}`, `/usr/bin/${name}`].find((place) => existsSync(place))
  return path === undefined ? undefined : realpathSync(path)
}

function need(name: string): string {
  const path = find(name)
  if (path === undefined) throw new TypeError(`this host has no ${name}; name one in the fixture`)
  return path
}
