package ssmwire

// #cgo noescape ssmwire_stream_read
// #cgo nocallback ssmwire_stream_read
// #cgo noescape ssmwire_stream_write
// #cgo nocallback ssmwire_stream_write
// #include <ssmwire.h>
import "C"

import (
	"context"
	"io"
	"net"
	"os"
	"time"
	"unsafe"
)

// Addr is an end of a connection.
type Addr struct {
	Target string // the managed node; empty for this end
	Remote string // what of it: HOST:PORT, or stdio and the like
}

// Network returns "ssm".
func (a Addr) Network() string { return "ssm" }

// String returns the target and what of it.
func (a Addr) String() string {
	if a.Target == "" {
		return a.Remote
	}
	return a.Target + "/" + a.Remote
}

// Conn is a stream of bytes from and to the far side: a connection to a port, or the standard streams of a shell or
// command. It is a [net.Conn].
//
// Nothing is lost by a deadline: what had not been read, the next Read finds; what had been written, Write says. If nobody
// reads, the far side is stopped in the end. io.EOF is returned at the end only if nothing was lost on the way, and any
// error only after everything that had arrived was read.
type Conn struct {
	handle *handle
	remote Addr
	reads  *deadline
	writes *deadline
}

var _ net.Conn = (*Conn)(nil)

var streamKind = handleKind{
	name: "stream",
	watch: func(id uint64, queue C.ssmwire_queue, tag uint64, info *C.ssmwire_error) status {
		return C.ssmwire_stream_watch(C.ssmwire_stream{C.uint64_t(id)}, queue, C.uint64_t(tag), info)
	},
	close: func(id uint64) status { return C.ssmwire_stream_close(C.ssmwire_stream{C.uint64_t(id)}, nil) },
}

// newConn takes a new stream over.
func newConn(stream C.ssmwire_stream, parent *handle, remote Addr) (*Conn, error) {
	h, err := open(&streamKind, uint64(stream.id), parent)
	if err != nil {
		return nil, err
	}
	return &Conn{handle: h, remote: remote, reads: newDeadline(), writes: newDeadline()}, nil
}

func (c *Conn) stream() C.ssmwire_stream { return C.ssmwire_stream{C.uint64_t(c.handle.id)} }

// Read reads what has arrived, at least one byte, and waits for it until the deadline.
func (c *Conn) Read(b []byte) (int, error) {
	h, done := c.handle, c.reads.done()
	halted := h.begin(opRead, done)
	if halted == goOn {
		defer h.end(opRead)
	}
	if len(b) == 0 && halted == goOn {
		return 0, nil
	}
	for halted == goOn {
		info := newInfo()
		var count C.size_t
		data := (*C.uint8_t)(unsafe.SliceData(b))
		switch ended := C.ssmwire_stream_read(c.stream(), data, C.size_t(len(b)), 0, &count, &info); ended {
		case C.SSMWIRE_OK:
			return int(count), nil
		case C.SSMWIRE_EOF:
			return 0, io.EOF
		case C.SSMWIRE_AGAIN:
			halted = h.wait(opRead, done)
		default:
			return 0, c.failure("read", ended, &info)
		}
	}
	return 0, c.halted("read", halted)
}

// Write writes all of b, and waits until the deadline for the far side to take it. What it returns as written is under
// way; Flush waits until it is there. Writes of several goroutines don't mix.
func (c *Conn) Write(b []byte) (int, error) {
	h, done := c.handle, c.writes.done()
	halted, written := h.begin(opWrite, done), 0
	if halted == goOn {
		defer h.end(opWrite)
	}
	for halted == goOn {
		if written == len(b) {
			return written, nil
		}
		info := newInfo()
		var count C.size_t
		rest := b[written:]
		data := (*C.uint8_t)(unsafe.SliceData(rest))
		switch ended := C.ssmwire_stream_write(c.stream(), data, C.size_t(len(rest)), 0, &count, &info); ended {
		case C.SSMWIRE_OK:
			written += int(count)
			if isClosed(done) {
				halted = isDone
			}
		case C.SSMWIRE_AGAIN:
			halted = h.wait(opWrite, done)
		default:
			return written, c.failure("write", ended, &info)
		}
	}
	if written == len(b) && written > 0 {
		return written, nil
	}
	return written, c.halted("write", halted)
}

// Flush waits until the far side's agent has acknowledged all that was written.
func (c *Conn) Flush(ctx context.Context) error {
	_, err := c.handle.until(ctx, opWrite, "flush", func(info *C.ssmwire_error) status {
		return C.ssmwire_stream_flush(c.stream(), 0, info)
	})
	return err
}

// CloseWrite says that no more input comes; reading goes on. A terminal gets its end-of-input character, which ends a
// shell and most programs that read it. The far end of a port hears of it only from Close, for agents know no half-closed
// connections.
func (c *Conn) CloseWrite() error {
	err := c.handle.now(func(info *C.ssmwire_error) status { return C.ssmwire_stream_finish(c.stream(), info) })
	return c.wrap("close", err)
}

// Close closes the stream, and with it a connection to a port; who reads or writes goes on with [net.ErrClosed]. What was
// written still arrives, if the client is not closed meanwhile.
func (c *Conn) Close() error {
	if !c.handle.close() {
		return c.wrap("close", net.ErrClosed)
	}
	c.SetDeadline(time.Time{})
	return nil
}

// LocalAddr returns an address that says nothing: there is no socket at this end.
func (c *Conn) LocalAddr() net.Addr { return Addr{Remote: "local"} }

// RemoteAddr returns an [Addr].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets the deadlines of reading and writing. Zero is none. One in the past ends what waits now.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of reading.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.set(c.reads, t) }

// SetWriteDeadline sets the deadline of writing.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.set(c.writes, t) }

func (c *Conn) set(which *deadline, t time.Time) error {
	if isClosed(c.handle.closed) {
		// No timer may outlive the connection.
		which.set(time.Time{})
		return c.wrap("set", net.ErrClosed)
	}
	which.set(t)
	return nil
}

func (c *Conn) failure(op string, ended status, info *C.ssmwire_error) error {
	// A copy, so that the original stays on the stack of those who don't fail.
	copied := *info
	return c.wrap(op, c.handle.failure(ended, &copied))
}

func (c *Conn) halted(op string, why halt) error {
	if why == wasClosed {
		return c.wrap(op, net.ErrClosed)
	}
	return c.wrap(op, os.ErrDeadlineExceeded)
}

func (c *Conn) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &net.OpError{Op: op, Net: c.remote.Network(), Addr: c.remote, Err: err}
}
