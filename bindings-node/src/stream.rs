//! Byte streams.

use std::task::{Context, Poll};

use napi::Env;
use napi::bindgen_prelude::BufferSlice;
use napi_derive::napi;
use ssmwire::ByteStream;

use crate::error::raised;
use crate::home::{Home, Tagged, closed};
use crate::session::Session;

/// What the calls answer instead of a count when they would have to wait.
const PENDING: i32 = -1;

/// One of a session's byte streams. A call that would have to wait answers -1, and the number of its kind comes out of
/// `takeReady` when it is worth trying again. A read that answers -1 has taken nothing.
#[napi]
pub struct Stream {
    stream: Option<ByteStream>,
    reading: Tagged,
    writing: Tagged,
}

impl Stream {
    pub(crate) fn new(env: &Env, stream: ByteStream) -> napi::Result<Self> {
        let home = Home::of(env)?;
        Ok(Self { stream: Some(stream), reading: home.tagged(), writing: home.tagged() })
    }

    fn open(&self, env: &Env) -> napi::Result<&ByteStream> {
        self.stream.as_ref().ok_or_else(|| closed(env, "stream"))
    }
}

#[napi]
impl Stream {
    /// The number of what reads.
    #[napi(getter)]
    pub fn read_tag(&self) -> f64 {
        self.reading.number()
    }

    /// The number of what writes and flushes.
    #[napi(getter)]
    pub fn write_tag(&self) -> f64 {
        self.writing.number()
    }

    /// Reads what has arrived into `target`; 0 at the end.
    #[napi]
    pub fn read(&self, env: Env, mut target: BufferSlice<'_>) -> napi::Result<i32> {
        let context = &mut Context::from_waker(&self.reading.waker);
        answer(&env, self.open(&env)?.poll_read(context, &mut target))
    }

    /// Writes what fits of `data` from `start` on.
    #[napi]
    pub fn write(&self, env: Env, data: BufferSlice<'_>, start: u32) -> napi::Result<i32> {
        let rest = data.get(start as usize..).unwrap_or_default();
        let context = &mut Context::from_waker(&self.writing.waker);
        answer(&env, self.open(&env)?.poll_write(context, rest))
    }

    /// Answers 0 once what was written is acknowledged.
    #[napi]
    pub fn flush(&self, env: Env) -> napi::Result<i32> {
        let context = &mut Context::from_waker(&self.writing.waker);
        answer(&env, self.open(&env)?.poll_flush(context).map_ok(|()| 0))
    }

    /// Says that no more input comes.
    #[napi]
    pub fn finish(&self, env: Env) -> napi::Result<()> {
        raised(&env, self.open(&env)?.finish())
    }

    /// Lets the stream go.
    #[napi]
    pub fn close(&mut self) {
        self.stream = None;
    }

    /// Returns the session that carries it.
    #[napi]
    pub fn session(&self, env: Env) -> napi::Result<Session> {
        Ok(Session::new(self.open(&env)?.session()))
    }
}

fn answer(env: &Env, polled: Poll<ssmwire::Result<usize>>) -> napi::Result<i32> {
    match polled {
        // No buffer of JavaScript's is larger than what is read or written at once.
        Poll::Ready(count) => Ok(i32::try_from(raised(env, count)?).unwrap_or(i32::MAX)),
        Poll::Pending => Ok(PENDING),
    }
}
