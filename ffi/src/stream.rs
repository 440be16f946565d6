//! Streams of bytes.

use std::ffi::c_int;
use std::sync::OnceLock;
use std::task::{Context, Poll, ready};

use ssmwire::{ByteStream, Error, Kind, Result, Task};

use crate::error::{AGAIN, EOF, ErrorInfo, OK, Status, guard};
use crate::handle::Operation;
use crate::memory::{need, room, set, slice};
use crate::queue::{QueueHandle, watch};
use crate::state::{found, state};
use crate::waiting::wait_for;

/// A stream of bytes from and to the far side.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StreamHandle {
    /// 0 is none.
    pub id: u64,
}

/// A stream, perhaps still being opened.
pub(crate) struct StreamValue {
    opened: OnceLock<ByteStream>,
    opening: Option<Task<ByteStream>>,
}

impl StreamValue {
    fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<&ByteStream>> {
        if let Some(stream) = self.opened.get() {
            return Poll::Ready(Ok(stream));
        }
        let Some(opening) = &self.opening else {
            return Poll::Ready(Err(Error::new(Kind::Internal, "nobody opens the stream")));
        };
        let stream = ready!(opening.poll(cx))?;
        Poll::Ready(Ok(self.opened.get_or_init(|| stream)))
    }
}

/// Opens the handle of a stream that is there.
pub(crate) fn open(stream: ByteStream) -> Result<StreamHandle> {
    let value = StreamValue { opened: OnceLock::from(stream), opening: None };
    Ok(StreamHandle { id: found("stream", state().streams.open(value))? })
}

/// Opens the handle of a stream that will be there.
pub(crate) fn open_later(opening: Task<ByteStream>) -> Result<StreamHandle> {
    let value = StreamValue { opened: OnceLock::new(), opening: Some(opening) };
    Ok(StreamHandle { id: found("stream", state().streams.open(value))? })
}

/// Waits until the stream is open: its session has started, its connection is made.
///
/// Any thread; not while another reads it, else `SSMWIRE_BUSY`. Waits as `timeout_ms` says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_ready(stream: StreamHandle, timeout_ms: i64, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        let entry = found("stream", state().streams.get(stream.id))?;
        let value = entry.value();
        let ready = wait_for(&entry, Operation::Read, timeout_ms, |cx| value.poll(cx).map_ok(|_| ()))?;
        Ok(ready.map_or(AGAIN, |()| OK))
    })
}

/// Reads what has arrived, up to `capacity` bytes, at least one. `SSMWIRE_EOF` at the end, and only if nothing was lost.
/// If nobody reads, the far side is stopped in the end; nothing is dropped.
///
/// One thread at a time, else `SSMWIRE_BUSY`; another may write meanwhile. Waits as `timeout_ms` says for the first byte.
/// Fails after all that had arrived was read, with why the session ended. A call that does not return `SSMWIRE_OK` has
/// taken nothing.
///
///     uint8_t buffer[65536];
///     size_t count;
///     ssmwire_status status;
///     while ((status = ssmwire_stream_read(stream, buffer, sizeof buffer, -1, &count, &error)) == SSMWIRE_OK) {
///         fwrite(buffer, 1, count, stdout);
///     }
///     if (status != SSMWIRE_EOF) {
///         fprintf(stderr, "error: %s\n", error.message);
///     }
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_read(
    stream: StreamHandle,
    buffer: *mut u8,
    capacity: usize,
    timeout_ms: i64,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(count, "count")?;
        // SAFETY: the caller's places.
        let target = unsafe {
            set(count, 0);
            room(buffer, capacity, "buffer")?
        };
        if target.is_empty() {
            return Err(Error::invalid_argument("capacity", "is 0"));
        }
        let entry = found("stream", state().streams.get(stream.id))?;
        let value = entry.value();
        let read = wait_for(&entry, Operation::Read, timeout_ms, |cx| ready!(value.poll(cx))?.poll_read(cx, target))?;
        match read {
            None => Ok(AGAIN),
            Some(0) => Ok(EOF),
            Some(read) => {
                // SAFETY: checked above.
                unsafe { set(count, read) };
                Ok(OK)
            }
        }
    })
}

/// Writes what may be under way, and says in `count` how much of the `length` bytes that is: at least one, unless there
/// are none. Write the rest again.
///
/// One thread at a time, else `SSMWIRE_BUSY`; another may read meanwhile. Waits as `timeout_ms` says until something can
/// be written: at first until the far side takes input, later until it has acknowledged enough. Fails with why the
/// session ended, and with `SSMWIRE_UNSUPPORTED` on standard error and for a command without a terminal, which has no
/// input but the interrupt (3) and quit (28) characters. A call that does not return `SSMWIRE_OK` has written nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_write(
    stream: StreamHandle,
    data: *const u8,
    length: usize,
    timeout_ms: i64,
    count: *mut usize,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || {
        need(count, "count")?;
        // SAFETY: the caller's places.
        let data = unsafe {
            set(count, 0);
            slice(data, length, "data")?
        };
        let entry = found("stream", state().streams.get(stream.id))?;
        if data.is_empty() {
            return Ok(OK);
        }
        let value = entry.value();
        let written =
            wait_for(&entry, Operation::Write, timeout_ms, |cx| ready!(value.poll(cx))?.poll_write(cx, data))?;
        let Some(written) = written else { return Ok(AGAIN) };
        // SAFETY: checked above.
        unsafe { set(count, written) };
        Ok(OK)
    })
}

/// Waits until the agent has acknowledged everything that was written.
///
/// As `ssmwire_stream_write`: one thread at a time writes or flushes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_flush(stream: StreamHandle, timeout_ms: i64, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        let entry = found("stream", state().streams.get(stream.id))?;
        let value = entry.value();
        let flushed = wait_for(&entry, Operation::Write, timeout_ms, |cx| ready!(value.poll(cx))?.poll_flush(cx))?;
        Ok(flushed.map_or(AGAIN, |()| OK))
    })
}

/// Says that no more input comes; reading goes on. A terminal gets its end-of-input character, which ends a shell and
/// most programs that read it. The far end of a port hears of it only when the stream is closed.
///
/// Any thread, at once. `SSMWIRE_AGAIN` while the stream is being opened.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_finish(stream: StreamHandle, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        let entry = found("stream", state().streams.get(stream.id))?;
        let Some(stream) = wait_for(&entry, Operation::Write, 0, |cx| entry.value().poll(cx))? else {
            return Ok(AGAIN);
        };
        stream.finish()?;
        Ok(OK)
    })
}

/// Turns a stream into one end of a pair of sockets, for whoever needs a real descriptor: what is written to it goes to
/// the far side, what comes from there can be read. It is in blocking mode, and the caller's to close. The stream's handle
/// is closed by it. It ends where the stream ends, and on Linux it is reset if
/// the stream fails.
///
/// Any thread, at once. `SSMWIRE_AGAIN` while the stream is being opened; `SSMWIRE_UNSUPPORTED` on Windows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_into_fd(stream: StreamHandle, fd: *mut c_int, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        need(fd, "fd")?;
        // SAFETY: checked above.
        unsafe { set(fd, -1) };
        let entry = found("stream", state().streams.get(stream.id))?;
        let Some(bytes) = wait_for(&entry, Operation::Read, 0, |cx| entry.value().poll(cx).map_ok(Clone::clone))?
        else {
            return Ok(AGAIN);
        };
        #[cfg(unix)]
        {
            use std::os::fd::IntoRawFd as _;
            let socket = bytes.into_socket()?;
            found("stream", state().streams.close(stream.id))?;
            // SAFETY: checked above.
            unsafe { set(fd, socket.into_raw_fd()) };
            Ok(OK)
        }
        #[cfg(not(unix))]
        {
            drop(bytes);
            Err(Error::new(Kind::Unsupported, "there are no socket pairs here"))
        }
    })
}

/// Queues `tag` in `queue` whenever a read, write or other call for this stream that has returned `SSMWIRE_AGAIN` can go
/// on, and once now. A queue of id 0 ends that. One queue for each stream, the last.
///
/// Any thread, at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_watch(
    stream: StreamHandle,
    queue: QueueHandle,
    tag: u64,
    error: *mut ErrorInfo,
) -> Status {
    guard(error, || watch(&*found("stream", state().streams.get(stream.id))?, queue, tag))
}

/// Closes a stream's handle. A connection to a port is closed with its last handle; other streams go on. If nothing else
/// holds the session, neither its own handle nor another stream, it ends in the background.
///
/// Any thread, at once. Whoever waits in another call for the stream goes on with `SSMWIRE_BAD_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ssmwire_stream_close(stream: StreamHandle, error: *mut ErrorInfo) -> Status {
    guard(error, || {
        drop(found("stream", state().streams.close(stream.id))?);
        Ok(OK)
    })
}
