// Command supervise keeps a forward alive and says what becomes of it: a local address whose connections end at a port of
// a managed node, or of a host that it reaches.
//
//	supervise -target i-0123456789abcdef0 -remote db.internal:5432 -local 127.0.0.1:5432
//
// It waits for a node that is not there yet, tells of connections that fail, and ends on SIGINT and SIGTERM. What it says
// are log records on standard output, one JSON object a line.
package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func main() {
	var (
		target  = flag.String("target", "", "the managed node")
		remote  = flag.String("remote", "", "where connections end: :PORT of the node, or HOST:PORT that it reaches")
		local   = flag.String("local", "", "where to listen: HOST:PORT or unix:PATH; a free port by default")
		longest = flag.Duration("longest-pause", time.Minute, "the most to wait between two attempts to start")
	)
	flag.Parse()
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	client, err := ssmwire.New(ssmwire.Config{})
	if err == nil {
		s := supervisor{client: client, log: log, longest: *longest}
		err = s.run(ctx, *target, *remote, *local)
		client.Close()
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Error("gave up", "error", err, "hint", hint(err))
		os.Exit(1)
	}
	log.Info("ended")
}

// supervisor is who keeps a forward alive.
type supervisor struct {
	client  *ssmwire.Client
	log     *slog.Logger
	longest time.Duration
}

// run keeps the forward alive until the context is over, or trying again can't help.
func (s *supervisor) run(ctx context.Context, target, remote, local string) error {
	pause := 100 * time.Millisecond
	for {
		forward, err := s.client.Forward(ctx, target, remote, local)
		if err == nil {
			pause = 100 * time.Millisecond
			err = s.watch(ctx, forward)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var failed *ssmwire.Error
		if errors.As(err, &failed) && !failed.IsRetryable {
			return err
		}
		s.log.Warn("not forwarding", "error", err, "hint", hint(err), "pause", pause.String())
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, s.longest)
	}
}

// watch logs what happens to a forward until it ends or the context is over, and closes it.
func (s *supervisor) watch(ctx context.Context, forward *ssmwire.Forward) error {
	defer forward.Close()
	s.log.Info("forwarding", "network", forward.Addr().Network(), "address", forward.Addr().String())
	for {
		event, err := forward.Event(ctx)
		if err != nil {
			if stats, failed := forward.Stats(); failed == nil {
				s.log.Info("closing", "connections", stats.Connections, "failed", stats.Failed,
					"sent", stats.Sent, "received", stats.Received)
			}
			if err == io.EOF {
				err = errors.New("the forward has ended")
			}
			return err
		}
		switch event.Kind {
		case ssmwire.EventConnectionFailed:
			s.log.Warn("a connection failed", "kind", event.Err, "text", event.Text)
		case ssmwire.EventAcceptFailed:
			s.log.Error("connections can't be accepted", "text", event.Text)
		default:
			s.log.Info("event", "kind", event.Kind, "text", event.Text)
		}
	}
}

// hint returns what to do about an error; empty if nothing is known to help.
func hint(err error) string {
	var failed *ssmwire.Error
	if errors.As(err, &failed) {
		return failed.Hint
	}
	return ""
}
