// What the egress proxy tells of itself: the closed list of reasons it refuses for, what each becomes on the wire, and the
// facts it reports. Nothing a client or a server sent is in any of these texts, but for a host in canonical form.

/** Every reason to refuse, with the status an HTTP client gets and the line it reads. */
export const EGRESS_DENIALS = {
  host_not_granted: { status: 403, text: 'No grant covers this host and port.' },
  host_forbidden: { status: 403, text: 'A rule forbids this host and port.' },
  address_not_allowed: { status: 403, text: 'The host is at an address that no grant names.' },
  sni_mismatch: { status: 403, text: 'The TLS client hello does not name the host of the connection.' },
  host_mismatch: { status: 421, text: 'Host does not name the host of the connection.' },
  protocol_not_granted: { status: 403, text: 'The grant is for another protocol than the one spoken.' },
  malformed_request: { status: 400, text: 'The request has no single meaning.' },
  request_too_large: { status: 431, text: 'The request head is too large.' },
  version_not_supported: { status: 505, text: 'Only HTTP/1.1 and HTTP/1.0 are spoken here.' },
  method_not_allowed: { status: 405, text: 'The method is not allowed.' },
  upgrade_refused: { status: 403, text: 'A connection is not turned into another protocol.' },
  unauthenticated: { status: 407, text: 'The proxy needs its credential.' },
  unresolvable: { status: 502, text: 'The name has no address.' },
  upstream_failed: { status: 502, text: 'The server cannot be reached or does not answer properly.' },
  timeout: { status: 408, text: 'It took too long.' },
  limit: { status: 503, text: 'A limit of the proxy is reached.' },
  unrecorded: { status: 503, text: 'The connection cannot be recorded.' },
  revoked: { status: 503, text: 'Egress was revoked.' },
} as const

export type EgressDenialCode = keyof typeof EGRESS_DENIALS

/** How a client asked. */
export type EgressProtocol = 'http' | 'connect' | 'socks5' | 'dns' | 'transparent'

/** `host` is canonical, or empty where the client named none that can be read; `port` is 0 then. */
export type EgressFact =
  | {
      readonly type: 'egress_allowed'
      readonly protocol: EgressProtocol
      readonly host: string
      readonly port: number
      /** The rule that grants it. */
      readonly rule: string
      readonly method?: string
    }
  | {
      readonly type: 'egress_denied'
      readonly protocol: EgressProtocol
      readonly host: string
      readonly port: number
      readonly reason: EgressDenialCode
      /** The rule that forbids it. */
      readonly rule?: string
      readonly method?: string
    }
  /** An allowed connection is over. Bytes are those of the client's socket. */
  | {
      readonly type: 'egress_closed'
      readonly protocol: EgressProtocol
      readonly host: string
      readonly port: number
      readonly cause: 'ended' | 'revoked' | 'timeout'
      readonly sent: number
      readonly received: number
    }
