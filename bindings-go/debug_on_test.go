//go:build ssmwiredebug

package ssmwire

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"time"
)

// channel is a writer that hands on what is written.
type channel chan string

func (c channel) Write(text []byte) (int, error) {
	c <- string(text)
	return len(text), nil
}

func TestWhatIsNotClosedIsReported(t *testing.T) {
	found := make(channel, 2)
	previous := reports
	reports = found
	defer func() { reports = previous }()
	client, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err = client.Shell(context.Background(), "i-0123456789abcdef0", Size{}); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{"a stream was not closed": true, "a session was not closed": true}
	timeout := time.After(30 * time.Second)
	for len(left) > 0 {
		runtime.GC()
		select {
		case report := <-found:
			what, _, _ := strings.Cut(strings.TrimPrefix(report, "ssmwire: "), ";")
			if !left[what] || !strings.Contains(report, "TestWhatIsNotClosedIsReported") {
				t.Error(report)
			}
			delete(left, what)
		case <-timeout:
			t.Fatal("not reported: ", left)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
