// The cipher suites of ts-mls by their numbers.

import { p256, p384, p521 } from "@noble/curves/nist.js"
import { ciphersuites, getCiphersuiteFromName, getCiphersuiteImpl } from "ts-mls"

const names = new Map(Object.entries(ciphersuites).map(([name, id]) => [id, name]))

export function suiteName(id) {
  const name = names.get(id)
  if (name === undefined) throw new Error(`no suite ${id}`)
  return name
}

export const suite = (id) => getCiphersuiteImpl(getCiphersuiteFromName(suiteName(id)))

const curves = { P256: p256, P384: p384, P521: p521 }

// signatureKeys makes a key pair. The public keys of ECDSA that ts-mls makes are compressed
// points; RFC 9420 section 5.1.1 has uncompressed ones, which ts-mls reads as well.
export async function signatureKeys(s) {
  const keys = await s.signature.keygen()
  const curve = curves[getCiphersuiteFromName(s.name).signature]
  if (curve !== undefined) keys.publicKey = curve.getPublicKey(keys.signKey, false)
  return keys
}

// suites lists those whose libraries are installed and work with this version of Node.
export async function suites() {
  const working = []
  for (const [id, name] of names) {
    try {
      const s = await suite(id)
      await s.signature.keygen()
      await s.hpke.generateKeyPair()
      working.push({ id, name })
    } catch {
      // One that is not there is not offered.
    }
  }
  return working
}
