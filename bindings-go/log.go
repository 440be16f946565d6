package ssmwire

// #include "shim.h"
import "C"

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
)

// LevelTrace is the level of the finest log records.
const LevelTrace = slog.LevelDebug - 4

var (
	logger  atomic.Pointer[slog.Logger]
	setting sync.Mutex
)

// SetLogger sends the library's log records to a logger; with nil, nowhere, as at first. The level that the logger has
// now is the finest that it will get. Tokens, keys and what sessions carry are in none of them. Records have an
// attribute, part, that says which part of the library they come from. There is one logger for the process.
func SetLogger(l *slog.Logger) error {
	setting.Lock()
	defer setting.Unlock()
	finest := C.int(C.SSMWIRE_LOG_OFF)
	if l != nil {
		for level := finest; level <= C.SSMWIRE_LOG_TRACE; level++ {
			if level != C.SSMWIRE_LOG_OFF && l.Enabled(context.Background(), levelOf(level)) {
				finest = level
			}
		}
	}
	logger.Store(l)
	info := newInfo()
	return failure(C.ssmwirego_set_log(finest, &info), &info)
}

//export goLog
func goLog(level C.int, target, message *C.char) {
	if l := logger.Load(); l != nil {
		l.Log(context.Background(), levelOf(level), C.GoString(message), "part", C.GoString(target))
	}
}

func levelOf(level C.int) slog.Level {
	switch level {
	case C.SSMWIRE_LOG_ERROR:
		return slog.LevelError
	case C.SSMWIRE_LOG_WARN:
		return slog.LevelWarn
	case C.SSMWIRE_LOG_INFO:
		return slog.LevelInfo
	case C.SSMWIRE_LOG_DEBUG:
		return slog.LevelDebug
	default:
		return LevelTrace
	}
}
