package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
)

// dam stands between apply workers and the source: what the source's walsenders send gathers in it, until it is opened.
type dam struct {
	listener net.Listener
	source   string
	opened   chan struct{}
}

func startDam(tb testing.TB, source int) *dam {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	d := &dam{listener: l, source: fmt.Sprintf("127.0.0.1:%d", source), opened: make(chan struct{})}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.serve(c)
		}
	}()
	return d
}

func (d *dam) port() int { return d.listener.Addr().(*net.TCPAddr).Port }

// Open lets go what has gathered, and whatever comes later.
func (d *dam) Open() { close(d.opened) }

// Close takes no further connections; those that are there go on until one of their sides ends.
func (d *dam) Close() { _ = d.listener.Close() }

func (d *dam) serve(worker net.Conn) {
	defer worker.Close()
	source, err := net.Dial("tcp", d.source)
	if err != nil {
		return
	}
	defer source.Close()
	streams := make(chan struct{}) // closed before the source hears that it is to stream
	go d.ask(source, worker, streams)
	for b := make([]byte, 32<<10); ; {
		n, err := source.Read(b)
		if err != nil {
			return
		}
		held := b[:n]
		select {
		case <-streams: // the answer itself, CopyBothResponse, is what the worker waits for before it listens to anything
			if n < 5 || int(binary.BigEndian.Uint32(b[1:])) >= n {
				return
			}
			answer := 1 + binary.BigEndian.Uint32(b[1:])
			held = bytes.Clone(b[answer:n])
			if _, err := worker.Write(b[:answer]); err == nil {
				d.hold(worker, source, held)
			}
			return
		default:
			if _, err := worker.Write(held); err != nil {
				return
			}
		}
	}
}

// ask passes on what the worker says, at once.
func (d *dam) ask(source io.WriteCloser, worker io.Reader, streams chan struct{}) {
	defer source.Close()
	for b, told := make([]byte, 32<<10), false; ; {
		n, err := worker.Read(b)
		if !told && bytes.Contains(b[:n], []byte("START_REPLICATION")) {
			told = true
			close(streams)
		}
		if err != nil {
			return
		}
		if _, err := source.Write(b[:n]); err != nil {
			return
		}
	}
}

// hold gathers what comes, and writes it once the dam is open.
func (d *dam) hold(worker io.Writer, source io.Reader, gathered []byte) {
	var mu sync.Mutex
	more := sync.NewCond(&mu)
	ended := false
	go func() {
		for b := make([]byte, 256<<10); ; {
			n, err := source.Read(b)
			mu.Lock()
			gathered, ended = append(gathered, b[:n]...), err != nil
			more.Signal()
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	<-d.opened
	for {
		mu.Lock()
		for len(gathered) == 0 && !ended {
			more.Wait()
		}
		now := gathered
		gathered = nil
		mu.Unlock()
		if len(now) == 0 {
			return
		}
		if _, err := worker.Write(now); err != nil {
			return
		}
	}
}
