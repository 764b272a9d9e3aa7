// Which of the things the self-test tries stand for which feature. A feature is enforced when everything that stands for it
// was refused; what was not tried was not refused.

import type { Feature } from '../enforcer/feature.ts'

/** Names as native/selftest.c prints them. */
const CHECKS: Readonly<
  Partial<Record<Feature, { readonly any: readonly string[]; readonly namespaces: readonly string[] }>>
> = {
  fs_read: { any: ['read'], namespaces: ['stat'] },
  fs_write: { any: ['write'], namespaces: [] },
  fs_execute: { any: ['exec', 'memfd', 'anonymous-code'], namespaces: ['map'] },
  syscalls: { any: ['ptrace', 'io-uring'], namespaces: [] },
  egress: { any: ['connect', 'packet-socket'], namespaces: [] },
  process_tree_kill: { any: [], namespaces: ['processes'] },
  privilege: { any: ['mount', 'user-namespace', 'capabilities', 'new-privileges', 'ptrace'], namespaces: [] },
}

/** What stands for `feature` and was not refused; empty when all of it was. */
export function notRefused(
  feature: Feature,
  kind: 'namespaces' | 'flat',
  refused: ReadonlySet<string>,
): readonly string[] {
  const checks = CHECKS[feature]
  if (checks === undefined) return []
  return [...checks.any, ...(kind === 'namespaces' ? checks.namespaces : [])].filter((name) => !refused.has(name))
}
