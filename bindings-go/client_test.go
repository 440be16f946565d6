package ssmwire_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func TestCredentialsAreAskedForWhenTheyAreNeeded(t *testing.T) {
	var asked atomic.Int32
	client := newClientOf(t, ssmwire.Config{Credentials: func(context.Context) (ssmwire.Credentials, error) {
		asked.Add(1)
		return ssmwire.Credentials{
			AccessKeyID:     emulator["AWS_ACCESS_KEY_ID"],
			SecretAccessKey: emulator["AWS_SECRET_ACCESS_KEY"],
			Expires:         time.Now().Add(time.Hour),
		}, nil
	}})
	if asked.Load() != 0 {
		t.Error("nobody needs them yet")
	}
	for range 3 {
		_, err := client.Run(soon(t), target, ssmwire.Command("true"))
		noError(t, err)
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestCredentialsThatCannotBeHadAreAnError(t *testing.T) {
	answers := map[string]func(context.Context) (ssmwire.Credentials, error){
		"the vault is shut": func(context.Context) (ssmwire.Credentials, error) {
			return ssmwire.Credentials{}, errors.New("the vault is shut")
		},
		"panicked: no vault": func(context.Context) (ssmwire.Credentials, error) { panic("no vault") },
		"has returned no keys": func(context.Context) (ssmwire.Credentials, error) {
			return ssmwire.Credentials{}, nil
		},
	}
	for want, answer := range answers {
		client := newClientOf(t, ssmwire.Config{Credentials: answer})
		_, err := client.Run(soon(t), target, ssmwire.Command("true"))
		if !errors.Is(err, ssmwire.ErrCredentialsUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

func TestARequestForCredentialsEndsWithTheClient(t *testing.T) {
	asked, ended := make(chan struct{}), make(chan struct{})
	client := newClientOf(t, ssmwire.Config{Credentials: func(ctx context.Context) (ssmwire.Credentials, error) {
		close(asked)
		<-ctx.Done()
		close(ended)
		return ssmwire.Credentials{}, ctx.Err()
	}})
	failed := make(chan error)
	go func() {
		_, err := client.StartSession(context.Background(), ssmwire.StartSession{Target: target})
		failed <- err
	}()
	<-asked
	noError(t, client.Close())
	<-ended
	if err := <-failed; err == nil {
		t.Error("it has started")
	}
}

// notes is a log that can be read while it is written.
type notes struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (n *notes) Write(record []byte) (int, error) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.text.Write(record)
}

func (n *notes) String() string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.text.String()
}

func TestTheLogGoesToTheLoggerAndHasNoSecrets(t *testing.T) {
	client := newClient(t)
	var log notes
	handler := slog.NewTextHandler(&log, &slog.HandlerOptions{Level: ssmwire.LevelTrace})
	noError(t, ssmwire.SetLogger(slog.New(handler)))
	defer ssmwire.SetLogger(nil)
	cutOnceAfter(t, 2000)
	_, err := client.Run(soon(t), target, ssmwire.Line("echo hunter2; seq 5000"))
	noError(t, err)
	eventually(t, "something is logged", func() bool { return strings.Contains(log.String(), "part=ssmwire") })
	noError(t, ssmwire.SetLogger(nil))
	length := len(log.String())
	_, err = client.Run(soon(t), target, ssmwire.Command("true"))
	noError(t, err)
	if text := log.String(); len(text) != length || strings.Contains(text, "hunter2") ||
		strings.Contains(text, emulator["AWS_SECRET_ACCESS_KEY"]) {
		t.Error(text)
	}
}

func TestWhatNobodyHasAnyMoreIsClosed(t *testing.T) {
	client := newClient(t)
	before := ssmwire.OpenHandles()
	func() {
		session := startEcho(t, client)
		stdio, err := session.Stdio()
		noError(t, err)
		// The stream alone keeps the session.
		session = nil
		runtime.GC()
		runtime.GC()
		_, err = stdio.Write([]byte("still there"))
		noError(t, err)
		noError(t, stdio.Flush(soon(t)))
	}()
	eventually(t, "all is collected", func() bool {
		runtime.GC()
		return ssmwire.OpenHandles() == before
	})
	eventually(t, "the session ends", func() bool { return activeSessions(t) == 0 })
}

func TestTheLibraryIsShutDownAndUsedAgain(t *testing.T) {
	client, err := ssmwire.New(ssmwire.Config{})
	noError(t, err)
	shell, err := client.Shell(soon(t), target, ssmwire.Size{})
	noError(t, err)
	ended := make(chan error)
	go func() { _, err := shell.Session().ExitCode(context.Background()); ended <- err }()
	noError(t, ssmwire.Shutdown(soon(t)))
	if err := <-ended; !errors.Is(err, ssmwire.ErrBadHandle) {
		t.Error(err)
	}
	noError(t, shell.Close())
	if err := client.Close(); !errors.Is(err, ssmwire.ErrBadHandle) {
		t.Error(err)
	}
	_, err = newClient(t).Run(soon(t), target, ssmwire.Command("true"))
	noError(t, err)
	if ssmwire.Version() == "" {
		t.Error("no version")
	}
}

func TestReadyTellsWhatIsWrongWithTheConfiguration(t *testing.T) {
	noError(t, newClient(t).Ready(soon(t)))
	client, err := ssmwire.New(ssmwire.Config{Profile: "there-is-no-such-profile"})
	noError(t, err)
	defer client.Close()
	if err = client.Ready(soon(t)); !errors.Is(err, ssmwire.ErrInvalidArgument) {
		t.Error(err)
	}
	over, stop := context.WithCancel(context.Background())
	stop()
	if err = client.Ready(over); !errors.Is(err, ssmwire.ErrCancelled) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
