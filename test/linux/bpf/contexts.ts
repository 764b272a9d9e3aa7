// What the kernel hands to a control group program, as bytes: struct bpf_sock_addr and struct bpf_sock of linux/bpf.h.

export interface Attempt {
  readonly protocol: number
  readonly port: number
  /** A uint32, or eight groups. */
  readonly address: number | readonly number[]
}

export function sockAddr({ protocol, port, address }: Attempt): Uint8Array {
  const bytes = new Uint8Array(72)
  const view = new DataView(bytes.buffer)
  if (typeof address === 'number') view.setUint32(4, address)
  else {
    address.forEach((group, index) => {
      view.setUint16(8 + index * 2, group)
    })
  }
  view.setUint16(24, port)
  view.setUint32(36, protocol, true)
  return bytes
}

export function sock(family: number, type: number, protocol: number): Uint8Array {
  const bytes = new Uint8Array(80)
  const view = new DataView(bytes.buffer)
  view.setUint32(4, family, true)
  view.setUint32(8, type, true)
  view.setUint32(12, protocol, true)
  return bytes
}
