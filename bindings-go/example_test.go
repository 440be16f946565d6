package ssmwire_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

// A command: its exit code is in the error, and standard output and standard error are apart.
func ExampleClient_Run() {
	client, err := ssmwire.New(ssmwire.Config{Region: "eu-west-1"})
	must(err)
	defer client.Close()

	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	out, err := client.Run(ctx, target, ssmwire.Line("echo found; echo but not all >&2; exit 3"))
	var exit *ssmwire.ExitError
	if errors.As(err, &exit) {
		fmt.Printf("exit code %d, %q, %q\n", exit.Code, out.Stdout, out.Stderr)
	}
	// Output: exit code 3, "found\n", "but not all\n"
}

// An HTTP client that reaches what the target reaches.
func ExampleClient_DialContext_http() {
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(answer, "from behind the target")
	}))
	defer server.Close()

	client, err := ssmwire.New(ssmwire.Config{})
	must(err)
	defer client.Close()
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		return client.DialContext(ctx, target, network, address)
	}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(server.URL)
	must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(err)
	fmt.Println(response.Status, string(body))
	// Output: 200 OK from behind the target
}

// driverConfig stands for what PostgreSQL drivers have: pgx's pgconn.Config, in which DialFunc is this hook, and for
// which LookupFunc must leave the host's name to the target:
//
//	config, err := pgx.ParseConfig("postgres://app@db.internal:5432/shop")
//	config.DialFunc = through(client)
//	config.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
//	conn, err := pgx.ConnectConfig(ctx, config)
type driverConfig struct {
	Host       string
	Port       string
	DialFunc   func(ctx context.Context, network, address string) (net.Conn, error)
	LookupFunc func(ctx context.Context, host string) ([]string, error)
}

// connect does what a driver does first: it asks whether the server takes TLS.
func (c *driverConfig) connect(ctx context.Context) (answer byte, err error) {
	hosts, err := c.LookupFunc(ctx, c.Host)
	if err != nil {
		return 0, err
	}
	conn, err := c.DialFunc(ctx, "tcp", net.JoinHostPort(hosts[0], c.Port))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err = conn.SetDeadline(deadline); err != nil {
		return 0, err
	}
	if _, err = conn.Write([]byte{0, 0, 0, 8, 4, 210, 22, 47}); err != nil {
		return 0, err
	}
	return bufio.NewReader(conn).ReadByte()
}

// A dial hook for a PostgreSQL driver, such as DialFunc of pgx.
func ExampleClient_DialContext_postgres() {
	server, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	defer server.Close()
	go func() {
		conn, err := server.Accept()
		must(err)
		defer conn.Close()
		_, err = io.ReadFull(conn, make([]byte, 8))
		must(err)
		_, err = conn.Write([]byte("N"))
		must(err)
	}()
	host, port, err := net.SplitHostPort(server.Addr().String())
	must(err)

	client, err := ssmwire.New(ssmwire.Config{})
	must(err)
	defer client.Close()
	config := driverConfig{
		Host: host,
		Port: port,
		DialFunc: func(ctx context.Context, network, address string) (net.Conn, error) {
			return client.DialContext(ctx, target, network, address)
		},
		LookupFunc: func(_ context.Context, host string) ([]string, error) { return []string{host}, nil },
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	answer, err := config.connect(ctx)
	must(err)
	fmt.Printf("TLS: %c\n", answer)
	// Output: TLS: N
}

// A local port for programs that can't dial through a function.
func ExampleClient_Forward() {
	client, err := ssmwire.New(ssmwire.Config{})
	must(err)
	defer client.Close()
	forward, err := client.Forward(context.Background(), target, "db.internal:5432", "127.0.0.1:0")
	must(err)
	defer forward.Close()
	fmt.Println(forward.Addr().Network(), "at", forward.Addr().(*net.TCPAddr).IP)
	// Output: tcp at 127.0.0.1
}

// A shell: what is written is typed, what is read is shown.
func ExampleClient_Shell() {
	client, err := ssmwire.New(ssmwire.Config{})
	must(err)
	defer client.Close()
	shell, err := client.Shell(context.Background(), target, ssmwire.Size{Columns: 120, Rows: 40})
	must(err)
	defer shell.Close()
	_, err = shell.Write([]byte("stty -echo; echo $((6 * 7)); exit\r"))
	must(err)
	output, err := io.ReadAll(shell)
	must(err)
	fmt.Println(len(output) > 0)
	// Output: true
}

// What kind of error it is decides what to do.
func ExampleError() {
	client, err := ssmwire.New(ssmwire.Config{})
	must(err)
	defer client.Close()
	_, err = client.Run(context.Background(), "i-00000000000000000", ssmwire.Command("true"))
	var failed *ssmwire.Error
	if errors.Is(err, ssmwire.ErrTargetNotConnected) && errors.As(err, &failed) {
		fmt.Println(failed.Kind.String(), failed.AWSCode, failed.IsRetryable)
	}
	// Output: TargetNotConnected TargetNotConnected true
}
