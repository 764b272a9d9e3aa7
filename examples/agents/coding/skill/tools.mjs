// The code of the skill `code_tools`. Like many of its kind it expands `~` and runs any program it is told to.

import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'

/** @returns {Record<string, (args: any, context: { signal: AbortSignal }) => Promise<unknown>>} */
export function createTools({ home, workspace }) {
  return {
    async read_file({ path }) {
      return await readFile(path.startsWith('~/') ? join(home, path.slice(2)) : path, 'utf8')
    },
    async write_file({ path, content }) {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, content)
      return 'written'
    },
    async run({ program, args }, { signal }) {
      const child = spawn(program, args, {
        cwd: workspace,
        env: { HOME: home },
        stdio: ['ignore', 'pipe', 'pipe'],
        signal,
      })
      const exit = new Promise((resolve, reject) => child.once('error', reject).once('close', resolve))
      const [code, output, errors] = await Promise.all([exit, text(child.stdout), text(child.stderr)])
      return { code, output, errors }
    },
  }
}
