// Requests come in on stdin, one JSON object a line, answers go out on stdout in their order.
// A request names an operation and, but for "suites", the member that acts; byte strings are
// hexadecimal. Nothing else is written to stdout. The end of stdin ends the process.

import { createInterface } from "node:readline"
import { Member } from "./member.mjs"
import { suites } from "./suite.mjs"

const members = new Map()

async function answer(request) {
  const { op, as, ...rest } = request
  if (op === "suites") return { suites: await suites() }
  if (op === "member") {
    members.set(as, await Member.create(rest))
    return {}
  }
  const member = members.get(as)
  if (member === undefined) throw new Error(`no member ${as}`)
  if (rest.parent !== undefined) rest.parent = members.get(rest.parent)
  if (!Member.operations.includes(op)) throw new Error(`no operation ${op}`)
  return (await member[op](rest)) ?? {}
}

for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  let reply
  try {
    reply = await answer(JSON.parse(line))
  } catch (e) {
    reply = { error: `${e.name}: ${e.message}` }
  }
  process.stdout.write(JSON.stringify(reply) + "\n")
}
