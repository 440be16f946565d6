package ssmwire_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"math/rand"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

var (
	longAgo = time.Unix(233431200, 0)
	never   = time.Time{}
)

// pair returns both ends of a connection: ours, and the far server's.
func pair(t testing.TB, client *ssmwire.Client) (*ssmwire.Conn, net.Conn) {
	t.Helper()
	accepted := make(chan net.Conn, 1)
	address := listen(t, func(conn net.Conn) { accepted <- conn })
	conn := dial(t, client, address)
	select {
	case far := <-accepted:
		t.Cleanup(func() { far.Close() })
		return conn, far
	case <-time.After(patience):
		t.Fatal("nobody connects")
		return nil, nil
	}
}

// dial connects to a local port by way of the target.
func dial(t testing.TB, client *ssmwire.Client, address string) *ssmwire.Conn {
	t.Helper()
	conn, err := client.DialContext(soon(t), target, "tcp", address)
	noError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn.(*ssmwire.Conn)
}

// TestConn has the checks of golang.org/x/net/nettest's TestConn, written anew: what package net promises of a net.Conn.
func TestConn(t *testing.T) {
	checks := []struct {
		name  string
		check func(t *testing.T, near, far net.Conn)
	}{
		{"BasicIO", basicIO}, {"PingPong", pingPong}, {"RacyRead", racyRead}, {"RacyWrite", racyWrite},
		{"ReadTimeout", readTimeout}, {"WriteTimeout", writeTimeout}, {"PastTimeout", pastTimeout},
		{"PresentTimeout", presentTimeout}, {"FutureTimeout", futureTimeout}, {"CloseTimeout", closeTimeout},
		{"ConcurrentMethods", concurrentMethods}, {"Closed", closedConn},
	}
	client := newClient(t)
	for _, one := range checks {
		t.Run(one.name, func(t *testing.T) {
			near, far := pair(t, client)
			one.check(t, near, far)
		})
	}
}

// basicIO sends megabytes there and back again.
func basicIO(t *testing.T, near, far net.Conn) {
	want := make([]byte, 4<<20)
	rand.New(rand.NewSource(0)).Read(want)
	var all sync.WaitGroup
	all.Add(2)
	go func() {
		defer all.Done()
		if _, err := near.Write(want); err != nil {
			t.Error(err)
		}
	}()
	go func() {
		defer all.Done()
		if _, err := io.CopyN(far, far, int64(len(want))); err != nil {
			t.Error(err)
		}
		far.Close()
	}()
	got, err := io.ReadAll(near)
	noError(t, err)
	all.Wait()
	if sha256.Sum256(got) != sha256.Sum256(want) {
		t.Errorf("%d bytes, and not those that were written", len(got))
	}
}

// pingPong counts a number up on the way to and fro.
func pingPong(t *testing.T, near, far net.Conn) {
	play := func(conn net.Conn) {
		for buffer := make([]byte, 8); ; {
			if _, err := io.ReadFull(conn, buffer); err != nil {
				t.Error(err)
			}
			count := binary.LittleEndian.Uint64(buffer)
			binary.LittleEndian.PutUint64(buffer, count+1)
			if count >= 100 {
				return
			}
			if _, err := conn.Write(buffer); err != nil {
				t.Error(err)
			}
			if count == 99 {
				return
			}
		}
	}
	_, err := near.Write(make([]byte, 8))
	noError(t, err)
	var all sync.WaitGroup
	for _, conn := range []net.Conn{near, far} {
		all.Add(1)
		go func() { defer all.Done(); play(conn) }()
	}
	all.Wait()
}

// racyRead reads from many goroutines, with deadlines that they all move.
func racyRead(t *testing.T, near, far net.Conn) {
	go io.Copy(far, rand.New(rand.NewSource(0)))
	race(t, near.Read, near.SetReadDeadline)
}

// racyWrite writes from many goroutines, with deadlines that they all move.
func racyWrite(t *testing.T, near, far net.Conn) {
	go io.Copy(io.Discard, far)
	race(t, near.Write, near.SetWriteDeadline)
}

func race(t *testing.T, transfer func([]byte) (int, error), set func(time.Time) error) {
	var all sync.WaitGroup
	for i := 0; i < 10; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			buffer := make([]byte, 1024)
			noErrorOrTimeout(t, set(time.Now().Add(time.Millisecond)))
			for j := 0; j < 10; j++ {
				_, err := transfer(buffer)
				if err != nil {
					noErrorOrTimeout(t, err)
					noErrorOrTimeout(t, set(time.Now().Add(time.Millisecond)))
				}
			}
		}()
	}
	all.Wait()
}

func noErrorOrTimeout(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		isTimeout(t, err)
	}
}

// isTimeout checks that an error is what package net wants of a passed deadline.
func isTimeout(t *testing.T, err error) {
	t.Helper()
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("not a passed deadline: %v", err)
	}
}

func readTimeout(t *testing.T, near, far net.Conn) {
	go io.Copy(io.Discard, far)
	noError(t, near.SetReadDeadline(longAgo))
	_, err := near.Read(make([]byte, 1024))
	isTimeout(t, err)
	_, err = near.Write(make([]byte, 1024))
	noError(t, err)
}

func writeTimeout(t *testing.T, near, far net.Conn) {
	go io.Copy(far, rand.New(rand.NewSource(0)))
	noError(t, near.SetWriteDeadline(longAgo))
	_, err := near.Write(make([]byte, 1024))
	isTimeout(t, err)
	_, err = near.Read(make([]byte, 1024))
	noError(t, err)
}

// pastTimeout sets a deadline that has passed, and takes it back.
func pastTimeout(t *testing.T, near, far net.Conn) {
	go echo(far)
	roundTrip(t, near)
	noError(t, near.SetDeadline(longAgo))
	for range 2 {
		count, err := near.Write(make([]byte, 1024))
		isTimeout(t, err)
		if count != 0 {
			t.Errorf("wrote %d bytes", count)
		}
		count, err = near.Read(make([]byte, 1024))
		isTimeout(t, err)
		if count != 0 {
			t.Errorf("read %d bytes", count)
		}
	}
	roundTrip(t, near)
}

// presentTimeout ends what is waiting.
func presentTimeout(t *testing.T, near, _ net.Conn) {
	blocked(t, near, func() { noError(t, near.SetDeadline(longAgo)) }, isTimeout)
}

// futureTimeout passes while somebody waits, and the connection goes on after it.
func futureTimeout(t *testing.T, near, far net.Conn) {
	noError(t, near.SetDeadline(time.Now().Add(200*time.Millisecond)))
	blocked(t, near, func() {}, isTimeout)
	go echo(far)
	resync(t, near)
	roundTrip(t, near)
}

// closeTimeout closes while somebody waits.
func closeTimeout(t *testing.T, near, _ net.Conn) {
	blocked(t, near, func() { noError(t, near.Close()) }, func(t *testing.T, err error) {
		t.Helper()
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// blocked reads and writes until both wait, and checks how they go on.
func blocked(t *testing.T, near net.Conn, end func(), check func(*testing.T, error)) {
	var all sync.WaitGroup
	all.Add(2)
	go func() {
		defer all.Done()
		_, err := near.Read(make([]byte, 1024))
		check(t, err)
	}()
	go func() {
		defer all.Done()
		var err error
		for err == nil {
			_, err = near.Write(make([]byte, 1024))
		}
		check(t, err)
	}()
	time.Sleep(100 * time.Millisecond)
	end()
	all.Wait()
}

func concurrentMethods(t *testing.T, near, far net.Conn) {
	go echo(far)
	var all sync.WaitGroup
	for range 50 {
		for _, call := range []func(){
			func() { near.Read(make([]byte, 1024)) },
			func() { near.Write(make([]byte, 1024)) },
			func() { near.SetDeadline(time.Now().Add(10 * time.Millisecond)) },
			func() { near.SetReadDeadline(never); near.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) },
			func() { near.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)) },
			func() { near.LocalAddr() },
			func() { near.RemoteAddr() },
		} {
			all.Add(1)
			go func() { defer all.Done(); call() }()
		}
	}
	all.Wait()
}

func closedConn(t *testing.T, near, far net.Conn) {
	if count, err := near.Read(nil); count != 0 || err != nil {
		t.Error(count, err)
	}
	if count, err := near.Write(nil); count != 0 || err != nil {
		t.Error(count, err)
	}
	if near.LocalAddr().Network() != "ssm" || near.RemoteAddr().String() != target+"/"+far.LocalAddr().String() {
		t.Error(near.LocalAddr(), near.RemoteAddr())
	}
	noError(t, near.Close())
	_, readError := near.Read(make([]byte, 1))
	_, writeError := near.Write(make([]byte, 1))
	for _, err := range []error{near.Close(), readError, writeError, near.SetDeadline(never)} {
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

// roundTrip sends something to an echo, and reads it.
func roundTrip(t *testing.T, near net.Conn) {
	t.Helper()
	noError(t, near.SetDeadline(never))
	want := make([]byte, 1024)
	rand.Read(want)
	_, err := near.Write(want)
	noError(t, err)
	got := make([]byte, len(want))
	_, err = io.ReadFull(near, got)
	noError(t, err)
	if !bytes.Equal(got, want) {
		t.Error("what came back is not what was sent")
	}
}

// resync reads until what comes is what was just sent.
func resync(t *testing.T, near net.Conn) {
	noError(t, near.SetDeadline(never))
	go near.Write(bytes.Repeat([]byte{0xff}, 1024))
	buffer := make([]byte, 1024)
	for buffer[0] == 0 {
		count, err := near.Read(buffer)
		noError(t, err)
		if at := bytes.IndexByte(buffer[:count], 0xff); at >= 0 {
			_, err = io.ReadFull(near, make([]byte, 1024-(count-at)))
			noError(t, err)
			return
		}
	}
}
