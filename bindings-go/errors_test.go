package ssmwire_test

import (
	"context"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func TestKindsAreThoseOfTheTable(t *testing.T) {
	text, err := os.ReadFile("../tests/vectors/errors.json")
	noError(t, err)
	var table struct {
		Errors []struct {
			Number   int32
			Name, Go string
		}
	}
	noError(t, json.Unmarshal(text, &table))
	source, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, 0)
	noError(t, err)
	ours := make(map[string]string)
	ast.Inspect(source, func(node ast.Node) bool {
		if spec, is := node.(*ast.ValueSpec); is && strings.HasPrefix(spec.Names[0].Name, "Err") {
			ours[spec.Names[0].Name] = spec.Values[0].(*ast.BasicLit).Value
		}
		return true
	})
	for _, row := range table.Errors {
		if number := strconv.Itoa(int(row.Number)); ours[row.Go] != number {
			t.Errorf("%s is %q, not %s", row.Go, ours[row.Go], number)
		}
		if name := ssmwire.Kind(row.Number).String(); name != row.Name {
			t.Errorf("%d is %s, not %s", row.Number, name, row.Name)
		}
		delete(ours, row.Go)
	}
	if len(ours) != 0 || len(table.Errors) == 0 {
		t.Errorf("not in the table: %v", ours)
	}
}

func TestErrorsSayWhatHasHappened(t *testing.T) {
	client := newClient(t)
	_, err := client.StartSession(soon(t), ssmwire.StartSession{Target: "i-00000000000000000"})
	var failed *ssmwire.Error
	if !errors.Is(err, ssmwire.ErrTargetNotConnected) || !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if failed.AWSCode != "TargetNotConnected" || failed.HTTPStatus != 400 || failed.RequestID == "" || failed.Hint == "" ||
		!failed.IsRetryable || failed.Phase != ssmwire.PhaseStart || failed.Phase.String() != "start" || failed.Timeout() {
		t.Errorf("%+v", failed)
	}
	if !strings.HasPrefix(err.Error(), "ssmwire: ") || errors.Is(err, ssmwire.ErrAccessDenied) {
		t.Error(err)
	}
	_, err = client.StartSession(soon(t), ssmwire.StartSession{Target: target, Document: "No-Such"})
	if !errors.Is(err, ssmwire.ErrInvalidDocument) {
		t.Error(err)
	}
}

func TestArgumentsThatCannotBeMeantAreNamed(t *testing.T) {
	client, ctx := newClient(t), soon(t)
	try := func(want string, call func() error) {
		t.Helper()
		err := call()
		if !errors.Is(err, ssmwire.ErrInvalidArgument) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
	try("target", func() error { _, err := client.StartSession(ctx, ssmwire.StartSession{}); return err })
	try("Reason", func() error {
		_, err := client.StartSession(ctx, ssmwire.StartSession{Target: target, Reason: "a\x00b"})
		return err
	})
	try("network", func() error { _, err := client.DialContext(ctx, target, "udp", ":22"); return err })
	try("address", func() error { _, err := client.DialContext(ctx, target, "tcp", "nothing"); return err })
	try("address", func() error { _, err := client.DialContext(ctx, target, "tcp", "host:70000"); return err })
	try("port", func() error { _, err := client.Dial(ctx, ssmwire.Dial{Target: target}); return err })
	try("Sessions", func() error { _, err := client.Listen(ctx, ssmwire.Listen{Sessions: 65}); return err })
	try("arguments", func() error { _, err := client.Run(ctx, target, ssmwire.Cmd{}); return err })
	try("stream_url", func() error { _, err := client.Attach(ctx, ssmwire.Attach{SessionID: "s-1", Token: "t"}); return err })
	try("secret_access_key", func() error { _, err := ssmwire.New(ssmwire.Config{AccessKeyID: "A"}); return err })
}

func TestWhatIsOverIsSaidToBe(t *testing.T) {
	client := newClient(t)
	over, stop := context.WithCancelCause(context.Background())
	reason := errors.New("no longer wanted")
	stop(reason)
	calls := map[string]func() error{
		"start":   func() error { _, err := client.StartSession(over, ssmwire.StartSession{Target: target}); return err },
		"dial":    func() error { _, err := client.DialContext(over, target, "tcp", ":22"); return err },
		"forward": func() error { _, err := client.Forward(over, target, ":22", ""); return err },
		"run":     func() error { _, err := client.Run(over, target, ssmwire.Command("true")); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, ssmwire.ErrCancelled) || !errors.Is(err, reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
	session := startEcho(t, client)
	_, err := session.ExitCode(over)
	if !errors.Is(err, reason) {
		t.Error(err)
	}
	noError(t, session.Close())
	if _, err = session.ExitCode(soon(t)); !errors.Is(err, ssmwire.ErrBadHandle) || !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	noError(t, client.Close())
	if _, err = client.StartSession(soon(t), ssmwire.StartSession{Target: target}); !errors.Is(err, ssmwire.ErrBadHandle) {
		t.Error(err)
	}
}

func TestWhatIsUsedWhileItsClientIsClosedIsSaidToBeClosed(t *testing.T) {
	client := newClient(t)
	session := startEcho(t, client)
	stream, err := session.Stdio()
	noError(t, err)
	ended := make(chan error)
	go func() {
		var err error
		for err == nil {
			_, err = stream.Read(make([]byte, 100))
		}
		ended <- err
	}()
	time.Sleep(100 * time.Millisecond)
	noError(t, client.Close())
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := client.Run(soon(t), target, ssmwire.Command("true")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	stream.Close()
	session.Close()
}
