// The small world that random policies and requests are about: names, places and values that meet often enough.

import type { RawDuring } from '../../src/policy/schema.ts'

export const NODES = ['fetch', 'fetch_b', 'plan', 'send.mail', 'x']
export const NODE_GLOBS = [...NODES, 'fetch*', '*', 's?nd.*', '[fp]*', '*_b']
export const TOOLS = ['http_get', 'http_post', 'fs.read', 'fs.write', 'git']
export const TOOL_GLOBS = [...TOOLS, 'http_*', '*', 'fs.*', '*t', 'fs.????', '[!g]*']
export const SKILLS = ['web', 'web-2', 'files']
export const SKILL_GLOBS = [...SKILLS, 'web*', '*']
/** Role names; what each definition says is drawn with the policy. */
export const ROLES = ['reader', 'writer', 'admin', 'guest']

export const HOSTS = [
  'example.com',
  'api.example.com',
  'a.api.example.com',
  '*.example.com',
  '**.example.com',
  '*.api.example.com',
  '*',
  'localhost',
  '**.localhost.test',
  '10.0.0.0/8',
  '10.1.0.0/16',
  '10.1.2.3',
  '127.0.0.0/8',
  '127.0.0.1',
  '0.0.0.0/0',
  '169.254.169.254',
  '2001:db8::/32',
  '2001:db8::1',
  '64:ff9b::/96',
  '2002::/16',
  '::/0',
  '::1',
  '2000::/3',
]
export const PORTS = ['', '', '', ':443', ':8080', ':*']
export const SCHEMES = ['', '', '', 'https://', 'http://', 'wss://']
export const NAMES = [
  'example.com',
  'api.example.com',
  'a.api.example.com',
  'a.b.api.example.com',
  'evil.test',
  'notexample.com',
  'localhost',
  'x.localhost',
  'example.com.evil.test',
  'com',
]
export const ADDRESSES = [
  '10.0.0.1',
  '10.1.2.3',
  '10.1.255.255',
  '11.0.0.0',
  '127.0.0.1',
  '127.255.0.1',
  '0.0.0.0',
  '169.254.169.254',
  '::1',
  '::',
  '2001:db8::1',
  '2001:db9::',
  '64:ff9b::a01:203',
  '64:ff9b::7f00:1',
  '2002:a01:203::',
  '2002:7f00:1::5',
  '::ffff:10.1.2.3',
]

export const PATH_PATTERNS = [
  '/',
  '/**',
  '/srv',
  '/srv/**',
  '/srv/p',
  '/srv/p/**',
  '/srv/*',
  '/srv/*/log',
  '/srv/**/log',
  '/srv/p/*.txt',
  '/**/secret',
  '/**/secret/**',
  '/srv/p/**/a/**/b',
  '/srv/?/log',
  '/srv/[pq]/**',
  '/etc/**',
  '/srv/p/.env',
]
export const PATHS = [
  '/',
  '/srv',
  '/srv/p',
  '/srv/q',
  '/srv/p/log',
  '/srv/p/q/log',
  '/srv/p/x.txt',
  '/srv/p/.env',
  '/srv/p/secret',
  '/secret',
  '/srv/secret/deep/er',
  '/srv/p/a/b',
  '/srv/p/1/a/2/3/b',
  '/srv/p/a/a/b/b',
  '/etc/passwd',
  '/srvp',
  '/srv/pq',
]
export const ENV = ['LANG', 'HOME', 'AWS_SECRET_ACCESS_KEY']
export const POINTERS = ['/method', '/bytes', '/to', '/deep/er', '/list/1', '/a~1b', '/flag']
export const SCALARS = ['GET', 'POST', 'get', '', 'ab.c', 7, 0, -1.5, 100, true, false, null] as const
export const SCOPES = ['files.read', 'files.write', 'mail:send']
export const LABELS: Readonly<Record<string, readonly string[]>> = { team: ['blue', 'green', 'a b'], tier: ['1', '2'] }
export const LABEL_GLOBS: Readonly<Record<string, readonly string[]>> = {
  team: ['blue', 'gr*', '*', '? b'],
  tier: ['1', '[12]'],
}
export const METHODS = ['GET', 'HEAD', 'POST', 'DELETE']
export const FACTS = ['/age', '/owner/team', '/tags', '/trusted']
export const REGIONS = ['eu', 'us', 'lan']
export const ASKS = [
  { engine: 'opa', query: 'allow' },
  { engine: 'opa', query: 'allow more' },
  { engine: 'cedar', query: 'permit(x)' },
]
export const WINDOWS: readonly RawDuring[] = [
  { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00', zone: 'Europe/Berlin' },
  { days: ['fri', 'sun'], from: '22:00', to: '06:00' },
  { days: ['sat', 'sun'], zone: 'America/New_York' },
  { from: '00:00', to: '05:45', zone: 'Asia/Kathmandu' },
  { not_before: '2026-03-29T00:00:00Z' },
  { not_after: '2026-10-25T02:00:00+01:00', days: ['sun', 'mon'], zone: 'Europe/Berlin' },
]
export const TEXT_GLOBS = ['G*', '*', '?ET', 'p?st', '*.c', 'a*c', '[ab]*']
