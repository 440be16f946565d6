package ssmwire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand"
	"net"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func TestGivingUpLosesNoByte(t *testing.T) {
	near, far := pair(t, newClient(t))
	want := make([]byte, 1<<20)
	rand.New(rand.NewSource(7)).Read(want)
	go echo(far)
	go func() {
		for rest := want; len(rest) > 0; {
			near.SetWriteDeadline(time.Now().Add(time.Duration(rand.Intn(500)) * time.Microsecond))
			count, err := near.Write(rest)
			if err != nil {
				isTimeout(t, err)
			}
			rest = rest[count:]
		}
	}()
	got, gaveUp := make([]byte, 0, len(want)), 0
	for buffer := make([]byte, 1000); len(got) < len(want); {
		near.SetReadDeadline(time.Now().Add(time.Duration(rand.Intn(200)) * time.Microsecond))
		count, err := near.Read(buffer)
		if err != nil {
			isTimeout(t, err)
			gaveUp++
		}
		got = append(got, buffer[:count]...)
	}
	if !bytes.Equal(got, want) || gaveUp == 0 {
		t.Errorf("given up %d times, and the bytes are not the same", gaveUp)
	}
	noError(t, near.Flush(soon(t)))
}

func TestAfterCloseWriteTheAnswerIsStillRead(t *testing.T) {
	near, far := pair(t, newClient(t))
	_, err := near.Write([]byte("question"))
	noError(t, err)
	noError(t, near.CloseWrite())
	buffer := make([]byte, 8)
	_, err = io.ReadFull(far, buffer)
	noError(t, err)
	_, err = far.Write([]byte("answer"))
	noError(t, err)
	far.Close()
	got, err := io.ReadAll(near)
	if string(got) != "answer" || string(buffer) != "question" {
		t.Error(string(got), string(buffer), err)
	}
}

func TestWhatWasWrittenArrivesThoughItIsClosed(t *testing.T) {
	near, far := pair(t, newClient(t))
	_, err := near.Write(bytes.Repeat([]byte("x"), 100_000))
	noError(t, err)
	noError(t, near.Close())
	got, err := io.ReadAll(far)
	if len(got) != 100_000 || err != nil {
		t.Error(len(got), err)
	}
}

func TestARefusedConnectionIsSaidToBe(t *testing.T) {
	client := newClient(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	listener.Close()
	conn, err := client.DialContext(soon(t), target, "tcp", listener.Addr().String())
	if err == nil {
		defer conn.Close()
		_, err = conn.Read(make([]byte, 1))
	}
	var opError *net.OpError
	if !errors.Is(err, ssmwire.ErrRemoteConnectFailed) || !errors.As(err, &opError) {
		t.Error(err)
	}
	if conn, err = client.DialContext(soon(t), "i-00000000000000000", "tcp", ":22"); conn != nil {
		t.Error("a nil pointer is no nil interface")
	}
	if !errors.Is(err, ssmwire.ErrTargetNotConnected) {
		t.Error(err)
	}
}

func TestADialThatTakesTooLongEndsWithItsContext(t *testing.T) {
	client := newClientOf(t, ssmwire.Config{Credentials: func(ctx context.Context) (ssmwire.Credentials, error) {
		<-ctx.Done()
		return ssmwire.Credentials{}, ctx.Err()
	}})
	ctx, stop := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer stop()
	_, err := client.DialContext(ctx, target, "tcp", ":22")
	var timeout net.Error
	if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error(err)
	}
}
