// The program bench moves bytes for ffi/benches/overhead.rs, which measures the same without Go in the same run. It takes
// orders from its standard input, and answers each with the nanoseconds that it has taken:
//
//	read URL BYTES        attaches to a gateway, and reads to the end
//	write BYTES           writes to a program that takes everything, until all is acknowledged
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	ssmwire "github.com/ssmwire/ssmwire/bindings-go"
)

func main() {
	orders := bufio.NewScanner(os.Stdin)
	var sink *ssmwire.Conn
	for orders.Scan() {
		words := strings.Fields(orders.Text())
		var bytes int
		_, err := fmt.Sscan(words[len(words)-1], &bytes)
		must(err)
		var taken time.Duration
		switch words[0] {
		case "read":
			taken = read(words[1], bytes)
		case "write":
			if sink == nil {
				sink = open()
			}
			taken = write(sink, bytes)
		}
		fmt.Println(taken.Nanoseconds())
	}
}

func read(url string, bytes int) time.Duration {
	client, err := ssmwire.New(ssmwire.Config{AttachOnly: true})
	must(err)
	defer client.Close()
	begun := time.Now()
	session, err := client.Attach(context.Background(), ssmwire.Attach{SessionID: "bench", StreamURL: url, Token: "open"})
	must(err)
	defer session.Close()
	stdio, err := session.Stdio()
	must(err)
	defer stdio.Close()
	buffer, total := make([]byte, 64<<10), 0
	for err == nil {
		var count int
		count, err = stdio.Read(buffer)
		total += count
	}
	taken := time.Since(begun)
	if err != io.EOF || total != bytes {
		panic(fmt.Sprint(total, " bytes, ", err))
	}
	return taken
}

func open() *ssmwire.Conn {
	client, err := ssmwire.New(ssmwire.Config{})
	must(err)
	session, err := client.StartSession(context.Background(), ssmwire.StartSession{
		Target: "i-0123456789abcdef0", Document: "Emulator-Sink",
	})
	must(err)
	stdio, err := session.Stdio()
	must(err)
	return stdio
}

func write(sink *ssmwire.Conn, bytes int) time.Duration {
	data := make([]byte, bytes)
	begun := time.Now()
	_, err := sink.Write(data)
	must(err)
	must(sink.Flush(context.Background()))
	return time.Since(begun)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
