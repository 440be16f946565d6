package ssmwire_test

import (
	"errors"
	"io"
	"net"
	"path/filepath"
	"sync"
	"testing"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func TestAForwardCarriesConnectionsAndCounts(t *testing.T) {
	address := listen(t, echo)
	forward, err := newClient(t).Forward(soon(t), target, address, "")
	noError(t, err)
	defer forward.Close()
	if forward.Addr().(*net.TCPAddr).Port == 0 {
		t.Error(forward.Addr())
	}
	var all sync.WaitGroup
	for range 10 {
		all.Add(1)
		go func() {
			defer all.Done()
			conn, err := net.Dial("tcp", forward.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			if _, err = conn.Write([]byte("hello")); err != nil {
				t.Error(err)
			}
			got := make([]byte, 5)
			if _, err = io.ReadFull(conn, got); err != nil || string(got) != "hello" {
				t.Error(string(got), err)
			}
		}()
	}
	all.Wait()
	// What was given is counted a moment after it was given.
	eventually(t, "everything is counted", func() bool {
		stats, err := forward.Stats()
		noError(t, err)
		return stats.Connections == 10 && stats.Sent == 50 && stats.Received == 50 && stats.Failed == 0
	})
	noError(t, forward.Close())
	if _, err = net.Dial("tcp", forward.Addr().String()); err == nil {
		t.Error("something still listens")
	}
	if _, err = forward.Event(soon(t)); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestAForwardListensOnAUnixSocketAndTellsOfRefusals(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	listener.Close()
	port := uint16(listener.Addr().(*net.TCPAddr).Port)
	path := filepath.Join(t.TempDir(), "socket")
	forward, err := newClient(t).Listen(soon(t), ssmwire.Listen{
		Dial: ssmwire.Dial{Target: target, Port: port}, Bind: "unix:" + path, Sessions: 2,
	})
	noError(t, err)
	defer forward.Close()
	conn, err := net.Dial(forward.Addr().Network(), forward.Addr().String())
	noError(t, err)
	defer conn.Close()
	event, err := forward.Event(soon(t))
	noError(t, err)
	if event.Kind != ssmwire.EventConnectionFailed || !errors.Is(event.Err, ssmwire.ErrRemoteConnectFailed) {
		t.Errorf("%+v", event)
	}
}

func TestAnAddressThatIsTakenIsSaidToBe(t *testing.T) {
	address := listen(t, echo)
	_, err := newClient(t).Forward(soon(t), target, address, address)
	if !errors.Is(err, ssmwire.ErrListenFailed) {
		t.Error(err)
	}
}
