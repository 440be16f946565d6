package ssmwire_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func TestAShellIsResizedAndEnds(t *testing.T) {
	shell, err := newClient(t).Shell(soon(t), target, ssmwire.Size{Columns: 120, Rows: 40})
	noError(t, err)
	defer shell.Close()
	_, err = shell.Write([]byte("stty size\r"))
	noError(t, err)
	readUntil(t, shell, "40 120")
	noError(t, shell.Resize(ssmwire.Size{Columns: 99, Rows: 33}))
	_, err = shell.Write([]byte("stty size\r"))
	noError(t, err)
	readUntil(t, shell, "33 99")
	info, err := shell.Session().Info()
	noError(t, err)
	if info.Kind != ssmwire.SessionShell || info.SessionID == "" {
		t.Errorf("%+v", info)
	}
	if _, err = shell.Session().Connect(soon(t)); !errors.Is(err, ssmwire.ErrUnsupported) {
		t.Error(err)
	}
	// What is typed before the command runs may still be the shell's.
	_, err = shell.Write([]byte("printf 'rea''dy'; exec sed -u s/^/got:/\r"))
	noError(t, err)
	readUntil(t, shell, "ready")
	_, err = shell.Write([]byte("hello\r"))
	noError(t, err)
	readUntil(t, shell, "got:hello")
	noError(t, shell.CloseWrite())
	_, err = io.ReadAll(shell)
	noError(t, err)
	code, err := shell.Session().ExitCode(soon(t))
	noError(t, err)
	if code != -1 {
		t.Errorf("exit code %d of a terminal", code)
	}
	for err == nil {
		// What the agent has to say, if it says something.
		_, err = shell.Session().Event(soon(t))
	}
	if err != io.EOF {
		t.Error(err)
	}
}

func TestASessionOfAnyDocumentHasStreamsAndCounters(t *testing.T) {
	session, err := newClient(t).StartSession(soon(t), ssmwire.StartSession{
		Target: target, Document: "Emulator-Chargen", Reason: "a test",
		Parameters: map[string][]string{"bytes": {"100000"}},
	})
	noError(t, err)
	defer session.Close()
	stdio, err := session.Stdio()
	noError(t, err)
	defer stdio.Close()
	all, err := io.ReadAll(stdio)
	noError(t, err)
	stats, err := session.Stats()
	noError(t, err)
	if len(all) != 100_000 || stats.BytesIn != 100_000 || stats.MessagesIn == 0 || stats.Unread != 0 {
		t.Errorf("%d bytes, %+v", len(all), stats)
	}
}

func TestASessionThatIsKeptAliveSendsWhatIsNoInput(t *testing.T) {
	session, err := newClientOf(t, ssmwire.Config{Keepalive: 20 * time.Millisecond}).StartSession(soon(t), greeter)
	noError(t, err)
	defer session.Close()
	eventually(t, "messages are sent", func() bool {
		stats, err := session.Stats()
		noError(t, err)
		if stats.BytesOut != 0 {
			t.Fatalf("%+v", stats)
		}
		return stats.MessagesOut >= 5
	})
}

func TestASessionThatSomebodyElseStartedIsTakenOver(t *testing.T) {
	started := call(t, "AmazonSSM.StartSession", map[string]any{
		"Target": target, "DocumentName": greeter.Document, "Parameters": greeter.Parameters,
	})
	text := func(name string) string { return started[name].(string) }
	client := newClientOf(t, ssmwire.Config{AttachOnly: true})
	session, err := client.Attach(soon(t), ssmwire.Attach{
		SessionID: text("SessionId"), StreamURL: text("StreamUrl"), Token: text("TokenValue"),
	})
	noError(t, err)
	defer session.Close()
	stdio, err := session.Stdio()
	noError(t, err)
	defer stdio.Close()
	_, err = stdio.Write([]byte("to and fro"))
	noError(t, err)
	readUntil(t, stdio, "to and fro")
}

func TestACommandRunsInAContainer(t *testing.T) {
	client := newClient(t)
	shell, err := client.ECSExec(soon(t), ssmwire.ECSExec{
		Cluster: "shop", Task: task, Container: "web", Command: "echo in the container",
	})
	noError(t, err)
	defer shell.Close()
	readUntil(t, shell, "in the container")
	_, err = client.ECSExec(soon(t), ssmwire.ECSExec{Cluster: "shop", Task: task, Container: "none", Command: "true"})
	if err == nil {
		t.Error("there is no such container")
	}
}

func TestAPortSessionCarriesManyConnections(t *testing.T) {
	address := listen(t, echo)
	_, port, err := net.SplitHostPort(address)
	noError(t, err)
	session, err := newClient(t).StartSession(soon(t), ssmwire.StartSession{
		Target: target, Document: "AWS-StartPortForwardingSession", Parameters: map[string][]string{"portNumber": {port}},
	})
	noError(t, err)
	defer session.Close()
	for _, word := range []string{"one", "two", "three"} {
		conn, err := session.Connect(soon(t))
		noError(t, err)
		defer conn.Close()
		_, err = conn.Write([]byte(word))
		noError(t, err)
		readUntil(t, conn, word)
	}
	info, err := session.Info()
	noError(t, err)
	if info.Kind != ssmwire.SessionPorts || info.AgentVersion == "" {
		t.Errorf("%+v", info)
	}
}

func TestALostConnectionIsResumedAndSaid(t *testing.T) {
	client := newClient(t)
	cutOnceAfter(t, 300_000)
	session, err := client.StartSession(soon(t), ssmwire.StartSession{
		Target: target, Document: "Emulator-Chargen", Parameters: map[string][]string{"bytes": {"1000000"}},
	})
	noError(t, err)
	defer session.Close()
	stdio, err := session.Stdio()
	noError(t, err)
	defer stdio.Close()
	count, err := io.Copy(io.Discard, stdio)
	noError(t, err)
	if count != 1_000_000 {
		t.Errorf("%d bytes", count)
	}
	var kinds []ssmwire.EventKind
	for {
		event, err := session.Event(soon(t))
		if err == io.EOF {
			break
		}
		noError(t, err)
		kinds = append(kinds, event.Kind)
	}
	if len(kinds) != 2 || kinds[0] != ssmwire.EventReconnecting || kinds[1] != ssmwire.EventResumed {
		t.Errorf("%v", kinds)
	}
}

func TestClosingTheClientEndsItsSessions(t *testing.T) {
	client := newClientOf(t, ssmwire.Config{CloseTimeout: patience})
	for i := 0; i < 10; i++ {
		shell, err := client.Shell(soon(t), target, ssmwire.Size{})
		noError(t, err)
		if i%2 == 0 {
			noError(t, shell.Close())
		}
		defer shell.Close()
	}
	noError(t, client.Close())
	if left := activeSessions(t); left != 0 {
		t.Errorf("%d sessions are left", left)
	}
}

func TestWhoWaitsGoesOnWhenItIsClosed(t *testing.T) {
	session := startEcho(t, newClient(t))
	ended := make(chan error)
	go func() { _, err := session.ExitCode(context.Background()); ended <- err }()
	go func() { _, err := session.Event(context.Background()); ended <- err }()
	noError(t, session.Close())
	for i := 0; i < 2; i++ {
		if err := <-ended; !errors.Is(err, net.ErrClosed) || !strings.Contains(err.Error(), "the session is closed") {
			t.Error(err)
		}
	}
}

// startEcho starts a session that greets and then echoes: one that says nothing is waited for, for seconds.
func startEcho(t testing.TB, client *ssmwire.Client) *ssmwire.Session {
	t.Helper()
	session, err := client.StartSession(soon(t), greeter)
	noError(t, err)
	return session
}

var greeter = ssmwire.StartSession{
	Target: target, Document: "Emulator-Echo", Parameters: map[string][]string{"greeting": {"hi"}},
}

func echo(conn net.Conn) {
	defer conn.Close()
	_, _ = io.Copy(conn, conn)
}
