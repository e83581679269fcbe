// Proposals as requests ask for them: an object with one field.

import { bytes, extensions, keyPackage } from "./convert.mjs"
import { newLeaf } from "./update.mjs"

export async function proposal(member, what) {
  if (what.add !== undefined) return { proposalType: "add", add: { keyPackage: keyPackage(what.add) } }
  if (what.remove !== undefined) return { proposalType: "remove", remove: { removed: what.remove } }
  if (what.update) return { proposalType: "update", update: { leafNode: await newLeaf(member) } }
  if (what.extensions !== undefined) {
    return { proposalType: "group_context_extensions", groupContextExtensions: { extensions: extensions(what.extensions) } }
  }
  if (what.psk !== undefined) {
    const pskNonce = member.suite.rng.randomBytes(member.suite.kdf.size)
    return { proposalType: "psk", psk: { preSharedKeyId: { psktype: "external", pskId: bytes(what.psk), pskNonce } } }
  }
  throw new Error("no proposal")
}
