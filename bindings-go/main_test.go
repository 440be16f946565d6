package ssmwire_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

const (
	target = "i-0123456789abcdef0"
	task   = "0123456789abcdef0123456789abcdef"
	// Longer than anything here may take on a busy machine.
	patience = 60 * time.Second
)

// emulator is the environment that leads to it.
var emulator map[string]string

// TestMain runs everything against an emulator of its own. The environment variable SSMWIRE names the ssmwire command.
func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	program := os.Getenv("SSMWIRE")
	if program == "" {
		fmt.Fprintln(os.Stderr, "SSMWIRE must name the ssmwire command; `make go-test` sets it")
		return 2
	}
	command := exec.Command(program, "emulator", "--port", "0", "--json",
		"--target", target, "--ecs-container", "shop/"+task+"/web")
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "AWS_") {
			command.Env = append(command.Env, variable)
		}
	}
	// A shell that reads nothing of the account's when it starts: that could wait, and write.
	command.Env = append(command.Env, "SHELL=/bin/sh", "ENV=")
	command.Stderr = os.Stderr
	output, err := command.StdoutPipe()
	must(err)
	must(command.Start())
	defer func() {
		must(command.Process.Signal(os.Interrupt))
		must(command.Wait())
	}()
	line, err := bufio.NewReader(output).ReadBytes('\n')
	must(err)
	must(json.Unmarshal(line, &emulator))
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "AWS_") {
			must(os.Unsetenv(name))
		}
	}
	for name, value := range emulator {
		must(os.Setenv(name, value))
	}
	return m.Run()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// cutOnceAfter cuts each session's connection after so many bytes, once, until the test is over.
func cutOnceAfter(t *testing.T, bytes int) {
	t.Helper()
	set := func(bytes, times int) {
		call(t, "SsmwireEmulator.ApplyFaults", map[string]any{
			"faults": []any{map[string]any{"fault": "cut_client_after", "bytes": bytes, "times": times}},
		})
	}
	set(bytes, 1)
	t.Cleanup(func() { set(0, 0) })
}

func noError(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newClient returns a client that is closed in the end; then nothing may be left of what the test has opened.
func newClient(t testing.TB) *ssmwire.Client { return newClientOf(t, ssmwire.Config{}) }

func newClientOf(t testing.TB, config ssmwire.Config) *ssmwire.Client {
	t.Helper()
	before := ssmwire.OpenHandles()
	client, err := ssmwire.New(config)
	noError(t, err)
	t.Cleanup(func() {
		noError(t, client.Close())
		if left := ssmwire.OpenHandles() - before; left != 0 {
			t.Errorf("%d handles are left", left)
		}
	})
	return client
}

func soon(t testing.TB) context.Context {
	ctx, stop := context.WithTimeout(context.Background(), patience)
	t.Cleanup(stop)
	return ctx
}

func eventually(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !isSo(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			buffer := make([]byte, 1<<20)
			t.Fatalf("not within %v: %s\n%s", patience, what, buffer[:runtime.Stack(buffer, true)])
		}
	}
}

// listen accepts connections at a local port, each in a goroutine of its own.
func listen(t testing.TB, serve func(net.Conn)) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}
