// A shell that never takes what is written to it. In a file of its own for programs that are no tests.

/**
 * Makes a shell run a program that does not read, on a terminal that keeps what it is given instead of
 * dropping what is too long for a line: writes to it stay pending, however fast the machine is.
 */
export async function unreading(shell) {
  let output = ''
  const waits = new Promise((resolve) => {
    shell.on('data', (block) => {
      output += block
      if (output.includes('It sleeps.')) {
        resolve()
      }
    })
  })
  shell.write("stty raw -echo && printf 'It %s.' sleeps && exec sleep 60\n")
  await waits
  return shell
}
