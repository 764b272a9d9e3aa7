// The version of the package this command came with.

import { readFileSync } from 'node:fs'

/** From the package.json beside `dist` or `src`. */
export const VERSION: string = (
  JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
).version
