package ssmwire

// #include <ssmwire.h>
import "C"

import (
	"context"
	"time"
)

// Version returns the library's version, such as 0.1.0.
func Version() string { return C.GoString(C.ssmwire_version()) }

// Shutdown ends everything: closes all that is open, ends the sessions on the service, and ends the library's threads. It
// waits for that until the context's deadline, which is all of the context that counts. Who waits goes on with
// ErrBadHandle. The library can be used again after it.
func Shutdown(ctx context.Context) error {
	timeout := C.int64_t(-1)
	if moment, isSet := ctx.Deadline(); isSet {
		timeout = max(milliseconds(time.Until(moment)), 0)
	}
	info := newInfo()
	ended := C.ssmwire_shutdown(timeout, &info)
	everything.forget()
	return failure(ended, &info)
}
