package ssmwire_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// supervised is a run of the supervisor of examples/supervise.
type supervised struct {
	command *exec.Cmd
	records chan map[string]any
}

func supervise(t *testing.T, arguments ...string) *supervised {
	t.Helper()
	program := filepath.Join(t.TempDir(), "supervise")
	if output, err := exec.Command("go", "build", "-o", program, "./examples/supervise").CombinedOutput(); err != nil {
		t.Fatal(err, string(output))
	}
	run := &supervised{exec.Command(program, arguments...), make(chan map[string]any, 100)}
	run.command.Stderr = os.Stderr
	output, err := run.command.StdoutPipe()
	noError(t, err)
	noError(t, run.command.Start())
	t.Cleanup(func() { run.command.Process.Kill() })
	go func() {
		defer close(run.records)
		for lines := bufio.NewScanner(output); lines.Scan(); {
			record := make(map[string]any)
			if err := json.Unmarshal(lines.Bytes(), &record); err != nil {
				t.Errorf("%v: %s", err, lines.Text())
			}
			run.records <- record
		}
	}()
	return run
}

// next waits for the next record, which must have that message.
func (s *supervised) next(t *testing.T, message string) map[string]any {
	t.Helper()
	select {
	case record := <-s.records:
		if record["msg"] != message {
			t.Fatalf("%v instead of %q", record, message)
		}
		return record
	case <-time.After(patience):
		t.Fatalf("%q does not come", message)
		return nil
	}
}

// end waits for the end of the records and of the process, and returns its exit code.
func (s *supervised) end(t *testing.T) int {
	t.Helper()
	for record := range s.records {
		t.Errorf("%v comes, too", record)
	}
	s.command.Wait()
	return s.command.ProcessState.ExitCode()
}

func TestTheSupervisorForwardsTellsOfFailuresAndEndsOnASignal(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	remote := listener.Addr().String()
	run := supervise(t, "-target", target, "-remote", remote)
	local := run.next(t, "forwarding")["address"].(string)

	// A connection is made while the far program runs, and reset while it does not.
	go func() {
		if conn, err := listener.Accept(); err == nil {
			echo(conn)
		}
	}()
	conn, err := net.Dial("tcp", local)
	noError(t, err)
	_, err = conn.Write([]byte("hello"))
	noError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 5))
	noError(t, err)
	noError(t, listener.Close())
	refused, err := net.Dial("tcp", local)
	noError(t, err)
	defer refused.Close()
	if kind := run.next(t, "a connection failed")["kind"]; kind != "ssmwire: RemoteConnectFailed" {
		t.Error(kind)
	}

	conn.Close()
	noError(t, run.command.Process.Signal(syscall.SIGTERM))
	closing := run.next(t, "closing")
	if closing["connections"] != 2.0 || closing["failed"] != 1.0 || closing["sent"] != 5.0 {
		t.Error(closing)
	}
	run.next(t, "ended")
	if code := run.end(t); code != 0 {
		t.Error(code)
	}
	if active := activeSessions(t); active != 0 {
		t.Errorf("%d sessions are left", active)
	}
}

func TestTheSupervisorGoesOnAfterItsSessionWasEnded(t *testing.T) {
	run := supervise(t, "-target", target, "-remote", listen(t, echo))
	local := run.next(t, "forwarding")["address"].(string)
	for _, session := range call(t, "AmazonSSM.DescribeSessions", map[string]any{"State": "Active"})["Sessions"].([]any) {
		call(t, "AmazonSSM.TerminateSession", map[string]any{"SessionId": session.(map[string]any)["SessionId"]})
	}
	// Whoever connects in the moment of the end is reset.
	eventually(t, "connections are made again", func() bool {
		conn, err := net.Dial("tcp", local)
		noError(t, err)
		defer conn.Close()
		noError(t, conn.SetDeadline(time.Now().Add(patience)))
		_, written := conn.Write([]byte("hello"))
		_, read := io.ReadFull(conn, make([]byte, 5))
		return written == nil && read == nil
	})
	noError(t, run.command.Process.Signal(syscall.SIGINT))
	for record := range run.records {
		if record["msg"] == "ended" {
			break
		}
	}
	if code := run.end(t); code != 0 {
		t.Error(code)
	}
}

func TestTheSupervisorWaitsForANodeThatIsNotThereAndGivesUpWhereThatCannotHelp(t *testing.T) {
	run := supervise(t, "-target", "i-00000000000000000", "-remote", ":22", "-longest-pause", "100ms")
	for range 2 {
		if text := run.next(t, "not forwarding")["error"].(string); !strings.Contains(text, "not connected") {
			t.Error(text)
		}
	}
	noError(t, run.command.Process.Signal(syscall.SIGINT))
	for record := range run.records {
		if record["msg"] == "ended" {
			break
		}
	}
	if code := run.end(t); code != 0 {
		t.Error(code)
	}
	taken := listen(t, echo)
	run = supervise(t, "-target", target, "-remote", ":22", "-local", taken)
	if hint := run.next(t, "gave up")["hint"].(string); !strings.Contains(hint, "another address") {
		t.Error(hint)
	}
	if code := run.end(t); code != 1 {
		t.Error(code)
	}
}
