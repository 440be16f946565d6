package ssmwire

// #include "shim.h"
import "C"

import (
	"strings"
	"unsafe"
)

// texts are copies for the library of what a caller passes, until the call has returned.
type texts struct {
	copies []*C.char
	blocks [][]byte
	arrays []unsafe.Pointer
	err    error
}

// of copies a text; an empty one is none.
func (t *texts) of(name, text string) *C.char {
	if text == "" {
		return nil
	}
	return t.exact(name, text)
}

// exact copies a text that may be empty.
func (t *texts) exact(name, text string) *C.char {
	if strings.IndexByte(text, 0) >= 0 {
		t.err = invalid(name, "has a zero byte in it")
		return nil
	}
	copied := C.CString(text)
	t.copies = append(t.copies, copied)
	return copied
}

// bytes copies bytes, of which there may be none; nil is none at all.
func (t *texts) bytes(values []byte) *C.uint8_t {
	if values == nil {
		return nil
	}
	// Room for one at least: an empty input is not the same as no input.
	memory := C.malloc(C.size_t(max(len(values), 1)))
	t.arrays = append(t.arrays, memory)
	block := unsafe.Slice((*byte)(memory), len(values))
	copy(block, values)
	t.blocks = append(t.blocks, block)
	return (*C.uint8_t)(memory)
}

// list copies a list of texts.
func (t *texts) list(name string, values []string) **C.char {
	if len(values) == 0 {
		return nil
	}
	memory := C.calloc(C.size_t(len(values)), C.size_t(unsafe.Sizeof((*C.char)(nil))))
	t.arrays = append(t.arrays, memory)
	for i, value := range values {
		unsafe.Slice((**C.char)(memory), len(values))[i] = t.exact(name, value)
	}
	return (**C.char)(memory)
}

// parameters copies a document's parameters.
func (t *texts) parameters(values map[string][]string) (*C.ssmwire_parameter, C.size_t) {
	count := 0
	for _, list := range values {
		count += len(list)
	}
	if count == 0 {
		return nil, 0
	}
	memory := C.calloc(C.size_t(count), C.sizeof_ssmwire_parameter)
	t.arrays = append(t.arrays, memory)
	at := 0
	for name, list := range values {
		for _, value := range list {
			parameter := &unsafe.Slice((*C.ssmwire_parameter)(memory), count)[at]
			parameter.name, parameter.value = t.exact("Parameters", name), t.exact("Parameters", value)
			at++
		}
	}
	return (*C.ssmwire_parameter)(memory), C.size_t(count)
}

// free wipes and frees the copies: keys are among them, and what commands read.
func (t *texts) free() {
	for _, block := range t.blocks {
		clear(block)
	}
	for _, copied := range t.copies {
		C.ssmwirego_wipe(copied)
	}
	for _, memory := range t.arrays {
		C.free(memory)
	}
}
