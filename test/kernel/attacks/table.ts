// Every attack there is. Ids are unique: results are compared from run to run by them.

import type { Attack } from './attack.ts'
import { BINARY_ATTACKS } from './binary.ts'
import { FILE_ATTACKS } from './files.ts'
import { NET_ATTACKS } from './net.ts'
import { PRIVILEGE_ATTACKS } from './privilege.ts'

export const ATTACKS: readonly Attack[] = Object.freeze([
  ...BINARY_ATTACKS,
  ...FILE_ATTACKS,
  ...NET_ATTACKS,
  ...PRIVILEGE_ATTACKS,
])
