#!/usr/bin/env node
'use strict'

const { native } = require('../dist/load.js')

process.exit(native.commandLine(['ssmwire', ...process.argv.slice(2)]))
