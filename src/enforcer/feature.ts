// What a confinement can consist of, and how much the operator insists on each part. Insisting is the default: a feature
// nobody mentioned, or whose requirement is misspelt, is required.

export const FEATURES = [
  'fs_read',
  'fs_write',
  'fs_execute',
  'syscalls',
  'egress',
  'env',
  'process_tree_kill',
  'limits',
  'ephemeral',
  'privilege',
] as const

/**
 * `fs_read`, `fs_write`, `fs_execute`: files outside the profile cannot be read, written, run. `syscalls`: forbidden
 * system calls fail. `egress`: only listed destinations are reachable. `env`: only listed variables are passed on.
 * `process_tree_kill`: a kill leaves no descendant. `limits`: time, memory and process counts are held. `ephemeral`:
 * nothing written survives the confinement. `privilege`: no capability, setuid bit or namespace gains anything.
 */
export type Feature = (typeof FEATURES)[number]

export type Requirement = 'required' | 'preferred'

/** Absent means required. */
export type Requirements = Readonly<Partial<Record<Feature, Requirement>>>

/** The features without which nothing may be started. */
export function requiredFeatures(requirements: Requirements = {}): readonly Feature[] {
  return FEATURES.filter((feature) => !(Object.hasOwn(requirements, feature) && requirements[feature] === 'preferred'))
}
