// hypercore, told what to do by lines of JSON on standard input, answering each with one line.
//
//   {"append": 1000, "count": 30, "root": false}   append 30 times 1,000 random entries of 200 bytes   {"seconds": …}
//   {"prove": 500}                                  prove that many random entries                      {"seconds": [ … ]}
//
// node driver.mjs FOLDER durable|shipped
//
// As it ships, hypercore hands what was appended to RocksDB, whose write-ahead log goes to the operating system but is
// not flushed to the disk; rocksdb-native does not offer RocksDB's `sync` for writes. `durable` does what `sync` would:
// it flushes that log after each append.
import crypto from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import readline from 'node:readline'
import Hypercore from 'hypercore'

const [folder, mode] = process.argv.slice(2)
const core = new Hypercore(folder)
await core.ready()
const database = path.join(folder, 'db')

function flush () {
  for (const name of fs.readdirSync(database).filter(name => name.endsWith('.log'))) {
    const file = fs.openSync(path.join(database, name), 'r')
    fs.fdatasyncSync(file)
    fs.closeSync(file)
  }
}

async function append ({ append: size, count, root }) {
  const pushes = Array.from({ length: count }, () => Array.from({ length: size }, () => crypto.randomBytes(200)))
  const began = process.hrtime.bigint()
  for (const push of pushes) {
    await core.append(push)
    if (mode === 'durable') flush()
    if (root) await core.treeHash()
  }
  return { seconds: since(began) }
}

async function prove ({ prove: count }) {
  const seconds = []
  const length = core.length
  for (let n = 0; n < count; n++) {
    const index = crypto.randomInt(length)
    const began = process.hrtime.bigint()
    await core.proof({ block: { index, nodes: 0 }, upgrade: { start: 0, length } })
    seconds.push(since(began))
  }
  return { seconds }
}

function since (began) {
  return Number(process.hrtime.bigint() - began) / 1e9
}

console.log(JSON.stringify({ ready: true }))
for await (const line of readline.createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line)
  console.log(JSON.stringify(await ('append' in asked ? append(asked) : prove(asked))))
}
await core.close()
