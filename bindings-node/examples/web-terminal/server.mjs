// A terminal in the browser whose shell runs on a managed node: node web-terminal/server.mjs TARGET [PORT]
//
// One websocket is one shell: binary messages are what is typed and shown, a text message is a new size.

import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import { fileURLToPath } from 'node:url'
import { Client } from 'ssmwire'
import { WebSocketServer } from 'ws'

const local = (path) => fileURLToPath(new URL(path, import.meta.url))
const installed = (name) => fileURLToPath(import.meta.resolve(name))
const FILES = {
  '/': ['text/html; charset=utf-8', local('page.html')],
  '/page.mjs': ['text/javascript', local('page.mjs')],
  '/xterm.mjs': ['text/javascript', installed('@xterm/xterm/lib/xterm.mjs')],
  '/addon-fit.mjs': ['text/javascript', installed('@xterm/addon-fit/lib/addon-fit.mjs')],
  '/xterm.css': ['text/css', installed('@xterm/xterm/css/xterm.css')],
}

const [target, port = '0'] = process.argv.slice(2)
const client = new Client()
const server = http.createServer(async ({ url }, response) => {
  const [type, path] = FILES[new URL(url, 'http://localhost').pathname] ?? []
  if (!path) {
    response.writeHead(404).end()
    return
  }
  response.writeHead(200, { 'content-type': type }).end(await readFile(path))
})

// Any page that the browser shows could open a websocket to here, so only our own may.
const isOurs = ({ origin, req }) => {
  const { port } = server.address()
  return [`http://127.0.0.1:${port}`, `http://localhost:${port}`].includes(origin) && origin.endsWith(req.headers.host)
}

async function serve(socket, request) {
  const { searchParams } = new URL(request.url, 'http://localhost')
  const [columns, rows] = ['columns', 'rows'].map((name) => Number(searchParams.get(name)))
  // A browser that goes away while the shell opens, or later, takes it along.
  const gone = new AbortController()
  socket.on('close', () => gone.abort())
  socket.on('error', () => gone.abort())
  // What is typed meanwhile waits in the socket.
  socket.pause()
  const shell = await client.shell(target, { columns, rows, signal: gone.signal })
  try {
    socket.on('message', (message, isBinary) => {
      if (!isBinary) {
        const { columns, rows } = JSON.parse(message)
        shell.resize(columns, rows)
      } else if (!shell.write(message)) {
        socket.pause()
        shell.once('drain', () => socket.resume())
      }
    })
    socket.resume()
    // A message counts as sent when the browser takes more, so a slow one slows the shell down, and nothing piles up.
    for await (const shown of shell) {
      await new Promise((resolve, reject) => socket.send(shown, (error) => (error ? reject(error) : resolve())))
    }
    socket.close(1000)
  } finally {
    await shell.close()
  }
}

new WebSocketServer({ server, path: '/shell', verifyClient: isOurs }).on('connection', (socket, request) => {
  serve(socket, request).catch((error) => {
    if (socket.readyState === socket.OPEN) {
      socket.close(1011, error.message.slice(0, 100))
    }
  })
})

server.listen(Number(port), '127.0.0.1')
await once(server, 'listening')
console.log(`http://127.0.0.1:${server.address().port}/`)
