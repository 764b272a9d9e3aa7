// What is never proposed, however often it was used: places where secrets live, and addresses that hand out credentials.
// A list of names and so never complete: it keeps the worst from slipping into a manifest that nobody reads closely.

import { parseHost } from '../../core/host.ts'
import { type Cidr, cidrHasIpv4, cidrHasIpv6, parseCidr } from '../../core/ip.ts'

/** Directories whose whole content is secret, by the name of any one segment. */
const DIRECTORIES: ReadonlySet<string> = new Set(
  '.ssh .aws .azure .gnupg .kube .docker .password-store .vault-token .mozilla .terraform.d secrets .secrets'.split(
    ' ',
  ),
)

const FILES: ReadonlySet<string> = new Set(
  (
    '.netrc _netrc .npmrc .yarnrc.yml .pypirc .git-credentials .pgpass .my.cnf .htpasswd .env .envrc .dockercfg ' +
    '.bash_history .zsh_history .python_history .node_repl_history .psql_history .mysql_history shadow shadow- gshadow ' +
    'gshadow- sudoers master.key credentials.json docker.sock containerd.sock krb5.keytab'
  ).split(' '),
)

const PATTERNS: readonly RegExp[] = [
  /\/\.env\.[^/]+$/,
  /\/id_(?:rsa|dsa|ecdsa|ed25519)[^/]*$/,
  /\.(?:key|p12|pfx|jks|keystore|kdbx|ppk)$/,
  /\/(?:privkey|private)[^/]*\.pem$/,
  /\/\.config\/(?:gcloud|gh|op|hub|rclone|doctl)(?:\/|$)/,
  /\/\.cargo\/credentials/,
  /\/(?:Login Data|Cookies|logins\.json|key4\.db)$/,
  /^\/etc\/(?:ssl\/private|sudoers\.d|krb5\.keytab|letsencrypt\/(?:live|archive|keys))(?:\/|$)/,
  /^\/proc\/[^/]+\/(?:environ|mem)$/,
  /^\/var\/(?:lib\/secrets|spool\/cron)(?:\/|$)/,
]

/** Whether `path` looks like a place where secrets are kept. Compared without regard to case. */
export function isSecretPath(path: string): boolean {
  const text = path.toLowerCase()
  const segments = text.split('/')
  if (segments.some((segment) => DIRECTORIES.has(segment)) || FILES.has(segments.at(-1) ?? '')) return true
  return PATTERNS.some((pattern) => pattern.test(path) || pattern.test(text))
}

/** A directory that is somebody's home: what it holds besides what was seen is not for a pattern to decide. */
export function isHome(path: string): boolean {
  return path === '/root' || /^\/(?:home|Users)(?:\/[^/]+)?$/.test(path)
}

// RFC 3927 and RFC 4291 §2.5.6 link-local, where clouds put their metadata services; AWS over IPv6; Alibaba.
const METADATA: readonly Cidr[] = ['169.254.0.0/16', 'fe80::/10', 'fd00:ec2::254', '100.100.100.200'].flatMap(
  (text) => {
    const parsed = parseCidr(text)
    return parsed.ok ? [parsed.cidr] : []
  },
)

/** Whether an address is one that gives credentials to whoever asks from the right machine. */
export function isMetadataAddress(address: string): boolean {
  const parsed = parseHost(address)
  if (!parsed.ok) return true
  const { host } = parsed
  if (host.kind === 'name') return host.text === 'metadata.google.internal'
  return METADATA.some((cidr) =>
    host.kind === 'ipv4' ? cidrHasIpv4(cidr, host.value) : cidrHasIpv6(cidr, host.groups),
  )
}
