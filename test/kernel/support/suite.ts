// Where tests of the kernel can run. A suite that is left out must not look like one that passed: it says why on standard
// error, and with AGENTPORT_REQUIRE_KERNEL=1 it fails instead.

import { describe, test } from 'vitest'

import { LinuxEnforcer } from '../../../src/linux/linux-enforcer.ts'

export const KERNEL_REQUIRED = process.env['AGENTPORT_REQUIRE_KERNEL'] === '1'

export interface SuiteNeeds {
  /** `box`: namespaces, as every suite needs unless it says otherwise. `launcher`: a launcher that starts. */
  readonly kernel?: 'box' | 'launcher'
  /** Only what nobody but root can do. */
  readonly root?: boolean
}

interface Host {
  readonly reason?: string
  readonly namespaces: boolean
}

let host: Promise<Host> | undefined

function findHost(): Promise<Host> {
  host ??= LinuxEnforcer.open()
    .then((enforcer) => enforcer.host())
    .then(({ facts }) => ({ namespaces: facts.namespaces !== 'none' }))
    .catch((error: unknown) => ({ reason: error instanceof Error ? error.message : String(error), namespaces: false }))
  return host
}

/** Why a suite with these needs cannot run here; `undefined` when it can. */
export async function reasonAgainst(needs: SuiteNeeds = {}): Promise<string | undefined> {
  const { reason, namespaces } = await findHost()
  if (reason !== undefined) return reason
  if (needs.kernel !== 'launcher' && !namespaces) return 'this host makes no namespaces, neither for users nor for root'
  return undefined
}

/** `describe` for tests that need the kernel. To be awaited at the top of a test file. */
export async function kernelSuite(name: string, define: () => void, needs: SuiteNeeds = {}): Promise<void> {
  const reason = await reasonAgainst(needs)
  if (reason !== undefined) leaveOut(name, reason, define)
  else if (needs.root === true && process.geteuid?.() !== 0) {
    // Another run, as root, is the one that has to have it.
    say(`${name}: NOT RUN: only root can do this`)
    describe.skip(name, define)
  } else describe(name, define)
}

/** Left out aloud, or failing where it must not be left out. */
export function leaveOut(name: string, reason: string, define: () => void): void {
  if (KERNEL_REQUIRED) {
    describe(name, () => {
      test('can run here', () => {
        throw new Error(reason)
      })
    })
    return
  }
  say(`${name}: NOT RUN: ${reason}`)
  describe.skip(name, define)
}

export function say(text: string): void {
  process.stderr.write(`kernel: ${text}\n`)
}
