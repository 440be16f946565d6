package ssmwire

import (
	"sync"
	"time"
)

// deadline is a moment that can be moved while somebody waits for it.
type deadline struct {
	mutex  sync.Mutex
	timer  *time.Timer
	passed chan struct{}
	// Counts the calls of set: a timer that goes off late finds out that it is not meant.
	version int
}

func newDeadline() *deadline { return &deadline{passed: make(chan struct{})} }

// done returns a channel that is closed when the moment comes. It is the same until the moment has come.
func (d *deadline) done() <-chan struct{} {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.passed
}

// set moves the moment; zero is never.
func (d *deadline) set(moment time.Time) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.version++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	isPassed := isClosed(d.passed)
	left := time.Until(moment)
	if !moment.IsZero() && left <= 0 {
		if !isPassed {
			close(d.passed)
		}
		return
	}
	if isPassed {
		d.passed = make(chan struct{})
	}
	if moment.IsZero() {
		return
	}
	version := d.version
	d.timer = time.AfterFunc(left, func() {
		d.mutex.Lock()
		defer d.mutex.Unlock()
		if d.version == version {
			close(d.passed)
		}
	})
}

func isClosed(channel <-chan struct{}) bool {
	select {
	case <-channel:
		return true
	default:
		return false
	}
}
