//go:build ssmwiredebug

package ssmwire

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

// whence returns where a handle is opened.
func whence() []byte { return debug.Stack() }

// reports is where handles are reported that nobody has closed.
var reports io.Writer = os.Stderr

// forgotten reports a handle that nobody has closed.
func forgotten(name string, origin []byte) {
	fmt.Fprintf(reports, "ssmwire: a %s was not closed; it was opened by\n%s\n", name, origin)
}

// stress makes what is collected too early show.
func stress() { runtime.GC() }
