// The credential a client of the proxy has to show. Comparing takes the same time wherever a guess goes wrong.

import { createHash, timingSafeEqual } from 'node:crypto'

import type { HeaderField } from './http-head.ts'
import { isCredentialPart } from './presets.ts'

export class ProxyCredential {
  readonly #user: Uint8Array
  readonly #password: Uint8Array
  readonly #basic: Uint8Array

  /** Throws `TypeError` unless both are 1 to 255 printable ASCII characters without a colon. */
  constructor({ user, password }: { readonly user: string; readonly password: string }) {
    if (!isCredentialPart(user) || !isCredentialPart(password)) {
      throw new TypeError('a proxy credential is 1 to 255 printable ASCII characters, no colon')
    }
    this.#user = digest(user)
    this.#password = digest(password)
    this.#basic = digest(Buffer.from(`${user}:${password}`).toString('base64'))
  }

  accepts(user: Uint8Array, password: Uint8Array): boolean {
    // Both are compared, whatever the first says.
    const users = timingSafeEqual(digest(user), this.#user)
    const passwords = timingSafeEqual(digest(password), this.#password)
    return users && passwords
  }

  /** Proxy-Authorization, exactly one, of the scheme Basic (RFC 7617). */
  acceptsHeader(fields: readonly HeaderField[]): boolean {
    const [field, ...others] = fields.filter(({ key }) => key === 'proxy-authorization')
    const match = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(field?.value ?? '')
    return timingSafeEqual(digest(match?.[1] ?? ''), this.#basic) && others.length === 0
  }
}

function digest(value: string | Uint8Array): Uint8Array {
  return createHash('sha256').update(value).digest()
}
