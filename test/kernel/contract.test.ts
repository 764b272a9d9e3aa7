// The contract of the enforcer port, kept by the bundled enforcer on this host. Skipped, with the enforcer's own words,
// where it cannot be opened at all; a feature that this host does not have is the enforcer's to say.

import { describe, test } from 'vitest'

import { describeError } from '../../src/core/text.ts'
import { LinuxEnforcer } from '../../src/linux/linux-enforcer.ts'
import { enforcerContract } from '../../src/testing/enforcer-contract/contract.ts'

const opened = await LinuxEnforcer.open().then(
  (enforcer) => ({ enforcer }),
  (error: unknown) => ({ reason: describeError(error, 'it cannot be opened') }),
)
if ('reason' in opened) process.stderr.write(`SKIPPED: the contract of the Linux enforcer: ${opened.reason}\n`)

describe.skipIf('reason' in opened)('LinuxEnforcer keeps the contract', () => {
  const cases = 'enforcer' in opened ? enforcerContract({ open: () => opened.enforcer }) : []

  for (const one of cases) {
    // What a host cannot do shows as skipped and never as passed.
    test(one.name, ({ skip }) => one.run(skip))
  }
})
