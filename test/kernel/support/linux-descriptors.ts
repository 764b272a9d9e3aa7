// A process of its own that was started with a descriptor too many, and the descriptors of a program that it starts in a box.

import { readdirSync, readlinkSync } from 'node:fs'

import { linuxEnforcer, profileOf, runIn } from './linux-supervised.ts'

const box = await (await linuxEnforcer()).open(profileOf('skill: descriptors\nallowed_binaries: [/usr/bin/ls]\n'))
const { stdout } = await runIn(box, '/usr/bin/ls', '-l', '/proc/self/fd', '/proc/1/fd')
await box.close()
const outside = readdirSync('/proc/self/fd').flatMap((name) => {
  try {
    return [readlinkSync(`/proc/self/fd/${name}`)]
  } catch {
    return []
  }
})
process.stdout.write(`${JSON.stringify({ outside, inside: stdout.trim().split('\n') })}\n`)
