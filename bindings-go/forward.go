package ssmwire

// #include "shim.h"
import "C"

import (
	"context"
	"net"
	"strings"
)

// Listen is what to forward.
type Listen struct {
	Dial        // where it leads
	Bind string // where it listens: HOST:PORT, where port 0 is a free one, or unix:PATH; a free port of 127.0.0.1 by default
	// Sessions is how many sessions the connections are spread over, up to 64; 1 by default. An agent sends a session's
	// data at about a megabyte a second.
	Sessions int
}

// Forward is a local address whose connections end at a far port. It goes on until it is closed: of sessions that are lost
// for good, the next connection starts new ones; a connection that can't be made is reset, and told as an event.
type Forward struct {
	handle *handle
	addr   net.Addr
}

var forwardKind = handleKind{
	name: "forward",
	watch: func(id uint64, queue C.ssmwire_queue, tag uint64, info *C.ssmwire_error) status {
		return C.ssmwire_forward_watch(C.ssmwire_forward{C.uint64_t(id)}, queue, C.uint64_t(tag), info)
	},
	close: func(id uint64) status { return C.ssmwire_forward_close(C.ssmwire_forward{C.uint64_t(id)}, 0, nil) },
}

// Forward forwards a local address to a port of the target, as in ":22", or of a host that it reaches, as in
// "db.internal:5432", and waits until connections can be made. An empty local address is a free port of 127.0.0.1.
func (c *Client) Forward(ctx context.Context, target, remote, local string) (*Forward, error) {
	dial, err := route(ctx, target, "tcp", remote)
	if err != nil {
		return nil, err
	}
	return c.Listen(ctx, Listen{Dial: dial, Bind: local})
}

// Listen forwards a local address, as Forward does, with every option.
func (c *Client) Listen(ctx context.Context, listen Listen) (*Forward, error) {
	var copies texts
	defer copies.free()
	options := listen.Dial.options(&copies)
	options.bind = copies.of("Bind", listen.Bind)
	if listen.Sessions < 0 || listen.Sessions > 64 {
		return nil, invalid("Sessions", "must be between 0 and 64")
	}
	options.sessions = C.uint32_t(listen.Sessions)
	if copies.err != nil {
		return nil, copies.err
	}
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, "forward")
	}
	var id C.ssmwire_forward
	info := newInfo()
	if ended := C.ssmwire_forward_start(c.client(), &options, &id, &info); ended != C.SSMWIRE_OK {
		return nil, failure(ended, &info)
	}
	h, err := open(&forwardKind, uint64(id.id), nil)
	if err != nil {
		return nil, err
	}
	made := &Forward{handle: h}
	_, err = h.until(ctx, opState, "forward", func(info *C.ssmwire_error) status {
		return C.ssmwire_forward_ready(id, 0, info)
	})
	if err == nil {
		made.addr, err = made.address()
	}
	if err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

func (f *Forward) forward() C.ssmwire_forward { return C.ssmwire_forward{C.uint64_t(f.handle.id)} }

func (f *Forward) address() (net.Addr, error) {
	var text [512]C.char
	err := f.handle.now(func(info *C.ssmwire_error) status {
		return C.ssmwire_forward_address(f.forward(), &text[0], C.size_t(len(text)), info)
	})
	if err != nil {
		return nil, err
	}
	address := C.GoString(&text[0])
	if path, isUnix := strings.CutPrefix(address, "unix:"); isUnix {
		return &net.UnixAddr{Name: path, Net: "unix"}, nil
	}
	return net.ResolveTCPAddr("tcp", address)
}

// Addr returns the local address, a [*net.TCPAddr] or [*net.UnixAddr].
func (f *Forward) Addr() net.Addr { return f.addr }

// Event waits for the next event: a local connection that was reset since the far side failed, or could not be accepted.
// io.EOF after the forward's end. Of events that nobody fetches the newest 64 are kept.
func (f *Forward) Event(ctx context.Context) (Event, error) {
	return f.handle.event(ctx, func(event *C.ssmwire_event, info *C.ssmwire_error) status {
		return C.ssmwire_forward_event(f.forward(), 0, event, info)
	})
}

// ForwardStats are a forward's counters.
type ForwardStats struct {
	Connections    uint64 // local connections that were accepted
	Open           uint64 // connections that are open now
	Failed         uint64 // connections that were reset because the far side failed
	Sent, Received uint64 // bytes accepted for the far side, and bytes that the local programs were given
}

// Stats returns the forward's counters.
func (f *Forward) Stats() (ForwardStats, error) {
	stats := C.ssmwire_forward_stats{size: C.sizeof_ssmwire_forward_stats}
	err := f.handle.now(func(info *C.ssmwire_error) status { return C.ssmwire_forward_get_stats(f.forward(), &stats, info) })
	return ForwardStats{
		Connections: uint64(stats.connections),
		Open:        uint64(stats.open),
		Failed:      uint64(stats.failed),
		Sent:        uint64(stats.sent),
		Received:    uint64(stats.received),
	}, err
}

// Close stops listening, cuts the connections, and ends the sessions on the service; it waits for that, which
// Config.CloseTimeout bounds.
func (f *Forward) Close() error {
	ended, info := status(C.SSMWIRE_OK), newInfo()
	f.handle.closeBy(func() { ended = C.ssmwire_forward_close(f.forward(), -1, &info) })
	return failure(ended, &info)
}
