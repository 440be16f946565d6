import { FitAddon } from '/addon-fit.mjs'
import { Terminal } from '/xterm.mjs'

const terminal = new Terminal()
const fit = new FitAddon()
terminal.loadAddon(fit)
terminal.open(document.getElementById('terminal'))
fit.fit()

const size = new URLSearchParams({ columns: terminal.cols, rows: terminal.rows })
const socket = new WebSocket(`ws://${location.host}/shell?${size}`)
socket.binaryType = 'arraybuffer'
socket.onmessage = ({ data }) => terminal.write(new Uint8Array(data))
socket.onclose = ({ reason }) => terminal.write(`\r\n[${reason || 'The session is over.'}]\r\n`)
socket.onopen = () => {
  const encoder = new TextEncoder()
  terminal.onData((typed) => socket.send(encoder.encode(typed)))
  terminal.onBinary((typed) => socket.send(Uint8Array.from(typed, (byte) => byte.charCodeAt(0))))
  terminal.onResize(({ cols, rows }) => socket.send(JSON.stringify({ columns: cols, rows })))
  // The size may have changed since.
  terminal.resize(terminal.cols, terminal.rows)
  new ResizeObserver(() => fit.fit()).observe(document.getElementById('terminal'))
  terminal.focus()
}
