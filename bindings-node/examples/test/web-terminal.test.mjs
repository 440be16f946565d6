import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { chromium } from 'playwright-core'
import { WebSocket } from 'ws'
import { allEnded, emulatorFor, program, start, until } from './support.mjs'

const ARTIFACTS = fileURLToPath(new URL('artifacts/', import.meta.url))

/** Starts the example, and returns where it serves. */
async function server(t, emulator) {
  const child = start(emulator, 'web-terminal/server.mjs', 'local')
  t.after(async () => {
    child.kill()
    await once(child, 'exit')
  })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said += text
  })
  const [line] = await Promise.race([once(child.stdout.setEncoding('utf8'), 'data'), once(child, 'exit')])
  assert.match(String(line), /^http:/, said)
  return line.trim()
}

/** Opens the page in a browser. */
async function browse(t, url) {
  const browser = await chromium.launch({ executablePath: program('chromium'), args: ['--no-sandbox'] })
  t.after(() => browser.close())
  const page = await browser.newPage({ viewport: { width: 900, height: 500 } })
  const problems = []
  page.on('pageerror', (error) => problems.push(error.message))
  await page.goto(url)
  // biome-ignore lint/performance/useDomNodeTextContent: the terminal's rows are lines
  const shown = async () => (await page.locator('.xterm-rows').innerText()).replaceAll('\u00a0', ' ')
  const shows = (pattern) => until(async () => pattern.test(await shown()), `the terminal shows ${pattern}`)
  const type = async (line) => {
    await page.keyboard.type(line)
    await page.keyboard.press('Enter')
  }
  return { page, problems, shown, shows, type }
}

test('a browser has a shell that answers, is resized and ends', async (t) => {
  const emulator = await emulatorFor(t)
  const { page, problems, shown, shows, type } = await browse(t, await server(t, emulator))
  await shows(/[#$]/)
  await type('echo $((6 * 7)) is it')
  await shows(/^42 is it/m)

  const size = async (mark) => {
    await type(`echo ${mark}-$(stty size | tr ' ' x)`)
    const pattern = new RegExp(`^${mark}-(\\d+)x(\\d+)`, 'm')
    await shows(pattern)
    return pattern
      .exec(await shown())
      .slice(1)
      .map(Number)
  }
  const [rows, columns] = await size('before')
  await page.setViewportSize({ width: 1300, height: 800 })
  let [tall, wide] = [rows, columns]
  await until(async () => {
    ;[tall, wide] = await size(`after${Date.now()}`)
    return tall !== rows
  }, 'the far terminal has another size')
  assert.ok(tall > rows && wide > columns, `${rows}x${columns}, then ${tall}x${wide}`)
  assert.equal(await page.locator('.xterm-rows > div').count(), tall)

  await type("printf '\\033[32m%s\\033[0m\\n' 'green, from the far side'")
  await shows(/^green, from the far side/m)
  mkdirSync(ARTIFACTS, { recursive: true })
  await page.screenshot({ path: `${ARTIFACTS}web-terminal.png` })

  await type('exit')
  await shows(/\[The session is over\.\]/)
  assert.deepEqual(problems, [])
  await allEnded(emulator)
})

test('much output reaches the browser whole, and a closed page ends its session', async (t) => {
  const emulator = await emulatorFor(t)
  const { page, shows, type } = await browse(t, await server(t, emulator))
  await shows(/[#$]/)
  await type('seq 60000; echo the-$((1 + 1))nd')
  await shows(/^59999\n60000\nthe-2nd/m)
  assert.equal(emulator.sessions().filter((session) => !session.hasEnded).length, 1)
  await page.close()
  await allEnded(emulator)
})

test('another page may not open a shell', async (t) => {
  const emulator = await emulatorFor(t)
  const url = await server(t, emulator)
  const socket = new WebSocket(`${url.replace('http', 'ws')}shell?columns=80&rows=24`, {
    origin: 'http://elsewhere.example',
  })
  const [error] = await once(socket, 'error')
  assert.match(error.message, /401/)
  assert.equal(emulator.sessions().length, 0)
})
