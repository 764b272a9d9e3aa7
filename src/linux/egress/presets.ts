// Environment variables that send common programs to the egress proxy. They only save a program from failing: one that does
// not heed them is caught by name or refused by the kernel.

import { AgentPortError } from '../../core/errors.ts'
import { parseUrl } from '../../core/url.ts'

export interface EgressEnvironmentOptions {
  /** Sent to the proxy by every program; it is the credential of this box alone. */
  readonly credential?: { readonly user: string; readonly password: string }
}

// Which program reads which, as their manuals have it.
const HTTP_PROXY: readonly string[] = [
  // curl (http: lower case only, since HTTP_PROXY can be a header of a CGI request), wget, git, Python urllib, requests
  // and httpx, Go net/http, Ruby, Deno, Bun, apt, cargo; and Node from 22.21 and 24.5 on with NODE_USE_ENV_PROXY.
  'http_proxy',
  'https_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  // npm, and pnpm and yarn 1, whose configuration files may name another proxy.
  'npm_config_proxy',
  'npm_config_https_proxy',
  // yarn 2 and later.
  'YARN_HTTP_PROXY',
  'YARN_HTTPS_PROXY',
  // pip, above its configuration files.
  'PIP_PROXY',
  // cargo, for its registry.
  'CARGO_HTTP_PROXY',
]

// curl, git and httpx for every other protocol. The h leaves the name to the proxy.
const SOCKS_PROXY: readonly string[] = ['ALL_PROXY', 'all_proxy']

// Present and empty: nothing is reached without the proxy, and a value of the caller's own is not kept.
const NO_PROXY: readonly string[] = ['NO_PROXY', 'no_proxy', 'npm_config_noproxy']

/**
 * Variables for a process in a box whose proxy is at `proxyUrl`, e.g. `http://127.0.0.1:3128`. Java reads none of them; it
 * is caught by name.
 *
 * @throws AgentPortError ERR_CONFIG_INVALID when it is not an http URL of a host and port alone, or the credential is not
 *   1 to 255 bytes of printable ASCII without a colon.
 */
export function egressEnvironment(
  proxyUrl: string,
  options: EgressEnvironmentOptions = {},
): Readonly<Record<string, string>> {
  const url = parseUrl(proxyUrl)
  if (!url.ok || url.scheme !== 'http' || new URL(url.href).pathname !== '/' || url.href.includes('?')) {
    throw new AgentPortError('ERR_CONFIG_INVALID', 'The proxy is not at an http URL of a host and port.')
  }
  const { credential } = options
  const user = credential === undefined ? '' : `${encoded(credential.user)}:${encoded(credential.password)}@`
  const authority = `${url.host.kind === 'ipv6' ? `[${url.host.text}]` : url.host.text}:${url.port}`
  const variables: Record<string, string> = { NODE_USE_ENV_PROXY: '1' }
  for (const name of HTTP_PROXY) variables[name] = `http://${user}${authority}`
  for (const name of SOCKS_PROXY) variables[name] = `socks5h://${user}${authority}`
  for (const name of NO_PROXY) variables[name] = ''
  return Object.freeze(variables)
}

const PART = /^[!-9;-~]+$/

/** Whether both protocols can carry the text: Basic ends the user at a colon, RFC 1929 has one byte for a length. */
export function isCredentialPart(text: string): boolean {
  return text.length <= 255 && PART.test(text)
}

function encoded(text: string): string {
  if (!isCredentialPart(text)) {
    throw new AgentPortError(
      'ERR_CONFIG_INVALID',
      'A proxy credential is 1 to 255 printable ASCII characters, no colon.',
    )
  }
  return encodeURIComponent(text)
}
