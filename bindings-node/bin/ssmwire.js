#!/usr/bin/env node
'use strict'

const { native } = require('../dist/load.js')

// The handlers that Node has for these raise the signal anew, and expect that the default is in place by then. The
// command's own would call them, and so come again, without an end. Whoever listens and stops leaves the default.
for (const signal of ['SIGINT', 'SIGTERM']) {
  const listener = () => {}
  process.on(signal, listener).off(signal, listener)
}

// Under the name `session-manager-plugin` it is the plugin.
const [program, script, ...args] = process.argv
process.exit(native.commandLine([program, ...process.execArgv, script], script, args))
