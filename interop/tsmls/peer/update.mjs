// Update proposals, which ts-mls takes from others and does not make: a leaf with a new key,
// whose private half begins to count when a commit takes the proposal up.

import { signLeafNodeCommit } from "ts-mls/leafNode.js"
import { updateLeafKey } from "ts-mls/privateKeyPath.js"

const nodeOf = (leafIndex) => 2 * leafIndex

function ownLeaf(state) {
  return state.ratchetTree[nodeOf(state.privatePath.leafIndex)]?.leaf
}

// newLeaf makes the leaf of an Update and keeps its key with the member.
export async function newLeaf(member) {
  const { hpke, signature } = member.suite
  const { privateKey, publicKey } = await hpke.generateKeyPair()
  const { credential, capabilities, extensions, signaturePublicKey } = ownLeaf(member.state)
  const hpkePublicKey = await hpke.exportPublicKey(publicKey)
  member.update = { privateKey: await hpke.exportPrivateKey(privateKey), hpkePublicKey }
  const unsigned = { leafNodeSource: "update", hpkePublicKey, signaturePublicKey, credential, capabilities, extensions }
  const where = { groupId: member.state.groupContext.groupId, leafIndex: member.state.privatePath.leafIndex }
  const signed = await signLeafNodeCommit({ ...unsigned, ...where }, member.state.signaturePrivateKey, signature)
  return { ...unsigned, signature: signed.signature }
}

// renewed runs process on the state with the waiting Update's key, and takes what comes out
// if a commit has brought that leaf into the tree. Otherwise it runs it on the state as it is.
export async function renewed(member, process) {
  const { state, update } = member
  if (update !== undefined) {
    const r = await process({ ...state, privatePath: updateLeafKey(state.privatePath, update.privateKey) }).catch(() => undefined)
    const leaf = r && ownLeaf(r.newState)
    if (leaf && Buffer.compare(leaf.hpkePublicKey, update.hpkePublicKey) === 0) {
      member.update = undefined
      return r
    }
  }
  const r = await process(state)
  if (r.newState.groupContext.epoch !== state.groupContext.epoch) member.update = undefined
  return r
}
