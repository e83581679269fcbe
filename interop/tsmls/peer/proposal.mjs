// Proposals as requests ask for them: an object with one field.

import { bytes, extensions, keyPackage } from "./convert.mjs"
import { suiteName } from "./suite.mjs"
import { newLeaf } from "./update.mjs"

// begin is how a group begins that takes another's place.
export const begin = ({ group, suite, extensions: list }) => ({
  groupId: bytes(group),
  version: "mls10",
  cipherSuite: suiteName(suite),
  extensions: extensions(list),
})

export async function proposal(member, what) {
  if (what.add !== undefined) return { proposalType: "add", add: { keyPackage: keyPackage(what.add) } }
  if (what.remove !== undefined) return { proposalType: "remove", remove: { removed: what.remove } }
  if (what.update) return { proposalType: "update", update: { leafNode: await newLeaf(member) } }
  if (what.extensions !== undefined) {
    return { proposalType: "group_context_extensions", groupContextExtensions: { extensions: extensions(what.extensions) } }
  }
  if (what.reInit !== undefined) return { proposalType: "reinit", reinit: begin(what.reInit) }
  const pskNonce = member.suite.rng.randomBytes(member.suite.kdf.size)
  if (what.psk !== undefined) {
    return { proposalType: "psk", psk: { preSharedKeyId: { psktype: "external", pskId: bytes(what.psk), pskNonce } } }
  }
  if (what.resumption !== undefined) {
    const { group, epoch } = what.resumption
    const id = { psktype: "resumption", usage: "application", pskGroupId: bytes(group), pskEpoch: BigInt(epoch), pskNonce }
    return { proposalType: "psk", psk: { preSharedKeyId: id } }
  }
  throw new Error("no proposal")
}
