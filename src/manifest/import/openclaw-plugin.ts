// An `openclaw.plugin.json` → a manifest. A plugin runs inside its host, and its file says what it registers, not what it
// may touch. Taken over: the names of its tools, and what it states of the MCP servers it starts or calls.

import { mustNotBeSet } from '../../core/breadth.ts'
import { parseDocument, type SourceText } from '../../core/document.ts'
import { formatHost, parseHost } from '../../core/host.ts'
import type { JsonObject, JsonValue } from '../../core/json.ts'
import { parsePath } from '../../core/path.ts'
import { isName, printable } from '../../core/text.ts'
import { defaultPort, parseUrl } from '../../core/url.ts'
import { type Imported, ImportNotes, isList, isObject, member, type Place } from './imported.ts'
import { readSkillName, type SkillImportOptions, takeVariable } from './skill-markdown.ts'
import { listOf, ToolList } from './tool-list.ts'

/**
 * Imports an openclaw.plugin.json, which is read as strict JSON: OpenClaw also takes comments and trailing commas.
 *
 * @throws TypeError when `source` is not a {@link SourceText}, or `options.skill` is not a name.
 */
export function importOpenClawPlugin(source: SourceText, options: SkillImportOptions = {}): Imported {
  if (options.skill !== undefined && !isName(options.skill)) throw new TypeError('options.skill is not a name')
  const parsed = parseDocument({ ...source, format: 'json' })
  if (!parsed.ok) return parsed
  const notes = new ImportNotes(parsed.document)
  const root = parsed.document.value
  if (!isObject(root)) {
    notes.refuse('wrong_type', [], 'not an object', { hint: 'give an openclaw.plugin.json' })
    return notes.finish({})
  }
  const skill = readSkillName(notes, member(root, 'id'), ['id'], options.skill)
  const version = notes.label('version', member(root, 'version'), ['version'])
  const description =
    notes.description(member(root, 'description'), ['description']) ?? notes.description(member(root, 'name'), ['name'])
  const tools = new ToolList(notes)
  const contracts = member(member(root, 'contracts'), 'tools')
  // Some plugins list tools beside the contract, with or without schemas.
  const [listed, at]: readonly [JsonValue | undefined, Place] = isList(contracts)
    ? [contracts, ['contracts', 'tools']]
    : [member(root, 'tools'), ['tools']]
  if (isList(listed)) tools.addAll(listed, at)
  else tellThatToolsAreMissing(notes)
  const servers = readServers(notes, member(root, 'mcpServers'))
  suggestVariables(notes, root)
  suggestHosts(notes, root)
  for (const [index, directory] of listOf(member(root, 'skills')).entries()) {
    const what = `import ${printable(String(directory), 200)}/**/SKILL.md too`
    notes.todo([], what, 'the plugin brings skills, and each has a manifest of its own', { at: ['skills', index] })
  }
  return notes.finish({
    skill,
    ...(version === undefined ? {} : { version }),
    ...(description === undefined ? {} : { description }),
    ...(tools.tools.length === 0 ? {} : { tools: tools.tools }),
    ...(servers.hosts.size === 0 ? {} : { allowed_hosts: [...servers.hosts] }),
    file_access: 'none',
    binary_access: servers.binaries.size === 0 ? 'none' : 'listed',
    ...(servers.binaries.size === 0 ? {} : { allowed_binaries: [...servers.binaries] }),
    ...(servers.env.size === 0 ? {} : { allowed_env: [...servers.env] }),
  })
}

function tellThatToolsAreMissing(notes: ImportNotes): void {
  const why = 'the source names none: it has no contracts.tools'
  notes.todo(['tools'], 'declare the tools that the plugin registers', why, { at: ['contracts'] })
}

interface Servers {
  readonly hosts: Set<string>
  readonly binaries: Set<string>
  readonly env: Set<string>
}

/** What the plugin states of each MCP server: a URL it calls, or a program it starts and the variables it gives it. */
function readServers(notes: ImportNotes, value: JsonValue | undefined): Servers {
  const found: Servers = { hosts: new Set(), binaries: new Set(), env: new Set() }
  if (!isObject(value)) return found
  for (const [name, server] of Object.entries(value)) {
    const at: Place = ['mcpServers', name]
    const url = member(server, 'url')
    if (typeof url === 'string') takeHost(notes, found.hosts, url, [...at, 'url'])
    const command = member(server, 'command')
    if (typeof command === 'string') takeProgram(notes, found.binaries, command, [...at, 'command'])
    const env = member(server, 'env')
    // Names alone. The values may be secrets, and are not looked at.
    for (const key of isObject(env) ? Object.keys(env) : []) takeVariable(notes, found.env, key, [...at, 'env', key])
    const why = 'its tools are known only when it runs'
    notes.todo(['tools'], `import tools/list of the MCP server ${printable(name, 80)}`, why, { at })
  }
  return found
}

function takeHost(notes: ImportNotes, hosts: Set<string>, url: string, at: Place): void {
  const host = hostOf(url)
  if (host === undefined) {
    const why = 'the source names a server by a URL that has no single reading'
    notes.todo(['allowed_hosts'], 'write the host of this server', why, { at })
  } else hosts.add(host)
}

/** The host pattern that covers exactly what a URL names. */
function hostOf(url: string): string | undefined {
  const parsed = parseUrl(url)
  if (!parsed.ok) return undefined
  const port = parsed.port === defaultPort(parsed.scheme) ? '' : `:${parsed.port}`
  return `${parsed.scheme}://${formatHost(parsed.host)}${port}`
}

function takeProgram(notes: ImportNotes, binaries: Set<string>, command: string, at: Place): void {
  const parsed = parsePath(command)
  // A wildcard is legal in a file name, and means something else to whoever reads the list.
  if (parsed.ok && parsed.path !== '/' && !/[*?[\]{}]/.test(command)) {
    binaries.add(parsed.path)
    return
  }
  const what = `write the absolute path of ${printable(command, 80)}, and binary_access: listed`
  const why = 'the source starts it by a name; which file that leads to depends on PATH'
  notes.todo(['allowed_binaries'], what, why, { at })
}

/** Variables from which a credential may come: any of them will do, so none of them is needed. */
function suggestVariables(notes: ImportNotes, root: JsonObject): void {
  const suggest = (names: JsonValue | undefined, at: Place): void => {
    for (const [index, name] of listOf(names).entries()) {
      if (typeof name !== 'string' || mustNotBeSet(name)) continue
      const why = 'the source says that it may come from there, not that it must'
      notes.todo(['allowed_env'], `list ${printable(name, 80)}, if it is used`, why, {
        at: [...at, index],
        suggestion: printable(name, 80),
      })
    }
  }
  for (const key of ['providerAuthEnvVars', 'channelEnvVars']) {
    const groups = member(root, key)
    if (isObject(groups)) for (const [id, names] of Object.entries(groups)) suggest(names, [key, id])
  }
  for (const [index, provider] of listOf(member(member(root, 'setup'), 'providers')).entries()) {
    suggest(member(provider, 'envVars'), ['setup', 'providers', index, 'envVars'])
  }
}

/** Defaults of options and endpoints of providers: likely destinations, but nothing says that the plugin goes there. */
function suggestHosts(notes: ImportNotes, root: JsonObject): void {
  const suggest = (host: string | undefined, at: Place, why: string): void => {
    if (host === undefined) return
    const shown = printable(host, 80)
    notes.todo(['allowed_hosts'], `list ${shown}, if the plugin calls it`, why, { at, suggestion: shown })
  }
  const properties = member(member(root, 'configSchema'), 'properties')
  for (const [key, schema] of Object.entries(isObject(properties) ? properties : {})) {
    const url = member(schema, 'default')
    const host = typeof url === 'string' ? hostOf(url) : undefined
    suggest(host, ['configSchema', 'properties', key, 'default'], 'it is the default of an option')
  }
  for (const [index, endpoint] of listOf(member(root, 'providerEndpoints')).entries()) {
    for (const [place, host] of listOf(member(endpoint, 'hosts')).entries()) {
      const parsed = typeof host === 'string' ? parseHost(host) : undefined
      const text = parsed?.ok === true ? formatHost(parsed.host) : undefined
      suggest(text, ['providerEndpoints', index, 'hosts', place], 'the source calls it an endpoint of a provider')
    }
  }
}
