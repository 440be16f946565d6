// Logs in over SSH without an open port, and runs a command: node ssh.mjs TARGET PORT USER KEYFILE COMMAND…
//
// Its exit code is the command's.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import ssh2 from 'ssh2'
import { Client } from 'ssmwire'

const [target, port, username, keyFile, ...command] = process.argv.slice(2)

const client = new Client()
const ssh = new ssh2.Client()
try {
  const sock = await client.dial(target, { port: Number(port), documentName: 'AWS-StartSSHSession' })
  ssh.connect({ sock, username, privateKey: await readFile(keyFile) })
  await once(ssh, 'ready')
  const channel = await new Promise((resolve, reject) => {
    ssh.exec(command.join(' '), (error, channel) => (error ? reject(error) : resolve(channel)))
  })
  channel.pipe(process.stdout)
  channel.stderr.pipe(process.stderr)
  const [code] = await once(channel, 'close')
  process.exitCode = code
} finally {
  ssh.end()
  await client.close()
}
