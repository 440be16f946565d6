import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, mkdirSync, writeFileSync } from 'node:fs'
import http from 'node:http'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { allEnded, emulatorFor, folder, freePort, program, run, serve } from './support.mjs'

const isRoot = process.getuid() === 0

test('a pool of pg queries a real PostgreSQL', async (t) => {
  const emulator = await emulatorFor(t)
  const place = folder(t)
  // The server refuses to run as root.
  const options = { cwd: place }
  if (isRoot) {
    const id = (flag) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
    Object.assign(options, { uid: id('-u'), gid: id('-g') })
    chownSync(place, options.uid, options.gid)
  }
  const data = join(place, 'data')
  const init = ['-D', data, '-U', 'tester', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync']
  execFileSync(program('initdb'), init, { ...options, stdio: 'pipe' })
  const port = await freePort()
  const server = ['-D', data, '-h', '127.0.0.1', '-p', port, '-k', place, '-c', 'fsync=off'].map(String)
  await serve(t, 'postgres', server, port, { ...options, signal: 'SIGINT' })

  const sql = "SELECT count(*)::int, md5(string_agg(n::text, ',')) FROM generate_series(1, 200000) n"
  const { code, stdout, stderr } = await run(emulator, 'postgres.mjs', 'local', `${port}`, 'tester', 'postgres', sql)
  assert.deepEqual([code, stderr], [0, ''])
  const [row] = JSON.parse(stdout)
  assert.equal(row.count, 200000)
  assert.match(row.md5, /^[0-9a-f]{32}$/)
  await allEnded(emulator)

  const wrong = await run(emulator, 'postgres.mjs', 'local', `${port}`, 'tester', 'postgres', 'SELECT nothing')
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /column "nothing" does not exist/)
})

test('ssh2 runs a command at a real sshd', async (t) => {
  const emulator = await emulatorFor(t)
  const [place, port] = [folder(t), await freePort()]
  for (const key of ['host', 'user']) {
    execFileSync(program('ssh-keygen'), ['-q', '-t', 'ed25519', '-N', '', '-f', join(place, key)])
  }
  if (isRoot) {
    mkdirSync('/run/sshd', { recursive: true, mode: 0o755 })
  }
  const config = join(place, 'sshd_config')
  // What the user's own shell reads when it starts could write something, too.
  writeFileSync(
    config,
    `ListenAddress 127.0.0.1
     HostKey ${place}/host
     PidFile none
     UsePAM no
     StrictModes no
     PermitRootLogin prohibit-password
     PasswordAuthentication no
     AuthorizedKeysFile ${place}/user.pub
     SetEnv HOME=${place}
    `,
  )
  await serve(t, 'sshd', ['-D', '-e', '-f', config, '-p', `${port}`], port)

  const login = ['local', `${port}`, userInfo().username, join(place, 'user')]
  const ended = await run(emulator, 'ssh.mjs', ...login, 'echo out; echo err >&2; exit 7')
  assert.deepEqual(ended, { code: 7, stdout: 'out\n', stderr: 'err\n' })
  const long = await run(emulator, 'ssh.mjs', ...login, 'seq 200000')
  assert.equal(long.code, 0)
  assert.equal(long.stdout, Array.from({ length: 200000 }, (_, at) => `${at + 1}\n`).join(''))
  await allEnded(emulator)
})

test('an http.Agent shares a few connections among many requests', async (t) => {
  const emulator = await emulatorFor(t)
  const page = (path) => `page ${path} `.repeat(20_000)
  const clients = new Set()
  const server = http.createServer((request, response) => {
    clients.add(request.socket)
    response.end(page(request.url))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const paths = Array.from({ length: 20 }, (_, at) => `/${at}`)
  const { port } = server.address()
  const { code, stdout, stderr } = await run(emulator, 'http.mjs', 'local', `${port}`, ...paths)
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(stdout, paths.map((path) => `200 ${page(path)}\n`).join(''))
  assert.ok(clients.size <= 4, `${clients.size} connections`)
  await allEnded(emulator)
})
