package ssmwire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

// threads returns how many threads of the system this process has.
func threads(t testing.TB) int {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	_, rest, _ := strings.Cut(string(text), "Threads:")
	count, err := strconv.Atoi(strings.TrimSpace(strings.SplitN(rest, "\n", 2)[0]))
	noError(t, err)
	return count
}

func TestAThousandBlockedReadsCostNoThreads(t *testing.T) {
	client := newClient(t)
	address := listen(t, echo)
	conns := make([]*ssmwire.Conn, 1000)
	conns[0] = dial(t, client, address)
	before := threads(t)
	ended := make(chan error, len(conns))
	for i := range conns {
		if i > 0 {
			conns[i] = dial(t, client, address)
		}
		go func() {
			_, err := conns[i].Read(make([]byte, 1))
			ended <- err
		}()
	}
	time.Sleep(100 * time.Millisecond)
	if now := threads(t); now > before+8 {
		t.Errorf("%d threads, and %d before", now, before)
	}
	for i, conn := range conns {
		if i%2 == 0 {
			noError(t, conn.Close())
			continue
		}
		_, err := conn.Write([]byte("x"))
		noError(t, err)
	}
	for i := range conns {
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Error(i, err)
		}
	}
}

func TestAThousandSessionsAtOnce(t *testing.T) {
	// The farewells of all of them at once take longer than those of a few.
	client := newClientOf(t, ssmwire.Config{CloseTimeout: patience})
	const count = 1000
	var started, all sync.WaitGroup
	started.Add(count)
	ctx, stop := context.WithTimeout(context.Background(), 3*patience)
	defer stop()
	// A session that is being started takes a connection to the API: not all of them at once.
	turns := make(chan struct{}, 50)
	one := func(i int) error {
		turns <- struct{}{}
		session, err := client.StartSession(ctx, greeter)
		<-turns
		started.Done()
		if err != nil {
			return err
		}
		defer session.Close()
		stdio, err := session.Stdio()
		if err != nil {
			return err
		}
		defer stdio.Close()
		started.Wait()
		word := fmt.Sprintf("session %d", i)
		if _, err = stdio.Write([]byte(word)); err != nil {
			return err
		}
		got := make([]byte, len("hi"+word))
		if _, err = io.ReadFull(stdio, got); err == nil && string(got) != "hi"+word {
			err = fmt.Errorf("%q came back", got)
		}
		return err
	}
	for i := range count {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := one(i); err != nil {
				t.Error(i, err)
			}
		}()
	}
	started.Wait()
	if now := activeSessions(t); now == 0 {
		t.Error("no session is active")
	}
	all.Wait()
}

func TestAnHTTPTransportKeepsItsConnections(t *testing.T) {
	client := newClient(t)
	var connections sync.Map
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	noError(t, err)
	server := &http.Server{Handler: http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		connections.Store(request.RemoteAddr, true)
		body, _ := io.ReadAll(request.Body)
		fmt.Fprintf(answer, "%s %s", request.URL.Path, body)
	})}
	go server.Serve(listener)
	defer server.Close()
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return client.DialContext(ctx, target, network, address)
		},
		MaxIdleConnsPerHost: 4,
		MaxConnsPerHost:     4,
	}
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport, Timeout: patience}
	requests := make(chan int)
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range requests {
				want := strings.Repeat(strconv.Itoa(i), 1+i*10)
				response, err := web.Post(fmt.Sprintf("http://%s/%d", listener.Addr(), i), "text/plain", strings.NewReader(want))
				if err != nil {
					t.Error(err)
					continue
				}
				body, err := io.ReadAll(response.Body)
				response.Body.Close()
				if err != nil || string(body) != fmt.Sprintf("/%d %s", i, want) {
					t.Errorf("request %d: %d bytes, %v", i, len(body), err)
				}
			}
		}()
	}
	for i := range 200 {
		requests <- i
	}
	close(requests)
	all.Wait()
	count := 0
	connections.Range(func(any, any) bool { count++; return true })
	if count < 1 || count > 4 {
		t.Errorf("%d connections for 200 requests", count)
	}
}
