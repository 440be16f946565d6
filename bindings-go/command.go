package ssmwire

// #include "shim.h"
import "C"

import (
	"context"
)

// Process is a command that goes on. Its streams share one budget of unread bytes: read both.
type Process struct {
	Stdout, Stderr *Conn
	session        *Session
}

// Start starts a command without a terminal, for whoever wants its output as it comes. ErrUnsupported if the agent is too
// old to keep the streams apart; Run has a way for such.
func (c *Client) Start(ctx context.Context, target string, command Cmd) (*Process, error) {
	var copies texts
	defer copies.free()
	options := command.options(target, &copies)
	session, err := c.start(ctx, target, &copies, func(session *C.ssmwire_session, info *C.ssmwire_error) status {
		return C.ssmwire_command_start(c.client(), &options, session, info)
	})
	if err != nil {
		return nil, err
	}
	started := &Process{session: session}
	if started.Stdout, err = session.Stdio(); err == nil {
		started.Stderr, err = session.Stderr()
	}
	if err != nil {
		started.Close()
		return nil, err
	}
	return started, nil
}

// Wait waits for the command's end, and returns an [*ExitError] if its exit code is not 0. Its output must be read
// meanwhile, or the end may never come.
func (p *Process) Wait(ctx context.Context) error {
	code, isKnown, err := p.session.exitCode(ctx)
	if isKnown && code != 0 {
		err = &ExitError{Code: code}
	}
	return err
}

// Interrupt sends the command's process an interrupt signal. Its children get none, so a line of sh that waits for one goes
// on waiting.
func (p *Process) Interrupt() error {
	_, err := p.Stdout.Write([]byte{3})
	return err
}

// Session returns the session that the command runs in.
func (p *Process) Session() *Session { return p.session }

// Close ends the command, if it still runs, and closes its streams.
func (p *Process) Close() error {
	err := p.session.Close()
	for _, stream := range []*Conn{p.Stdout, p.Stderr} {
		if stream != nil {
			stream.Close()
		}
	}
	return err
}
