// The code of the skill `warehouse`. "Read-only" is only a name here: both SQL tools run whatever they are given.

import { writeFile } from 'node:fs/promises'

/** @returns {Record<string, (args: any) => Promise<unknown>>} */
export function createTools({ database, outbox }) {
  const query = async ({ sql }) => {
    const results = await database.exec(sql)
    const rows = results.at(-1)?.rows ?? []
    return rows.map((row) => Object.values(row).join(' | ')).join('\n')
  }
  return {
    pg_readonly: query,
    pg_execute: query,
    async send_mail({ to, text }) {
      await writeFile(outbox, `To: ${to}\n\n${text}\n`)
      return 'sent'
    },
  }
}
