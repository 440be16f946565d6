//go:build unix

package ssmwire_test

import (
	"errors"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"
)

func TestAFileIsTheConnection(t *testing.T) {
	near, far := pair(t, newClient(t))
	file, err := near.IntoFile()
	noError(t, err)
	defer file.Close()
	if _, err = file.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 8)
	_, err = io.ReadFull(far, buffer)
	noError(t, err)
	_, err = far.Write([]byte("answer"))
	noError(t, err)
	far.Close()
	got, err := io.ReadAll(file)
	if string(got) != "answer" || string(buffer) != "question" || err != nil {
		t.Error(string(got), string(buffer), err)
	}
	// The connection itself is closed.
	if _, err = near.Read(buffer); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err = near.IntoFile(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestWhoReadsGoesOnWhenAConnectionBecomesAFile(t *testing.T) {
	near, far := pair(t, newClient(t))
	ended := make(chan error)
	go func() {
		_, err := near.Read(make([]byte, 1))
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond)
	file, err := near.IntoFile()
	noError(t, err)
	defer file.Close()
	if err = <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	// What that read did not take, the file has.
	_, err = far.Write([]byte("x"))
	noError(t, err)
	_, err = io.ReadFull(file, make([]byte, 1))
	noError(t, err)
}

func TestAChildProcessReadsAndWritesAFile(t *testing.T) {
	near, far := pair(t, newClient(t))
	file, err := near.IntoFile()
	noError(t, err)
	child := exec.Command("sh", "-c", `read line && echo "$line" && exec cat >/dev/null`)
	child.Stdin, child.Stdout = file, file
	noError(t, child.Start())
	noError(t, file.Close())
	_, err = far.Write([]byte("there and back\n"))
	noError(t, err)
	buffer := make([]byte, 15)
	_, err = io.ReadFull(far, buffer)
	if string(buffer) != "there and back\n" || err != nil {
		t.Error(string(buffer), err)
	}
	// The end of the connection is the end of its input.
	far.Close()
	noError(t, child.Wait())
}
