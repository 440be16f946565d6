//go:build unix

package ssmwire

// #include <ssmwire.h>
import "C"

import (
	"context"
	"net"
	"os"
	"time"
)

// IntoFile turns the stream into one end of a pair of sockets, for whoever needs a real descriptor, such as a child
// process: what is written to it goes to the far side, what comes from there can be read. The file is the caller's to
// close. It is in blocking mode, as such processes expect, so it has no deadlines. Why a stream fails, a file does not
// tell: it ends. Not on Windows.
//
// The Conn is closed by it, even if it fails; who reads or writes goes on with [net.ErrClosed]. The file does not keep a
// [Session] alive as a Conn does: keep the session for as long as the file is used.
func (c *Conn) IntoFile() (*os.File, error) {
	// Whoever has a Conn has waited for the session before.
	_, err := c.handle.until(context.Background(), opState, "make a file", func(info *C.ssmwire_error) status {
		return C.ssmwire_stream_ready(c.stream(), 0, info)
	})
	ended, info, fd := status(C.SSMWIRE_OK), newInfo(), C.int(-1)
	isFirst := c.handle.closeBy(func() {
		if err == nil {
			ended = C.ssmwire_stream_into_fd(c.stream(), &fd, &info)
		}
		if fd < 0 {
			c.handle.kind.close(c.handle.id)
		}
	})
	if !isFirst {
		return nil, c.wrap("file", net.ErrClosed)
	}
	c.SetDeadline(time.Time{})
	if err == nil {
		err = failure(ended, &info)
	}
	if err != nil {
		return nil, c.wrap("file", err)
	}
	return os.NewFile(uintptr(fd), c.remote.String()), nil
}
