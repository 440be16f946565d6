// `lib/native.ts` is written by hand. It must say what the module has.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const native = createRequire(import.meta.url)('../dist/load.js').native
const file = fileURLToPath(new URL('../lib/native.ts', import.meta.url))

/** The declared interfaces: the names of their members, and which of them are methods. */
function interfaces() {
  const source = ts.createSourceFile(file, ts.sys.readFile(file), ts.ScriptTarget.Latest)
  const declared = new Map()
  for (const statement of source.statements.filter(ts.isInterfaceDeclaration)) {
    const members = statement.members.map((member) => [member.name.text, ts.isMethodSignature(member)])
    declared.set(statement.name.text, new Map(members))
  }
  return declared
}

/** The members of a class of the module: their names, and which of them are methods. */
function members(class_) {
  const descriptors = Object.entries(Object.getOwnPropertyDescriptors(class_.prototype))
  return new Map(
    descriptors
      .filter(([name]) => name !== 'constructor')
      .map(([name, { value }]) => [name, typeof value === 'function']),
  )
}

const sorted = (map) => [...map].sort(([one], [other]) => (one < other ? -1 : 1))
const isClass = (value) => typeof value === 'function' && /^[A-Z]/.test(value.name)
const classes = Object.keys(native).filter((name) => isClass(native[name]))

test('the native module has the functions that are declared, and no others', () => {
  const [declared] = [interfaces().get('Native')]
  const functions = [...declared].filter(([, isMethod]) => isMethod).map(([name]) => name)
  const there = Object.keys(native).filter((name) => !classes.includes(name))
  assert.deepEqual(there.sort(), functions.sort())
})

test('the native module has the classes that are declared, with their methods and properties and no others', () => {
  const declared = interfaces()
  assert.ok(classes.length >= 7, classes.join())
  for (const name of classes) {
    assert.ok(declared.has(name), `${name} is not declared`)
    assert.deepEqual(sorted(members(native[name])), sorted(declared.get(name)), name)
  }
  // What has methods is a class of the module.
  for (const [name, wanted] of declared) {
    if (name !== 'Native' && [...wanted.values()].includes(true)) {
      assert.ok(classes.includes(name), `${name} is not in the module`)
    }
  }
})
