// Gets pages of a web server that only the target reaches: node http.mjs TARGET [HOST:]PORT PATH…
//
// The agent keeps its connections, so the pages share a few of them.

import http from 'node:http'
import { Client } from 'ssmwire'

class TargetAgent extends http.Agent {
  constructor(client, target, options) {
    super({ keepAlive: true, maxSockets: 4, ...options })
    this.client = client
    this.target = target
  }

  createConnection({ host, port }) {
    const isTarget = host === 'localhost'
    return this.client.socket(this.target, { port: Number(port), host: isTarget ? undefined : host })
  }
}

function get(url, agent) {
  return new Promise((resolve, reject) => {
    const request = http.get(url, { agent, timeout: 30_000 }, async (response) => {
      let text = ''
      for await (const piece of response.setEncoding('utf8')) {
        text += piece
      }
      resolve({ status: response.statusCode, text })
    })
    request.on('timeout', () => request.destroy(new Error(`${url} says nothing`)))
    request.on('error', reject)
  })
}

const [target, address, ...paths] = process.argv.slice(2)
const [port, host = 'localhost'] = address.split(':').reverse()

const client = new Client()
const agent = new TargetAgent(client, target)
try {
  const pages = await Promise.all(paths.map((path) => get(`http://${host}:${port}${path}`, agent)))
  for (const { status, text } of pages) {
    console.log(status, text)
  }
} finally {
  agent.destroy()
  await client.close()
}
