// Between what travels in requests and the values of ts-mls.

import { decodeMlsMessage, encodeMlsMessage } from "ts-mls"
import { decodeRatchetTree, encodeRatchetTree } from "ts-mls/ratchetTree.js"
import { extensionTypeToNumber } from "ts-mls/extension.js"
import { defaultExtensionTypes } from "ts-mls"

export const hex = (bytes) => Buffer.from(bytes).toString("hex")

export const bytes = (text) => {
  if (typeof text !== "string" || !/^([0-9a-f]{2})*$/.test(text)) throw new Error("not hexadecimal")
  return new Uint8Array(Buffer.from(text, "hex"))
}

// whole decodes with a decoder of ts-mls and wants nothing left over.
function whole(decode, encoded, what) {
  const decoded = decode(encoded, 0)
  if (decoded === undefined || decoded[1] !== encoded.length) throw new Error(`no ${what}`)
  return decoded[0]
}

export const message = (text) => whole(decodeMlsMessage, bytes(text), "MLSMessage")

export const tree = (text) => whole(decodeRatchetTree, bytes(text), "ratchet tree")

export const encodedTree = (t) => hex(encodeRatchetTree(t))

export const encodedMessage = (wireformat, content) => hex(encodeMlsMessage({ version: "mls10", wireformat, ...content }))

// A KeyPackage travels without the four bytes of version and wire format around it.
const keyPackageHeader = "00010005"

export function keyPackage(text) {
  const m = message(keyPackageHeader + text)
  if (m.wireformat !== "mls_key_package") throw new Error("no KeyPackage")
  return m.keyPackage
}

export const encodedKeyPackage = (kp) => encodedMessage("mls_key_package", { keyPackage: kp }).slice(keyPackageHeader.length)

const extensionNames = new Map(Object.entries(defaultExtensionTypes).map(([name, id]) => [id, name]))

export const extensions = (list = []) =>
  list.map(({ type, data }) => ({ extensionType: extensionNames.get(type) ?? type, extensionData: bytes(data) }))

export const encodedExtensions = (list) =>
  list.map((e) => ({ type: extensionTypeToNumber(e.extensionType), data: hex(e.extensionData) }))
