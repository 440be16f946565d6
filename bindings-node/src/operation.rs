//! Something that goes on in the background, and whose result JavaScript asks for.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};

use napi::Env;
use napi::bindgen_prelude::{Buffer, Either, Either10, Null, Unknown};
use napi_derive::napi;
use ssmwire::{ByteStream, Error, Kind, Result, Task, Via};

use crate::emulator::{Emulator, Host};
use crate::error::{made, raise, raised};
use crate::forward::Forward;
use crate::home::{Home, Tagged, exact};
use crate::session::Session;
use crate::stream::Stream;

/// What an operation can result in.
#[derive(Clone)]
pub(crate) enum Value {
    Answer(bool),
    Code(Option<i32>),
    Count(usize),
    Emulator(Arc<Host>),
    Forward(Arc<ssmwire::Forward>),
    Output(ssmwire::Output),
    Problem(Error),
    Session(ssmwire::Session),
    Stream(ByteStream),
    Text(&'static str),
    Unit,
}

/// What a command came to.
#[napi(object, object_from_js = false)]
pub struct Output {
    pub exit_code: Option<i32>,
    pub stdout: Buffer,
    pub stderr: Buffer,
    pub via: &'static str,
}

type Given<'env> =
    Either10<bool, i32, f64, Emulator, Forward, Output, Unknown<'env>, Session, Stream, Either<&'static str, Null>>;

impl Value {
    fn into_javascript(self, env: &Env) -> napi::Result<Given<'_>> {
        Ok(match self {
            Self::Answer(answer) => Either10::A(answer),
            Self::Code(Some(code)) => Either10::B(code),
            Self::Count(count) => Either10::C(exact(count as u64)),
            Self::Emulator(host) => Either10::D(Emulator::new(host)),
            Self::Forward(forward) => Either10::E(Forward::new(forward)),
            Self::Output(ssmwire::Output { status, stdout, stderr, via }) => {
                let via = match via {
                    Via::Agent => "agent",
                    Via::Envelope => "envelope",
                };
                Either10::F(Output { exit_code: status.code(), stdout: stdout.into(), stderr: stderr.into(), via })
            }
            Self::Problem(error) => Either10::G(made(env, &error)?),
            Self::Session(session) => Either10::H(Session::new(session)),
            Self::Stream(stream) => Either10::I(Stream::new(env, stream)?),
            Self::Text(text) => Either10::J(Either::A(text)),
            Self::Code(None) | Self::Unit => Either10::J(Either::B(Null)),
        })
    }
}

/// Something that goes on in the background. Cancelling it or letting go of it stops it.
#[napi]
pub struct Operation {
    task: Option<Task<Value>>,
    done: Tagged,
}

impl Operation {
    pub(crate) fn start(env: &Env, work: impl Future<Output = Result<Value>> + Send + 'static) -> napi::Result<Self> {
        let done = Home::of(env)?.tagged();
        Ok(Self { task: Some(raised(env, Task::spawn(work))?), done })
    }
}

#[napi]
impl Operation {
    /// The number that comes out of `takeReady` when it is done.
    #[napi(getter)]
    pub fn tag(&self) -> f64 {
        self.done.number()
    }

    /// Returns the result, or undefined if there is none yet.
    #[napi]
    pub fn poll<'env>(&mut self, env: &'env Env) -> napi::Result<Either<Given<'env>, ()>> {
        let Some(task) = &self.task else {
            return Err(raise(env, &Error::new(Kind::Cancelled, "this was cancelled")));
        };
        match task.poll(&mut Context::from_waker(&self.done.waker)) {
            Poll::Ready(result) => {
                // A result that was handed over is not to be kept alive here as well.
                self.task = None;
                raised(env, result)?.into_javascript(env).map(Either::A)
            }
            Poll::Pending => Ok(Either::B(())),
        }
    }

    /// Stops it.
    #[napi]
    pub fn cancel(&mut self) {
        self.task = None;
    }
}
