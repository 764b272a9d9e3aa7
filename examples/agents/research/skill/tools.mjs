// The code of the skill `web_research`. It protects nothing: what it is asked for, it does.

import { writeFile } from 'node:fs/promises'

/** @returns {Record<string, (args: any, context: { signal: AbortSignal }) => Promise<unknown>>} */
export function createTools() {
  return {
    async http_request({ method, url, body }, { signal }) {
      const response = await fetch(url, { method, body, signal })
      return await response.text()
    },
    async save_report({ path, text }) {
      await writeFile(path, text)
      return 'saved'
    },
  }
}
