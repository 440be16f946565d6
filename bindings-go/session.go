package ssmwire

// #include "shim.h"
import "C"

import (
	"context"
	"io"
	"time"
)

// StartSession is what to start: the operation itself, with any document.
type StartSession struct {
	Target     string              // the managed node: i-…, mi-… or ecs:<cluster>_<task>_<runtime>
	Document   string              // the session document; without one, the account's default shell
	Reason     string              // why, for the audit log
	Parameters map[string][]string // the document's parameters
	Size       Size                // the terminal's; 80 by 24 by default. With a size it must be a shell
}

// Size is a terminal's.
type Size struct{ Columns, Rows uint16 }

// Attach is the answer to a StartSession or ECS ExecuteCommand call that somebody else has made.
type Attach struct {
	SessionID string
	StreamURL string // where the data channel is opened
	Token     string // what opens it
	Target    string // what the session was started with; needed for encrypted sessions only
}

// Session is a session of whatever type the document says.
type Session struct {
	handle *handle
	target string
	client *Client
}

var sessionKind = handleKind{
	name: "session",
	watch: func(id uint64, queue C.ssmwire_queue, tag uint64, info *C.ssmwire_error) status {
		return C.ssmwire_session_watch(C.ssmwire_session{C.uint64_t(id)}, queue, C.uint64_t(tag), info)
	},
	close: func(id uint64) status { return C.ssmwire_session_close(C.ssmwire_session{C.uint64_t(id)}, 0, nil) },
}

// StartSession starts a session, and waits until the agent is ready.
func (c *Client) StartSession(ctx context.Context, start StartSession) (*Session, error) {
	var copies texts
	defer copies.free()
	options := C.ssmwire_session_options{
		size:     C.sizeof_ssmwire_session_options,
		target:   copies.of("Target", start.Target),
		document: copies.of("Document", start.Document),
		reason:   copies.of("Reason", start.Reason),
		columns:  C.uint16_t(start.Size.Columns),
		rows:     C.uint16_t(start.Size.Rows),
	}
	options.parameters, options.parameters_len = copies.parameters(start.Parameters)
	return c.start(ctx, start.Target, &copies, func(session *C.ssmwire_session, info *C.ssmwire_error) status {
		if start.Size != (Size{}) {
			return C.ssmwire_shell_start(c.client(), &options, session, info)
		}
		return C.ssmwire_session_start(c.client(), &options, session, info)
	})
}

// Attach takes over a session that somebody else has started, and waits until the agent is ready. A client without
// credentials will do; then the session can't be resumed, and ends with its first connection.
func (c *Client) Attach(ctx context.Context, attach Attach) (*Session, error) {
	var copies texts
	defer copies.free()
	options := C.ssmwire_attach_options{
		size:       C.sizeof_ssmwire_attach_options,
		session_id: copies.of("SessionID", attach.SessionID),
		stream_url: copies.of("StreamURL", attach.StreamURL),
		token:      copies.of("Token", attach.Token),
		target:     copies.of("Target", attach.Target),
	}
	return c.start(ctx, attach.Target, &copies, func(session *C.ssmwire_session, info *C.ssmwire_error) status {
		return C.ssmwire_session_attach(c.client(), &options, session, info)
	})
}

// start takes a new session over, and waits for it.
func (c *Client) start(
	ctx context.Context, target string, copies *texts, begin func(*C.ssmwire_session, *C.ssmwire_error) status,
) (*Session, error) {
	if copies.err != nil {
		return nil, copies.err
	}
	if ctx.Err() != nil {
		return nil, gaveUp(ctx, "start a session")
	}
	var id C.ssmwire_session
	info := newInfo()
	if ended := begin(&id, &info); ended != C.SSMWIRE_OK {
		return nil, failure(ended, &info)
	}
	h, err := open(&sessionKind, uint64(id.id), nil)
	if err != nil {
		return nil, err
	}
	made := &Session{h, target, c}
	_, err = h.until(ctx, opState, "start a session", func(info *C.ssmwire_error) status {
		return C.ssmwire_session_ready(made.session(), 0, info)
	})
	if err != nil {
		made.Close()
		return nil, err
	}
	return made, nil
}

func (s *Session) session() C.ssmwire_session { return C.ssmwire_session{C.uint64_t(s.handle.id)} }

// Stdio opens standard output to read and the terminal's input to write; for a session with one port connection, that.
// It can be opened more than once; the streams share the bytes.
func (s *Session) Stdio() (*Conn, error) {
	return s.stream("stdio", func(stream *C.ssmwire_stream, info *C.ssmwire_error) status {
		return C.ssmwire_session_stdio(s.session(), stream, info)
	})
}

// Stderr opens standard error, to read. It ends without a byte where the agent merges it into standard output.
func (s *Session) Stderr() (*Conn, error) {
	return s.stream("stderr", func(stream *C.ssmwire_stream, info *C.ssmwire_error) status {
		return C.ssmwire_session_stderr(s.session(), stream, info)
	})
}

// Connect opens a connection to the port of a port session that carries many. Closing it leaves the session. A far host
// that refuses the connection shows as ErrRemoteConnectFailed when it is read.
func (s *Session) Connect(ctx context.Context) (*Conn, error) {
	conn, err := s.stream("port", func(stream *C.ssmwire_stream, info *C.ssmwire_error) status {
		return C.ssmwire_session_connect(s.session(), stream, info)
	})
	if err != nil {
		return nil, err
	}
	return conn.ready(ctx)
}

func (s *Session) stream(name string, call func(*C.ssmwire_stream, *C.ssmwire_error) status) (*Conn, error) {
	var stream C.ssmwire_stream
	err := s.handle.now(func(info *C.ssmwire_error) status { return call(&stream, info) })
	if err != nil {
		return nil, err
	}
	return newConn(stream, s.handle, Addr{s.target, name})
}

// Resize tells the far terminal its size. The last size counts.
func (s *Session) Resize(size Size) error {
	return s.handle.now(func(info *C.ssmwire_error) status {
		return C.ssmwire_session_resize(s.session(), C.uint16_t(size.Columns), C.uint16_t(size.Rows), info)
	})
}

// ExitCode waits until the session is over, and returns the exit code of its command; -1 where the agent does not tell, as
// for every session with a terminal. What the session has written can still be read. Who waits for a command's end must
// read its output meanwhile, or it may never come.
func (s *Session) ExitCode(ctx context.Context) (int, error) {
	code, isKnown, err := s.exitCode(ctx)
	if !isKnown {
		return -1, err
	}
	return code, nil
}

func (s *Session) exitCode(ctx context.Context) (int, bool, error) {
	var code C.int32_t
	var isKnown C.bool
	_, err := s.handle.until(ctx, opState, "wait for the session's end", func(info *C.ssmwire_error) status {
		return C.ssmwire_session_exit_code(s.session(), 0, &code, &isKnown, info)
	})
	return int(code), err == nil && bool(isKnown), err
}

// EventKind is what has happened. Others may be added.
type EventKind int32

// The kinds of events.
const (
	EventMessage          EventKind = C.SSMWIRE_EVENT_MESSAGE           // the agent has a message for the user
	EventReconnecting     EventKind = C.SSMWIRE_EVENT_RECONNECTING      // the connection was lost, and is being brought back
	EventResumed          EventKind = C.SSMWIRE_EVENT_RESUMED           // the connection is back
	EventConnectionFailed EventKind = C.SSMWIRE_EVENT_CONNECTION_FAILED // a forward's local connection was reset
	EventAcceptFailed     EventKind = C.SSMWIRE_EVENT_ACCEPT_FAILED     // a forward could not accept connections
)

// Event is something that has happened.
type Event struct {
	Kind EventKind
	Err  error  // why a forward's connection has failed, as a Kind; else nil
	Text string // the agent's message, or what went wrong
}

// Event waits for the next event; io.EOF after the session's end. Of events that nobody fetches 64 are kept.
func (s *Session) Event(ctx context.Context) (Event, error) {
	return s.handle.event(ctx, func(event *C.ssmwire_event, info *C.ssmwire_error) status {
		return C.ssmwire_session_event(s.session(), 0, event, info)
	})
}

func (h *handle) event(ctx context.Context, try func(*C.ssmwire_event, *C.ssmwire_error) status) (Event, error) {
	event := C.ssmwire_event{size: C.sizeof_ssmwire_event}
	ended, err := h.until(ctx, opEvent, "wait for an event", func(info *C.ssmwire_error) status {
		return try(&event, info)
	})
	if err != nil {
		return Event{}, err
	}
	if ended == C.SSMWIRE_EOF {
		return Event{}, io.EOF
	}
	happened := Event{Kind: EventKind(event.kind), Text: C.GoString(&event.text[0])}
	if event.status != C.SSMWIRE_OK {
		happened.Err = Kind(event.status)
	}
	return happened, nil
}

// SessionKind is what the agent runs.
type SessionKind int32

// The kinds of sessions.
const (
	SessionShell   SessionKind = C.SSMWIRE_SESSION_SHELL   // a shell, or one command, in a terminal
	SessionCommand SessionKind = C.SSMWIRE_SESSION_COMMAND // a command without a terminal and without input
	SessionPort    SessionKind = C.SSMWIRE_SESSION_PORT    // one connection to a port, which Stdio is
	SessionPorts   SessionKind = C.SSMWIRE_SESSION_PORTS   // many connections to a port, which Connect opens
)

// SessionInfo is what is known of a session.
type SessionInfo struct {
	Kind         SessionKind // 0 until the agent has said so
	SessionID    string
	AgentVersion string // empty where the agent does not tell, as for ordinary shells
}

// Info returns what is known of the session.
func (s *Session) Info() (SessionInfo, error) {
	known := C.ssmwire_session_info{size: C.sizeof_ssmwire_session_info}
	err := s.handle.now(func(info *C.ssmwire_error) status { return C.ssmwire_session_get_info(s.session(), &known, info) })
	if err != nil {
		return SessionInfo{}, err
	}
	return SessionInfo{
		Kind:         SessionKind(known.kind),
		SessionID:    C.GoString(&known.session_id[0]),
		AgentVersion: C.GoString(&known.agent_version[0]),
	}, nil
}

// SessionStats are a session's counters.
type SessionStats struct {
	BytesIn, BytesOut       uint64        // payload, received in order and accepted for sending
	MessagesIn, MessagesOut uint64        // data messages, received in order and made
	Duplicates, Resent      uint64        // messages that came, or were sent, more than once
	Reconnects              uint64        // connections that were opened after the first
	Unread                  uint64        // bytes that wait for the reader
	Unacknowledged, Window  uint64        // payload bytes that are not acknowledged, and that may be
	RTT                     time.Duration // the smoothed round-trip time to the agent
}

// Stats returns the session's counters.
func (s *Session) Stats() (SessionStats, error) {
	stats := C.ssmwire_session_stats{size: C.sizeof_ssmwire_session_stats}
	err := s.handle.now(func(info *C.ssmwire_error) status { return C.ssmwire_session_get_stats(s.session(), &stats, info) })
	if err != nil {
		return SessionStats{}, err
	}
	return SessionStats{
		BytesIn: uint64(stats.bytes_in), BytesOut: uint64(stats.bytes_out),
		MessagesIn: uint64(stats.messages_in), MessagesOut: uint64(stats.messages_out),
		Duplicates: uint64(stats.duplicates), Resent: uint64(stats.resent),
		Reconnects: uint64(stats.reconnects), Unread: uint64(stats.unread),
		Unacknowledged: uint64(stats.unacknowledged), Window: uint64(stats.window),
		RTT: time.Duration(stats.rtt_us) * time.Microsecond,
	}, nil
}

// Close ends the session on the service, after what was written is acknowledged. That goes on in the background;
// [Client.Close] waits for it. Unread output is let go. The session's streams end, and are the caller's to close.
func (s *Session) Close() error {
	s.handle.close()
	return nil
}
