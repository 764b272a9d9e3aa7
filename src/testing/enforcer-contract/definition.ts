// How the files of this folder write their cases down.

import type { Feature } from '../../enforcer/feature.ts'
import type { Ground } from './ground.ts'

export interface CaseDefinition {
  readonly name: string
  readonly feature?: Feature
  readonly body: (ground: Ground) => Promise<void>
}
