package ssmwire

// #include "shim.h"
import "C"

import (
	"context"
	"net"
	"strconv"
)

// Dial is where a connection leads.
type Dial struct {
	Target   string // the managed node that leads there
	Host     string // a host that the target reaches; empty for the target itself
	Port     uint16
	Document string // the session document, such as AWS-StartSSHSession; AWS's own for ports by default
	Reason   string // why, for the audit log
}

// DialContext opens a connection to a port of the target, as in ":22", or of a host that it reaches, as in
// "db.internal:5432". Nothing listens here. The network is tcp. It fits where [net.Dialer.DialContext] does:
//
//	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
//		return client.DialContext(ctx, "i-0123456789abcdef0", network, address)
//	}}
//
// Connections to one place share a session, where the agent is recent enough, and the session ends soon after the last.
// A far host that refuses shows as ErrRemoteConnectFailed when the connection is used. The connection is a [*Conn].
func (c *Client) DialContext(ctx context.Context, target, network, address string) (net.Conn, error) {
	dial, err := route(ctx, target, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Addr: Addr{target, address}, Err: err}
	}
	conn, err := c.Dial(ctx, dial)
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// Dial opens a connection to a port, as DialContext does, with every option.
func (c *Client) Dial(ctx context.Context, dial Dial) (*Conn, error) {
	remote := Addr{dial.Target, net.JoinHostPort(dial.Host, strconv.Itoa(int(dial.Port)))}
	conn, err := c.dial(ctx, dial, remote)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: remote.Network(), Addr: remote, Err: err}
	}
	return conn, nil
}

func (c *Client) dial(ctx context.Context, dial Dial, remote Addr) (*Conn, error) {
	var copies texts
	defer copies.free()
	options := dial.options(&copies)
	if copies.err != nil {
		return nil, copies.err
	}
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, "dial")
	}
	var stream C.ssmwire_stream
	info := newInfo()
	if ended := C.ssmwire_dial_start(c.client(), &options, &stream, &info); ended != C.SSMWIRE_OK {
		return nil, failure(ended, &info)
	}
	conn, err := newConn(stream, nil, remote)
	if err != nil {
		return nil, err
	}
	return conn.ready(ctx)
}

// ready waits until the stream is open, and closes it if that fails.
func (c *Conn) ready(ctx context.Context) (*Conn, error) {
	_, err := c.handle.until(ctx, opRead, "open a stream", func(info *C.ssmwire_error) status {
		return C.ssmwire_stream_ready(c.stream(), 0, info)
	})
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (dial *Dial) options(copies *texts) C.ssmwire_port_options {
	return C.ssmwire_port_options{
		size:     C.sizeof_ssmwire_port_options,
		target:   copies.of("Target", dial.Target),
		host:     copies.of("Host", dial.Host),
		port:     C.uint16_t(dial.Port),
		document: copies.of("Document", dial.Document),
		reason:   copies.of("Reason", dial.Reason),
	}
}

// route takes an address of package net apart.
func route(ctx context.Context, target, network, address string) (Dial, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return Dial{}, invalid("network", "must be tcp, not "+strconv.Quote(network))
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return Dial{}, invalid("address", err.Error())
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return Dial{}, invalid("address", err.Error())
	}
	return Dial{Target: target, Host: host, Port: uint16(port)}, nil
}
