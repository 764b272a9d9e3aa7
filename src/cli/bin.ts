#!/usr/bin/env node
// The executable: the process around `run`.

import { run } from './main.ts'

// Whoever reads us may have read enough, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 2))

process.exitCode = await run(process.argv.slice(2), {
  out: (text) => {
    process.stdout.write(`${text}\n`)
  },
  err: (text) => {
    process.stderr.write(`${text}\n`)
  },
  color: process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined,
})
