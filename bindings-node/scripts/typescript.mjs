// Compiles the TypeScript for CommonJS, and puts a thin module for ESM beside each entry: whoever imports and whoever
// requires the package gets the same classes and the same native module.

import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const root = new URL('..', import.meta.url)
const dist = new URL('dist/', root)
const require = createRequire(import.meta.url)

rmSync(dist, { recursive: true, force: true })
execFileSync(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', fileURLToPath(root)], { stdio: 'inherit' })
for (const [entry, names] of Object.entries({
  index: [
    'AbortError',
    'Client',
    'Command',
    'CommandError',
    'Connection',
    'Forward',
    'Session',
    'Shell',
    'SsmwireError',
    'setLogger',
    'version',
  ],
  testing: ['Emulator', 'startEmulator'],
})) {
  writeFileSync(new URL(`${entry}.mjs`, dist), `export { ${names.join(', ')} } from './${entry}.js'\n`)
  writeFileSync(new URL(`${entry}.d.mts`, dist), `export * from './${entry}.js'\n`)
}
