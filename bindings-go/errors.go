package ssmwire

// #include <ssmwire.h>
import "C"

import (
	"context"
	"net"
	"strconv"
	"strings"
)

// Kind is what kind of error has happened. It is an error itself, for [errors.Is]; the numbers are those of the C
// interface, and are never changed.
type Kind int32

// The kinds of errors.
const (
	ErrInvalidArgument        Kind = 101 // the caller passed something that can't be meant; the message names it
	ErrBadHandle              Kind = 102 // what was used is closed
	ErrBusy                   Kind = 103 // there are as many of it as there can be
	ErrForked                 Kind = 104 // it belongs to the parent process
	ErrUnsupported            Kind = 105 // the agent, the document or the platform can't do this
	ErrCancelled              Kind = 106 // the caller stopped the operation
	ErrTimeout                Kind = 107 // the caller's own deadline passed
	ErrListenFailed           Kind = 108 // the local address can't be listened on
	ErrCredentialsUnavailable Kind = 201 // no credentials could be had
	ErrAccessDenied           Kind = 202 // AWS refused the action for these credentials
	ErrThrottled              Kind = 203 // AWS throttled the request, and went on doing so until the deadline
	ErrTargetNotConnected     Kind = 204 // the target's agent is not connected to Systems Manager
	ErrInvalidTarget          Kind = 205 // the target does not exist or is not spelt like one
	ErrInvalidDocument        Kind = 206 // the session document does not exist or does not take these parameters
	ErrApi                    Kind = 207 // any other answer of an AWS API; the code is kept
	ErrConnectFailed          Kind = 301 // the endpoint could not be reached
	ErrProxyFailed            Kind = 302 // the proxy refused or failed
	ErrTlsFailed              Kind = 303 // TLS could not be agreed on, or the certificate is not trusted
	ErrConnectionLost         Kind = 304 // the connection was lost and could not be resumed in time
	ErrPeerUnresponsive       Kind = 305 // the far side stopped answering
	ErrHandshakeTimeout       Kind = 401 // the agent did not finish its handshake in time
	ErrHandshakeFailed        Kind = 402 // the handshake failed
	ErrProtocol               Kind = 403 // the far side broke the protocol; the message says which rule
	ErrIdleTimeout            Kind = 404 // the service ended the session because it was idle
	ErrMaxDuration            Kind = 405 // the service ended the session because it reached its maximum duration
	ErrTerminated             Kind = 406 // the session was terminated by somebody or something else
	ErrResumeRejected         Kind = 407 // the service says that the session is over and can't be resumed
	ErrKmsDenied              Kind = 501 // KMS refused the session's key
	ErrKmsFailed              Kind = 502 // KMS could not be asked
	ErrDecryptFailed          Kind = 503 // a message could not be decrypted; nothing of it was delivered
	ErrRemoteConnectFailed    Kind = 601 // the far host refused the connection
	ErrStreamReset            Kind = 602 // the far side reset the stream
	ErrCommandFailed          Kind = 603 // the command ran and failed; an ExitError is one, too
	ErrOutputTooLarge         Kind = 604 // the command wrote more than the caller takes
	ErrPanic                  Kind = 901 // a bug in the library made a thread panic
	ErrInternal               Kind = 902 // a bug in the library
)

// String returns the kind's name, such as TargetNotConnected, which is the same in every language.
func (k Kind) String() string { return C.GoString(C.ssmwire_status_name(C.ssmwire_status(k))) }

// Error returns the kind's name with the library's before it.
func (k Kind) Error() string { return "ssmwire: " + k.String() }

// Phase is where in a session's life an error has happened.
type Phase int32

// The phases.
const (
	PhaseUnknown   Phase = 0
	PhaseStart     Phase = C.SSMWIRE_PHASE_START     // asking the API for the session
	PhaseConnect   Phase = C.SSMWIRE_PHASE_CONNECT   // opening the data channel
	PhaseHandshake Phase = C.SSMWIRE_PHASE_HANDSHAKE // agreeing with the agent on what the session is
	PhaseStream    Phase = C.SSMWIRE_PHASE_STREAM    // moving bytes
	PhaseResume    Phase = C.SSMWIRE_PHASE_RESUME    // bringing a lost data channel back
	PhaseClose     Phase = C.SSMWIRE_PHASE_CLOSE     // ending the session
)

// String returns the phase's name.
func (p Phase) String() string {
	names := [...]string{"unknown", "start", "connect", "handshake", "stream", "resume", "close"}
	if p < 0 || int(p) >= len(names) {
		return "phase " + strconv.Itoa(int(p))
	}
	return names[p]
}

// Error is what every failed call returns, itself or wrapped.
type Error struct {
	Kind        Kind   // what has happened, for errors.Is
	Phase       Phase  // where in a session's life
	HTTPStatus  int    // of AWS's answer; 0 if there was none
	IsRetryable bool   // whether trying the same thing again can help
	Message     string // what happened, for people
	Hint        string // what to do about it; empty if nothing is known to help
	AWSCode     string // AWS's code, such as TargetNotConnected
	RequestID   string // AWS's id of the request
	SessionID   string // the session's id, once there was one

	cause error
}

// Error returns the message.
func (e *Error) Error() string { return "ssmwire: " + e.Message }

// Unwrap returns the kind, and the context's reason if it is one, or [net.ErrClosed] where something was closed.
func (e *Error) Unwrap() []error {
	if e.cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.cause}
}

// Timeout reports whether a deadline has passed.
func (e *Error) Timeout() bool { return e.Kind == ErrTimeout }

// status is how a call of the library has ended.
type status = C.ssmwire_status

// newInfo returns what a call of the library fills in when it fails.
func newInfo() (info C.ssmwire_error) {
	info.size = C.sizeof_ssmwire_error
	return info
}

// failure returns a failed call's error, and nil for a call that has not failed.
func failure(ended status, info *C.ssmwire_error) error {
	if ended == C.SSMWIRE_OK {
		return nil
	}
	var cause error
	if ended == C.SSMWIRE_BAD_HANDLE || ended == C.SSMWIRE_CANCELLED {
		// Contexts stay on this side: whatever the library calls cancelled was closed.
		cause = net.ErrClosed
	}
	return &Error{
		cause:       cause,
		Kind:        Kind(ended),
		Phase:       Phase(info.phase),
		HTTPStatus:  int(info.http_status),
		IsRetryable: bool(info.is_retryable),
		Message:     C.GoString(&info.message[0]),
		Hint:        C.GoString(&info.hint[0]),
		AWSCode:     C.GoString(&info.aws_code[0]),
		RequestID:   C.GoString(&info.request_id[0]),
		SessionID:   C.GoString(&info.session_id[0]),
	}
}

// gaveUp returns the error of a call whose context is over.
func gaveUp(ctx context.Context, what string) error {
	kind := ErrCancelled
	if ctx.Err() == context.DeadlineExceeded {
		kind = ErrTimeout
	}
	cause := context.Cause(ctx)
	return &Error{Kind: kind, IsRetryable: kind == ErrTimeout, Message: what + ": " + cause.Error(), cause: cause}
}

// invalid returns the error of an argument that can't be meant.
func invalid(name, problem string) error {
	return &Error{Kind: ErrInvalidArgument, Message: strings.Join([]string{"`" + name + "`", problem}, " ")}
}
