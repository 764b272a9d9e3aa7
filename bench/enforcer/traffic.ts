// How fast a box can read from a server: directly on the host's loopback, and from inside a box through the proxy. Server
// and clients are processes of their own; the proxy is in this one, as it is in an executor.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'

import type { LinuxEnforcer } from '@agentport/gateway/linux'

import { profileFor } from './profile.ts'
import { median } from './statistics.ts'

const BYTES = 512 * 1024 * 1024
const ROUNDS = 7

const SERVER = `
const chunk = Buffer.alloc(1 << 20)
require('node:http').createServer((request, response) => {
  let left = ${BYTES}
  response.writeHead(200, { 'content-length': left })
  const more = () => { while (left > 0) { left -= chunk.length; if (!response.write(chunk)) return response.once('drain', more) } response.end() }
  more()
}).listen(0, '127.0.0.1', function () { console.log(this.address().port) })
`

export async function measureTraffic(enforcer: LinuxEnforcer): Promise<void> {
  if (!existsSync('/usr/bin/curl')) {
    console.log('\ntraffic left out: there is no /usr/bin/curl')
    return
  }
  const server = spawn(process.execPath, ['-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] })
  const port = await new Promise<string>((resolve) =>
    server.stdout.once('data', (data) => resolve(String(data).trim())),
  )
  const url = `http://127.0.0.1:${port}/`
  const box = await enforcer.open(profileFor({ binaries: ['/usr/bin/curl'], hosts: [`http://127.0.0.1:${port}`] }))
  const outside: number[] = []
  const inside: number[] = []
  const args = ['-sS', '-o', '/dev/null', '-w', '%{http_code} %{size_download}']
  try {
    for (let round = -1; round < ROUNDS; round++) {
      const start = performance.now()
      await new Promise<void>((resolve) => {
        spawn('/usr/bin/curl', [...args, '--noproxy', '*', url], { stdio: 'ignore' }).once('close', () => resolve())
      })
      const middle = performance.now()
      const { stdout, exited } = await box.spawn({ file: '/usr/bin/curl', args: [...args, url] })
      const answer = await new Response(stdout).text()
      await exited
      const end = performance.now()
      if (answer !== `200 ${BYTES}`) throw new Error(`inside, curl got ${answer}`)
      if (round < 0) continue
      outside.push(middle - start)
      inside.push(end - middle)
    }
  } finally {
    await box.close()
    server.kill()
  }
  const rate = (time: number): string => `${(BYTES / 1024 / 1024 / (time / 1000)).toFixed(0)} MiB/s`
  const [direct, proxied] = [median(outside), median(inside)]
  console.log(`\nreading ${BYTES / 1024 / 1024} MiB over loopback; medians of ${ROUNDS} alternated runs`)
  console.log(
    `  direct ${rate(direct)}, through the proxy ${rate(proxied)}: ${((direct / proxied) * 100).toFixed(0)} %`,
  )
}
