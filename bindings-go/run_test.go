package ssmwire_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func TestRunKeepsStreamsApartAndTellsTheExitCode(t *testing.T) {
	client := newClient(t)
	out, err := client.Run(soon(t), target, ssmwire.Line("echo out; echo err >&2"))
	noError(t, err)
	if string(out.Stdout) != "out\n" || string(out.Stderr) != "err\n" || out.ExitCode != 0 || out.IsEnveloped {
		t.Errorf("%+v", out)
	}
	out, err = client.Run(soon(t), target, ssmwire.Line("echo out; echo err >&2; exit 7"))
	var exit *ssmwire.ExitError
	if !errors.As(err, &exit) || exit.Code != 7 || string(exit.Stderr) != "err\n" {
		t.Fatal(err)
	}
	if !errors.Is(err, ssmwire.ErrCommandFailed) || err.Error() != "exit code 7" {
		t.Error(err)
	}
	if string(out.Stdout) != "out\n" || out.ExitCode != 7 {
		t.Errorf("%+v", out)
	}
}

func TestRunPassesArgumentsAsTheyAre(t *testing.T) {
	out, err := newClient(t).Run(soon(t), target, ssmwire.Command("printf", "<%s>", "a b", "", "'$HOME'", "ü"))
	noError(t, err)
	if string(out.Stdout) != "<a b><><'$HOME'><ü>" {
		t.Errorf("%q", out.Stdout)
	}
}

func TestRunCarriesEveryByte(t *testing.T) {
	command := ssmwire.Line(`printf '\000\377\200'`)
	command.IsBinary = true
	out, err := newClient(t).Run(soon(t), target, command)
	noError(t, err)
	if string(out.Stdout) != "\x00\xff\x80" {
		t.Errorf("%q", out.Stdout)
	}
}

func TestRunGivesACommandItsInput(t *testing.T) {
	client := newClient(t)
	command := ssmwire.Line("cat; echo end")
	command.IsBinary = true
	for _, input := range []string{"a\x00\x03\xff", ""} {
		command.Input = []byte(input)
		out, err := client.Run(soon(t), target, command)
		noError(t, err)
		if string(out.Stdout) != input+"end\n" {
			t.Errorf("%q", out.Stdout)
		}
	}
	if _, err := client.Start(soon(t), target, command); !errors.Is(err, ssmwire.ErrInvalidArgument) {
		t.Error(err)
	}
}

func TestRunEndsACommandThatWritesTooMuch(t *testing.T) {
	client := newClient(t)
	command := ssmwire.Line("yes")
	command.OutputMax = 5
	out, err := client.Run(soon(t), target, command)
	if !errors.Is(err, ssmwire.ErrOutputTooLarge) || string(out.Stdout) != "y\ny\ny" || out.ExitCode != -1 {
		t.Errorf("%+v %v", out, err)
	}
	command.Line = "printf 12345"
	out, err = client.Run(soon(t), target, command)
	noError(t, err)
	if string(out.Stdout) != "12345" {
		t.Errorf("%q", out.Stdout)
	}
}

func TestADeadlineEndsARunAndLeavesWhatHadArrived(t *testing.T) {
	client := newClient(t)
	ctx, stop := context.WithTimeout(context.Background(), 3*time.Second)
	defer stop()
	out, err := client.Run(ctx, target, ssmwire.Line("echo begun; echo warned >&2; sleep 60"))
	if !errors.Is(err, ssmwire.ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if string(out.Stdout) != "begun\n" || string(out.Stderr) != "warned\n" || out.ExitCode != -1 {
		t.Errorf("%+v", out)
	}
}

func TestACancelledRunIsEndedAndLeavesWhatHadArrived(t *testing.T) {
	client := newClient(t)
	ctx, stop := context.WithCancel(context.Background())
	time.AfterFunc(2*time.Second, stop)
	started := time.Now()
	out, err := client.Run(ctx, target, ssmwire.Line("echo begun; echo warned >&2; exec sleep 600"))
	if !errors.Is(err, ssmwire.ErrCancelled) || !errors.Is(err, context.Canceled) || time.Since(started) > patience/2 {
		t.Fatal(err)
	}
	if string(out.Stdout) != "begun\n" || string(out.Stderr) != "warned\n" || out.ExitCode != -1 {
		t.Errorf("%+v", out)
	}
	eventually(t, "the session ends", func() bool { return activeSessions(t) == 0 })
}

func TestAProcessStreamsAndIsInterrupted(t *testing.T) {
	client, ctx := newClient(t), soon(t)
	process, err := client.Start(ctx, target, ssmwire.Line("echo out; echo err >&2; exit 3"))
	noError(t, err)
	errs, err := io.ReadAll(process.Stderr)
	noError(t, err)
	out, err := io.ReadAll(process.Stdout)
	noError(t, err)
	var exit *ssmwire.ExitError
	if err = process.Wait(ctx); string(out) != "out\n" || string(errs) != "err\n" || !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("%q %q %v", out, errs, err)
	}
	noError(t, process.Close())

	process, err = client.Start(ctx, target, ssmwire.Line("echo begun; exec sleep 600"))
	noError(t, err)
	readUntil(t, process.Stdout, "begun")
	if _, err = process.Stdout.Write([]byte("input")); !errors.Is(err, ssmwire.ErrUnsupported) {
		t.Error(err)
	}
	noError(t, process.Interrupt())
	if err = process.Wait(ctx); err == nil {
		t.Error("the interrupted command has succeeded")
	}
	noError(t, process.Close())
}

// readUntil reads until there was a text.
func readUntil(t testing.TB, reader io.Reader, want string) {
	t.Helper()
	var all strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(all.String(), want) {
		count, err := reader.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %q, without %q", err, all.String(), want)
		}
		all.Write(buffer[:count])
	}
}
