#!/usr/bin/env node
'use strict'

const { native } = require('../dist/load.js')

// Under the name `session-manager-plugin` it is the plugin.
const [program, script, ...args] = process.argv
process.exit(native.commandLine([program, ...process.execArgv, script], script, args))
