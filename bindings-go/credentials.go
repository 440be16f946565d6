package ssmwire

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"runtime/cgo"
	"time"
)

// Credentials are keys of AWS.
type Credentials struct {
	AccessKeyID     string
	SecretAccessKey string
	SessionToken    string    // belongs to temporary keys
	Expires         time.Time // when to ask again; zero for never
}

// source is the caller's function, which runs on a goroutine for each request.
type source struct {
	ask  func(context.Context) (Credentials, error)
	ctx  context.Context
	stop context.CancelFunc
}

func newSource(ask func(context.Context) (Credentials, error)) *source {
	ctx, stop := context.WithCancel(context.Background())
	return &source{ask, ctx, stop}
}

//export goCredentials
func goCredentials(request C.uint64_t, context C.uintptr_t) {
	// On a thread of the library, which has other things to do.
	go cgo.Handle(context).Value().(*source).answer(C.ssmwire_request{request})
}

// answer answers a request.
func (s *source) answer(request C.ssmwire_request) {
	found, err := s.call()
	if err == nil && (found.AccessKeyID == "" || found.SecretAccessKey == "") {
		err = errors.New("the credentials function has returned no keys")
	}
	var copies texts
	defer copies.free()
	answer := C.ssmwire_credentials{
		size:              C.sizeof_ssmwire_credentials,
		access_key_id:     copies.exact("AccessKeyID", found.AccessKeyID),
		secret_access_key: copies.exact("SecretAccessKey", found.SecretAccessKey),
		session_token:     copies.of("SessionToken", found.SessionToken),
	}
	if !found.Expires.IsZero() {
		answer.expires_at = C.int64_t(found.Expires.Unix())
	}
	if err == nil {
		err = copies.err
	}
	if err != nil {
		var problem texts
		defer problem.free()
		answer.problem = problem.exact("problem", err.Error())
		if answer.problem == nil {
			answer.problem = problem.exact("problem", "the error has a zero byte in it")
		}
	}
	info := newInfo()
	if C.ssmwire_credentials_answer(request, &answer, &info) == C.SSMWIRE_INVALID_ARGUMENT {
		var problem texts
		defer problem.free()
		answer.problem = problem.exact("problem", C.GoString(&info.message[0]))
		C.ssmwire_credentials_answer(request, &answer, nil)
	}
}

// call calls the caller's function; a panic of it is an error of it, and not the process's end.
func (s *source) call() (found Credentials, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("the credentials function panicked: %v", reason)
		}
	}()
	return s.ask(s.ctx)
}
