package ssmwire

// #include <ssmwire.h>
import "C"

import (
	"sync"
	"weak"
)

// reactor is who waits for everything: one goroutine in the library's queue, which says what can go on.
//
// It does not keep a handle alive: one that nobody else has any more is closed by the garbage collector.
type reactor struct {
	mutex   sync.Mutex
	queue   C.ssmwire_queue
	handles map[uint64]weak.Pointer[handle]
	tags    uint64
}

// everything is the reactor of the process. It starts with the first handle and ends with Shutdown.
var everything = reactor{handles: make(map[uint64]weak.Pointer[handle])}

// Tags that are taken from the queue at once.
const tagsAtOnce = 256

// add begins to watch a handle.
func (r *reactor) add(h *handle) error {
	info := newInfo()
	r.mutex.Lock()
	if r.queue.id == 0 {
		if ended := C.ssmwire_queue_open(&r.queue, &info); ended != C.SSMWIRE_OK {
			r.mutex.Unlock()
			return failure(ended, &info)
		}
		go r.run(r.queue)
	}
	r.tags++
	h.tag = r.tags
	r.handles[h.tag] = weak.Make(h)
	queue := r.queue
	r.mutex.Unlock()
	return failure(h.kind.watch(h.id, queue, h.tag, &info), &info)
}

func (r *reactor) remove(tag uint64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	delete(r.handles, tag)
}

// run wakes those who can go on, until the queue is closed.
func (r *reactor) run(queue C.ssmwire_queue) {
	var tags [tagsAtOnce]C.uint64_t
	var count C.size_t
	for C.ssmwire_queue_wait(queue, &tags[0], tagsAtOnce, -1, &count, nil) == C.SSMWIRE_OK {
		r.mutex.Lock()
		for _, tag := range tags[:count] {
			if h := r.handles[uint64(tag)].Value(); h != nil {
				h.wake()
			}
		}
		r.mutex.Unlock()
	}
	// The library was shut down. All that there was is closed, as those will see who try again.
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.queue == queue {
		r.queue = C.ssmwire_queue{}
	}
	for _, weakly := range r.handles {
		if h := weakly.Value(); h != nil {
			h.wake()
		}
	}
}

// forget makes the next handle open a queue of its own.
func (r *reactor) forget() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.queue = C.ssmwire_queue{}
}
