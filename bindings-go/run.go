package ssmwire

// #include "shim.h"
import "C"

import (
	"context"
	"strconv"
	"time"
	"unsafe"
)

// Cmd is what to run.
type Cmd struct {
	Arguments []string // the program and its arguments, which arrive as they are; no shell is involved
	Line      string   // a line for the far side's sh, in place of arguments
	Document  string   // the session document; AWS-StartNonInteractiveCommand by default, and for Run then the default shell
	Reason    string   // why, for the audit log
	IsBinary  bool     // for Run: output that is exact for every byte, not for text only; the far side needs base64
	Input     []byte   // for Run: what the command reads, and then its end; nil for no input; the far side needs sh, stty and dd
	OutputMax uint     // for Run: bytes that each stream may have, else the command is ended: ErrOutputTooLarge; 0 for no limit
}

// Command returns what runs a program.
func Command(name string, arguments ...string) Cmd {
	return Cmd{Arguments: append([]string{name}, arguments...)}
}

// Line returns what runs a line of sh.
func Line(line string) Cmd { return Cmd{Line: line} }

// Output is what a run came to.
type Output struct {
	ExitCode    int // -1 if nobody could tell
	Stdout      []byte
	Stderr      []byte
	IsEnveloped bool // whether lines of sh around the command kept the streams apart, since the agent could or might not
}

// ExitError is the error of a command that ran, and ended with another exit code than 0. It is an ErrCommandFailed.
type ExitError struct {
	Code   int
	Stderr []byte
}

// Error returns the exit code as text.
func (e *ExitError) Error() string { return "exit code " + strconv.Itoa(e.Code) }

// Unwrap returns ErrCommandFailed.
func (e *ExitError) Unwrap() error { return ErrCommandFailed }

// grace is how long the library may take to say what a run has come to whose context is over.
const grace = 2 * time.Second

var runKind = handleKind{
	name: "run",
	watch: func(id uint64, queue C.ssmwire_queue, tag uint64, info *C.ssmwire_error) status {
		return C.ssmwire_run_watch(C.ssmwire_run{C.uint64_t(id)}, queue, C.uint64_t(tag), info)
	},
	close: func(id uint64) status { return C.ssmwire_run_close(C.ssmwire_run{C.uint64_t(id)}, nil) },
}

// Run runs a command to its end, by whichever way the target allows, and at most once. An exit code other than 0 is an
// [*ExitError]. The output is there in any case: of a command that was ended by its context, and of a session that has failed,
// what had arrived. A command whose context is over is ended.
func (c *Client) Run(ctx context.Context, target string, command Cmd) (*Output, error) {
	nothing := &Output{ExitCode: -1}
	var copies texts
	defer copies.free()
	options := command.options(target, &copies)
	if moment, isSet := ctx.Deadline(); isSet {
		options.run_timeout_ms = max(milliseconds(time.Until(moment)), 1)
	}
	if copies.err != nil {
		return nothing, copies.err
	}
	if ctx.Err() != nil {
		return nothing, gaveUp(ctx, "run a command")
	}
	var id C.ssmwire_run
	info := newInfo()
	if ended := C.ssmwire_run_start(c.client(), &options, &id, &info); ended != C.SSMWIRE_OK {
		return nothing, failure(ended, &info)
	}
	h, err := open(&runKind, uint64(id.id), nil)
	if err != nil {
		return nothing, err
	}
	defer h.close()
	result := C.ssmwire_run_result{size: C.sizeof_ssmwire_run_result}
	wait := func(info *C.ssmwire_error) status { return C.ssmwire_run_wait(id, 0, &result, info) }
	_, err = h.until(ctx, opState, "run a command", wait)
	if ctx.Err() != nil && !bool(result.is_over) {
		// A run that has the same deadline ends by itself. It is about to tell what had arrived.
		C.ssmwire_run_stop(id, nil)
		soon, stop := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer stop()
		_, _ = h.until(soon, opState, "run a command", wait)
	}
	if !bool(result.is_over) {
		return nothing, err
	}
	output := &Output{
		ExitCode:    -1,
		Stdout:      readRun(id, C.SSMWIRE_STDOUT, result.stdout_len),
		Stderr:      readRun(id, C.SSMWIRE_STDERR, result.stderr_len),
		IsEnveloped: bool(result.is_enveloped),
	}
	if bool(result.has_exit_code) {
		output.ExitCode = int(result.exit_code)
		if err == nil && output.ExitCode != 0 {
			err = &ExitError{output.ExitCode, output.Stderr}
		}
	}
	if moment, isSet := ctx.Deadline(); err != nil && isSet && failedOf(err, ErrTimeout) && !time.Now().Before(moment) {
		// Two clocks, one deadline: the run's may be a moment ahead of the context's.
		<-ctx.Done()
		err = gaveUp(ctx, "run a command")
	}
	return output, err
}

// readRun copies what a run that is over has written.
func readRun(run C.ssmwire_run, which C.int, length C.uint64_t) []byte {
	bytes := make([]byte, length)
	for at := 0; at < len(bytes); {
		var count C.size_t
		rest := bytes[at:]
		place := (*C.uint8_t)(unsafe.SliceData(rest))
		ended := C.ssmwire_run_read(run, which, C.uint64_t(at), place, C.size_t(len(rest)), &count, nil)
		if ended != C.SSMWIRE_OK {
			return bytes[:at]
		}
		at += int(count)
	}
	return bytes
}

func failedOf(err error, kind Kind) bool {
	failed, isOurs := err.(*Error)
	return isOurs && failed.Kind == kind
}

func (command *Cmd) options(target string, copies *texts) C.ssmwire_command_options {
	return C.ssmwire_command_options{
		size:          C.sizeof_ssmwire_command_options,
		target:        copies.of("target", target),
		arguments:     copies.list("Arguments", command.Arguments),
		arguments_len: C.size_t(len(command.Arguments)),
		line:          copies.of("Line", command.Line),
		document:      copies.of("Document", command.Document),
		reason:        copies.of("Reason", command.Reason),
		is_binary:     flag(command.IsBinary),
		input:         copies.bytes(command.Input),
		input_len:     C.size_t(len(command.Input)),
		output_max:    C.size_t(command.OutputMax),
	}
}
