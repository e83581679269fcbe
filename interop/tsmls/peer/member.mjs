// A member of one group: its KeyPackage, its state, and a commit that waits to be accepted.

import * as mls from "ts-mls"
import * as convert from "./convert.mjs"
import { begin, proposal } from "./proposal.mjs"
import { signatureKeys, suite } from "./suite.mjs"
import { renewed } from "./update.mjs"

const { bytes, hex } = convert

const resumed = (group, epoch) => `epoch ${epoch} of ${group}`

export class Member {
  static operations = ["keyPackage", "found", "join", "grow", "propose", "commit", "merge", "drop", "process", "encrypt", "know", "groupInfo", "view"]

  // create makes a client with a signature key of its own, or with keys where a certificate needs them. It understands the extension types
  // of supports; notBefore and notAfter, in seconds, are its packages' lifetime.
  static async create({ suite: id, credential, keys, supports = [], notBefore, notAfter }) {
    const m = new Member()
    m.suite = await suite(id)
    m.keys = keys ? { signKey: bytes(keys.private), publicKey: bytes(keys.public) } : await signatureKeys(m.suite)
    m.credential = credential.certificates
      ? { credentialType: "x509", certificates: credential.certificates.map(bytes) }
      : { credentialType: "basic", identity: bytes(credential.identity) }
    m.capabilities = mls.defaultCapabilities()
    m.capabilities.extensions.push(...supports)
    m.lifetime = { notBefore: BigInt(notBefore), notAfter: BigInt(notAfter) }
    m.psks = new Map()
    return m
  }

  async keyPackage() {
    this.package = await mls.generateKeyPackageWithKey(this.credential, this.capabilities, this.lifetime, [], this.keys, this.suite)
    return { keyPackage: convert.encodedKeyPackage(this.package.publicPackage) }
  }

  async found({ group, extensions }) {
    await this.keyPackage()
    const { publicPackage, privatePackage } = this.package
    this.state = await mls.createGroup(bytes(group), publicPackage, privatePackage, convert.extensions(extensions), this.suite)
  }

  // join enters a group; parent is this member of the group that it grew out of, if any.
  async join({ welcome, tree, parent }) {
    const m = convert.message(welcome)
    if (m.wireformat !== "mls_welcome") throw new Error("no Welcome")
    const { publicPackage, privatePackage } = this.package
    const given = tree ? convert.tree(tree) : undefined
    const psks = (parent ?? this).pskIndex()
    this.state = await mls.joinGroup(m.welcome, publicPackage, privatePackage, psks, this.suite, given, parent?.state)
  }

  // grow founds the group that takes the place of the parent's, or branches off it.
  async grow({ parent, usage, packages, ...rest }) {
    await this.keyPackage()
    const { publicPackage, privatePackage } = this.package
    const others = packages.map(convert.keyPackage)
    const { groupId, cipherSuite, extensions } = begin(rest)
    const r =
      usage === "branch"
        ? await mls.branchGroup(parent.state, publicPackage, privatePackage, others, groupId, this.suite)
        : await mls.reinitCreateNewGroup(parent.state, publicPackage, privatePackage, others, groupId, cipherSuite, extensions)
    this.advance(r)
    return { welcome: convert.encodedMessage("mls_welcome", { welcome: r.welcome }) }
  }

  // know makes a pre-shared key known to this member.
  know({ psk, resumption, secret }) {
    const id = psk ?? resumed(resumption.group, resumption.epoch)
    this.psks.set(id, bytes(secret))
  }

  // pskIndex finds what the group keeps by itself, and what this member was told.
  pskIndex() {
    const kept = mls.makePskIndex(this.state, {})
    const name = (id) => (id.psktype === "external" ? hex(id.pskId) : resumed(hex(id.pskGroupId), id.pskEpoch))
    return { findPsk: (id) => kept.findPsk(id) ?? this.psks.get(name(id)) }
  }

  async propose({ what, publicly = false, aad = "" }) {
    const asked = await proposal(this, what)
    const r = await mls.createProposal(this.state, publicly, asked, this.suite, bytes(aad))
    this.advance(r)
    const { wireformat, ...content } = r.message
    return { message: convert.encodedMessage(wireformat, content) }
  }

  // commit takes the proposals that wait, all of them, and those that are asked for. The new
  // state comes with merge.
  async commit({ proposals = [], publicly = false, treeInside = false, aad = "" }) {
    const extraProposals = []
    for (const p of proposals) extraProposals.push(await proposal(this, p))
    const r = await mls.createCommit(
      { state: this.state, pskIndex: this.pskIndex(), cipherSuite: this.suite },
      { extraProposals, wireAsPublicMessage: publicly, ratchetTreeExtension: treeInside, authenticatedData: bytes(aad) },
    )
    this.pending = r
    const { wireformat, ...content } = r.commit
    const reply = { message: convert.encodedMessage(wireformat, content) }
    if (r.welcome) reply.welcome = convert.encodedMessage("mls_welcome", { welcome: r.welcome })
    return reply
  }

  merge() {
    if (this.pending === undefined) throw new Error("no commit waits")
    this.advance(this.pending)
    this.pending = this.update = undefined
  }

  drop() {
    this.pending = undefined
  }

  // advance goes on to the state of a result and deletes the secrets that are used up.
  advance({ newState, consumed }) {
    this.state = newState
    consumed.forEach(mls.zeroOutUint8Array)
  }

  async process({ message }) {
    const m = convert.message(message)
    const epoch = this.state.groupContext.epoch
    const r = await renewed(this, (state) => this.open(state, m))
    this.advance(r)
    const aad = hex((m.privateMessage ?? m.publicMessage.content).authenticatedData)
    if (r.kind === "applicationMessage") return { kind: "application", data: hex(r.message), aad }
    const removed = this.state.groupActiveState.kind === "removedFromGroup"
    if (!removed && this.state.groupContext.epoch === epoch) return { kind: "proposal", aad }
    this.pending = undefined
    return { kind: "commit", removed, aad }
  }

  async open(state, m) {
    switch (m.wireformat) {
      case "mls_private_message":
        return mls.processPrivateMessage(state, m.privateMessage, this.pskIndex(), this.suite)
      case "mls_public_message":
        return mls.processPublicMessage(state, m.publicMessage, this.pskIndex(), this.suite)
    }
    throw new Error(`a message of kind ${m.wireformat}`)
  }

  async encrypt({ data, aad = "" }) {
    const r = await mls.createApplicationMessage(this.state, bytes(data), this.suite, bytes(aad))
    this.advance(r)
    return { message: convert.encodedMessage("mls_private_message", { privateMessage: r.privateMessage }) }
  }

  // groupInfo is one to join with from outside.
  async groupInfo() {
    const groupInfo = await mls.createGroupInfoWithExternalPubAndRatchetTree(this.state, [], this.suite)
    return { message: convert.encodedMessage("mls_group_info", { groupInfo }) }
  }

  // view is what all members of an epoch must see alike.
  async view({ label, context, length }) {
    const { groupContext, keySchedule, privatePath, ratchetTree } = this.state
    const exported = await mls.mlsExporter(keySchedule.exporterSecret, label, bytes(context), length, this.suite)
    return {
      epoch: Number(groupContext.epoch),
      leaf: privatePath.leafIndex,
      authenticator: hex(keySchedule.epochAuthenticator),
      exported: hex(exported),
      treeHash: hex(groupContext.treeHash),
      tree: convert.encodedTree(ratchetTree),
      extensions: convert.encodedExtensions(groupContext.extensions),
    }
  }
}
