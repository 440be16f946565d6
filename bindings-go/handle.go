package ssmwire

// #include <ssmwire.h>
import "C"

import (
	"context"
	"net"
	"runtime"
	"sync"
)

// operation is what can be waited for on one handle, by one goroutine at a time; others queue behind it.
type operation int

const (
	opRead operation = iota
	opWrite
	opState
	opEvent
	operations
)

// handleKind is what the functions for one kind of handles are.
type handleKind struct {
	name  string
	watch func(id uint64, queue C.ssmwire_queue, tag uint64, info *C.ssmwire_error) status
	close func(id uint64) status
}

// handle is an id of the library, and who waits on it.
type handle struct {
	kind   *handleKind
	id     uint64
	tag    uint64
	parent *handle // what must not be closed before
	closed chan struct{}
	once   sync.Once
	gates  [operations]gate
	// Closes what nobody has any more.
	cleanup runtime.Cleanup
}

// gate is where the goroutines wait that want one operation.
type gate struct {
	turn  chan struct{} // full while somebody has the turn
	ready chan struct{} // full if a try is worth it
}

// open takes a new id over. If it fails, the id is closed.
func open(k *handleKind, id uint64, parent *handle) (*handle, error) {
	h := &handle{kind: k, id: id, parent: parent, closed: make(chan struct{})}
	for i := range h.gates {
		h.gates[i] = gate{make(chan struct{}, 1), make(chan struct{}, 1)}
	}
	if err := everything.add(h); err != nil {
		h.close()
		return nil, err
	}
	origin := whence()
	tag := h.tag
	h.cleanup = runtime.AddCleanup(h, func(id uint64) {
		everything.remove(tag)
		if k.close(id) == C.SSMWIRE_OK {
			forgotten(k.name, origin)
		}
	}, id)
	return h, nil
}

// close closes the id, once; who waits goes on. Reports whether it was open.
func (h *handle) close() bool {
	return h.closeBy(func() { h.kind.close(h.id) })
}

// closeBy is close with another function for it than the kind's own.
func (h *handle) closeBy(call func()) (isFirst bool) {
	h.once.Do(func() {
		isFirst = true
		h.cleanup.Stop()
		close(h.closed)
		everything.remove(h.tag)
		call()
	})
	return isFirst
}

// wake makes those who wait try again.
func (h *handle) wake() {
	for i := range h.gates {
		select {
		case h.gates[i].ready <- struct{}{}:
		default:
		}
	}
}

// halt says why a wait has ended without what was waited for.
type halt int

const (
	goOn halt = iota
	isDone
	wasClosed
)

// begin waits for the turn.
func (h *handle) begin(op operation, done <-chan struct{}) halt {
	stress()
	// What is over is over, even if there is something to be had.
	select {
	case <-h.closed:
		return wasClosed
	case <-done:
		return isDone
	default:
	}
	select {
	case h.gates[op].turn <- struct{}{}:
		return goOn
	case <-h.closed:
		return wasClosed
	case <-done:
		return isDone
	}
}

// end gives the turn to the next.
func (h *handle) end(op operation) { <-h.gates[op].turn }

// wait waits until a try is worth it.
func (h *handle) wait(op operation, done <-chan struct{}) halt {
	select {
	case <-h.gates[op].ready:
		return goOn
	case <-h.closed:
		return wasClosed
	case <-done:
		return isDone
	}
}

// until tries until it is done, or fails, or the context is over.
func (h *handle) until(ctx context.Context, op operation, what string, try func(*C.ssmwire_error) status) (status, error) {
	halted := h.begin(op, ctx.Done())
	if halted == goOn {
		defer h.end(op)
	}
	for halted == goOn {
		info := newInfo()
		switch ended := try(&info); ended {
		case C.SSMWIRE_OK, C.SSMWIRE_EOF:
			return ended, nil
		case C.SSMWIRE_AGAIN:
			halted = h.wait(op, ctx.Done())
		default:
			return ended, h.failure(ended, &info)
		}
	}
	if halted == wasClosed {
		return C.SSMWIRE_BAD_HANDLE, h.gone()
	}
	return C.SSMWIRE_CANCELLED, gaveUp(ctx, what)
}

// now makes a call that does not wait.
func (h *handle) now(call func(*C.ssmwire_error) status) error {
	stress()
	info := newInfo()
	return h.failure(call(&info), &info)
}

// failure returns a failed call's error.
func (h *handle) failure(ended status, info *C.ssmwire_error) error {
	if ended == C.SSMWIRE_BAD_HANDLE && isClosed(h.closed) {
		return h.gone()
	}
	return failure(ended, info)
}

// gone returns the error of whatever was closed.
func (h *handle) gone() error {
	return &Error{Kind: ErrBadHandle, Message: "the " + h.kind.name + " is closed", cause: net.ErrClosed}
}
