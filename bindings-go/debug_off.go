//go:build !ssmwiredebug

package ssmwire

// whence returns where a handle is opened; nobody asks.
func whence() []byte { return nil }

// forgotten is told of a handle that nobody has closed.
func forgotten(string, []byte) {}

// stress is called whenever a handle is used.
func stress() {}
