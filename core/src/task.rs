//! Work that goes on by itself, and whose result anybody may ask for at any time.
//!
//! What a binding starts and does not wait for: there is no caller whose polls would drive it.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::waiters::Waiters;
use crate::{Error, Kind, Result, runtime};

/// Work in the background. Clones share it; dropping the last one stops it, unless it was detached.
#[derive(Debug)]
pub struct Task<T>(Arc<Running<T>>);

impl<T> Clone for Task<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// What the handles hold, and the work does not.
#[derive(Debug)]
struct Running<T> {
    state: Arc<State<T>>,
    work: AbortHandle,
    is_detached: AtomicBool,
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        if !*self.is_detached.get_mut() {
            self.work.abort();
        }
    }
}

#[derive(Debug)]
struct State<T> {
    result: Mutex<Progress<T>>,
    done: Notify,
}

#[derive(Debug)]
struct Progress<T> {
    result: Option<Result<T>>,
    waiters: Waiters,
}

impl<T: Clone + Send + 'static> Task<T> {
    /// Starts `work` on the runtime of the calling task, else on the one that this library starts for the process.
    ///
    /// # Errors
    /// [`Kind::Internal`] if no thread can be started.
    pub fn spawn(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<Self> {
        let result = Mutex::new(Progress { result: None, waiters: Waiters::default() });
        let state = Arc::new(State { result, done: Notify::new() });
        let completion = Completion(state.clone());
        let work = runtime::handle()?.spawn(async move {
            let result = work.await;
            completion.0.complete(result);
        });
        let is_detached = AtomicBool::new(false);
        Ok(Self(Arc::new(Running { state, work: work.abort_handle(), is_detached })))
    }

    /// Returns the result, or registers to be woken. A few may wait at once.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let mut progress = self.0.state.lock();
        if let Some(result) = &progress.result {
            return Poll::Ready(result.clone());
        }
        let displaced = progress.waiters.add(cx.waker());
        drop(progress);
        displaced.into_iter().for_each(Waker::wake);
        Poll::Pending
    }

    /// Waits for the result. Any number may wait at once.
    ///
    /// # Errors
    /// The work's own; [`Kind::Cancelled`] if the runtime was shut down before it was done.
    pub async fn wait(&self) -> Result<T> {
        loop {
            let done = self.0.state.done.notified();
            if let Some(result) = &self.0.state.lock().result {
                return result.clone();
            }
            done.await;
        }
    }

    /// Lets the work go on to its end, though nobody may ask for its result any more.
    pub fn detach(&self) {
        self.0.is_detached.store(true, Ordering::Relaxed);
    }

    /// Returns the result if it is there.
    pub fn result(&self) -> Option<Result<T>> {
        self.0.state.lock().result.clone()
    }
}

impl<T> State<T> {
    /// The first result counts.
    fn complete(&self, result: Result<T>) {
        let mut progress = self.lock();
        if progress.result.is_some() {
            return;
        }
        progress.result = Some(result);
        let waiters = std::mem::take(&mut progress.waiters);
        drop(progress);
        waiters.wake();
        self.done.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Progress<T>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sees to it that there is a result, whatever becomes of the work.
struct Completion<T>(Arc<State<T>>);

impl<T> Drop for Completion<T> {
    fn drop(&mut self) {
        let error = match std::thread::panicking() {
            true => Error::new(Kind::Panic, "a task of this library failed"),
            false => Error::new(Kind::Cancelled, "the library was shut down"),
        };
        self.0.complete(Err(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::block;

    #[test]
    fn work_goes_on_by_itself_and_everybody_gets_the_result() {
        let task = Task::spawn(async { Ok(7) }).expect("spawns");
        let twin = task.clone();
        let other = std::thread::spawn(move || block(None, |cx| twin.poll(cx)));
        assert!(matches!(block(None, |cx| task.poll(cx)), Some(Ok(7))));
        assert!(matches!(other.join().expect("no panic"), Some(Ok(7))));
        assert!(matches!(task.result(), Some(Ok(7))));
    }

    #[tokio::test]
    async fn dropping_the_last_handle_stops_the_work() {
        let alive = Arc::new(());
        let held = alive.clone();
        let task = Task::spawn(async move {
            let _held = held;
            std::future::pending::<Result<()>>().await
        });
        let task = task.expect("spawns");
        drop(task.clone());
        tokio::task::yield_now().await;
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(task);
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn detached_work_goes_on() {
        let done = Arc::new(Notify::new());
        let told = done.clone();
        let task = Task::spawn(async move {
            tokio::task::yield_now().await;
            told.notify_one();
            Ok(())
        });
        task.expect("spawns").detach();
        done.notified().await;
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_whoever_waits() {
        let task = Task::<()>::spawn(async { panic!("a bug") }).expect("spawns");
        assert_eq!(task.wait().await.expect_err("it panicked").kind(), Kind::Panic);
    }
}
