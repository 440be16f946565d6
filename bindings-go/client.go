package ssmwire

// #cgo pkg-config: ssmwire
// #include "shim.h"
import "C"

import (
	"context"
	"runtime/cgo"
	"sync"
	"time"
)

// Config is what a client is made of. Zero means the default everywhere. Of the time-outs, one below 0 means for as long
// as it takes.
type Config struct {
	// Region is the AWS region; without it AWS_REGION, the profile, the instance.
	Region string
	// Profile is the one of the shared AWS configuration; without it AWS_PROFILE, default.
	Profile string
	// AccessKeyID and SecretAccessKey are used in place of the keys that the AWS tools would find.
	AccessKeyID, SecretAccessKey string
	// SessionToken belongs to temporary keys.
	SessionToken string
	// Credentials is asked for keys, first when they are needed and again whenever they have expired or were refused. Its
	// context ends with the client.
	Credentials func(context.Context) (Credentials, error)

	// SSMEndpoint is the Systems Manager API, in place of the region's own.
	SSMEndpoint string
	// SSMMessagesEndpoint is the message gateway: scheme, host and port replace the stream URL's.
	SSMMessagesEndpoint string
	// KMSEndpoint is the KMS API, for encrypted sessions.
	KMSEndpoint string
	// ECSEndpoint is the ECS API, for ECSExec.
	ECSEndpoint string
	// CABundle is a PEM file of trusted certificates, in place of AWS_CA_BUNDLE or the system's.
	CABundle string
	// Proxy is the proxy for everything, http://user:password@host:port, in place of what HTTPS_PROXY says.
	Proxy string
	// SkipTLSVerification turns the check of certificates off. Anybody on the way can read and change everything then.
	SkipTLSVerification bool

	// AttachOnly makes a client that only attaches: it needs neither region nor credentials.
	AttachOnly bool
	// NoResume ends a session with its first connection, rather than bring a lost one back.
	NoResume bool
	// UnreadMax is how many bytes may wait for a session's reader; then the far side is stopped. 16 MiB by default.
	UnreadMax uint64

	// StartTimeout is for StartSession, with credentials, retries and throttling. 30 s by default.
	StartTimeout time.Duration
	// ConnectTimeout is for one attempt to open a data channel. 15 s by default.
	ConnectTimeout time.Duration
	// HandshakeTimeout is from the open data channel until the agent is ready. 30 s by default.
	HandshakeTimeout time.Duration
	// ResumeTimeout is from the loss of a data channel until it is back. 3 minutes by default.
	ResumeTimeout time.Duration
	// CloseTimeout is for the farewell when a session is closed. 5 s by default.
	CloseTimeout time.Duration
	// StallTimeout is how long the agent may leave a message unacknowledged. 5 minutes by default.
	StallTimeout time.Duration
	// PingInterval is the silence after which a ping is sent. 30 s by default.
	PingInterval time.Duration
	// PongTimeout is how long a ping may stay unanswered. 20 s by default.
	PongTimeout time.Duration
	// Keepalive keeps sessions from being idle: whenever nothing has been sent for so long, something is of which programs
	// notice nothing. Without it, the service ends sessions that were idle for 20 minutes, or what the account has chosen.
	Keepalive time.Duration
}

// Client has one set of credentials, endpoints and connections, which its sessions share. Make one, and use it for all.
type Client struct {
	id          uint64
	once        sync.Once
	credentials *source
	handle      cgo.Handle
}

// New begins to make a client, and returns at once: the AWS configuration is read in the background, and credentials are
// asked for when they are first needed. What is wrong with them shows when the client is used. Close it in the end.
func New(config Config) (*Client, error) {
	var copies texts
	defer copies.free()
	options := C.ssmwire_client_options{
		size:                  C.sizeof_ssmwire_client_options,
		region:                copies.of("Region", config.Region),
		profile:               copies.of("Profile", config.Profile),
		access_key_id:         copies.of("AccessKeyID", config.AccessKeyID),
		secret_access_key:     copies.of("SecretAccessKey", config.SecretAccessKey),
		session_token:         copies.of("SessionToken", config.SessionToken),
		ssm_endpoint:          copies.of("SSMEndpoint", config.SSMEndpoint),
		ssmmessages_endpoint:  copies.of("SSMMessagesEndpoint", config.SSMMessagesEndpoint),
		kms_endpoint:          copies.of("KMSEndpoint", config.KMSEndpoint),
		ecs_endpoint:          copies.of("ECSEndpoint", config.ECSEndpoint),
		ca_bundle:             copies.of("CABundle", config.CABundle),
		proxy:                 copies.of("Proxy", config.Proxy),
		skip_tls_verification: flag(config.SkipTLSVerification),
		attach_only:           flag(config.AttachOnly),
		no_resume:             flag(config.NoResume),
		unread_max:            C.uint64_t(config.UnreadMax),
		start_timeout_ms:      milliseconds(config.StartTimeout),
		connect_timeout_ms:    milliseconds(config.ConnectTimeout),
		handshake_timeout_ms:  milliseconds(config.HandshakeTimeout),
		resume_timeout_ms:     milliseconds(config.ResumeTimeout),
		close_timeout_ms:      milliseconds(config.CloseTimeout),
		stall_timeout_ms:      milliseconds(config.StallTimeout),
		ping_interval_ms:      milliseconds(config.PingInterval),
		pong_timeout_ms:       milliseconds(config.PongTimeout),
		keepalive_ms:          milliseconds(config.Keepalive),
	}
	if copies.err != nil {
		return nil, copies.err
	}
	made := &Client{}
	if config.Credentials != nil {
		made.credentials = newSource(config.Credentials)
		made.handle = cgo.NewHandle(made.credentials)
	}
	var client C.ssmwire_client
	info := newInfo()
	ended := C.ssmwirego_client_open(&options, C.uintptr_t(made.handle), &client, &info)
	if ended != C.SSMWIRE_OK {
		made.forget()
		return nil, failure(ended, &info)
	}
	made.id = uint64(client.id)
	return made, nil
}

// Ready waits until the AWS configuration is read, and tells what is wrong with it. Credentials are not asked for.
func (c *Client) Ready(ctx context.Context) error {
	// Nothing watches a client, and reading a few files takes no time that would be worth it.
	const step = 5 * time.Millisecond
	ticks := time.NewTicker(step)
	defer ticks.Stop()
	for {
		if ctx.Err() != nil {
			return gaveUp(ctx, "wait for a client")
		}
		info := newInfo()
		if ended := C.ssmwire_client_ready(c.client(), 0, &info); ended != C.SSMWIRE_AGAIN {
			return failure(ended, &info)
		}
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
}

// Close ends all of the client's sessions on the service, and waits until they are told, which Config.CloseTimeout bounds.
// Those that were closed before are waited for, too.
func (c *Client) Close() error {
	ended, info := status(C.SSMWIRE_OK), newInfo()
	c.once.Do(func() {
		ended = C.ssmwire_client_close(c.client(), -1, &info)
		c.forget()
	})
	return failure(ended, &info)
}

// forget lets go of the credentials function, which is not called any more.
func (c *Client) forget() {
	if c.credentials != nil {
		c.credentials.stop()
		c.handle.Delete()
	}
}

func (c *Client) client() C.ssmwire_client { return C.ssmwire_client{C.uint64_t(c.id)} }

// milliseconds returns a time-out for the library: one that is shorter than a millisecond is not none.
func milliseconds(timeout time.Duration) C.int64_t {
	if timeout <= 0 {
		return C.int64_t(max(timeout, -1))
	}
	return C.int64_t((timeout + time.Millisecond - 1) / time.Millisecond)
}

// flag returns what the library calls a switch.
func flag(isOn bool) (made C.uint8_t) {
	if isOn {
		made = 1
	}
	return made
}
