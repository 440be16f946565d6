//! Ending work from outside, so that it can still say how far it had come.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::{Error, Kind, Result};

/// Ends what was given it, once and for good. Clones are the same stop.
///
/// Dropping a future ends its work, too, and loses what it had come to. Work that is stopped fails with
/// [`Kind::Cancelled`] and keeps it.
///
/// ```no_run
/// # async fn example(client: ssmwire::Client) {
/// use ssmwire::{Command, Stop};
/// let stop = Stop::default();
/// let run = client.run("i-0abc", Command::shell("tail -f /var/log/messages")).stop(stop.clone());
/// let running = tokio::spawn(async move { run.await });
/// stop.now();
/// if let Ok(Err(error)) = running.await {
///     println!("{} bytes had arrived", error.partial().map_or(0, |partial| partial.stdout.len()));
/// }
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Stop(Arc<Semaphore>);

impl Default for Stop {
    fn default() -> Self {
        // It never has a permit: who waits for one goes on when it is closed, and only then.
        Self(Arc::new(Semaphore::new(0)))
    }
}

impl Stop {
    /// Ends the work, also such as is yet to begin. Further calls do nothing.
    pub fn now(&self) {
        self.0.close();
    }

    /// Waits for `work`, unless and until it is stopped.
    ///
    /// # Errors
    /// The work's own; [`Kind::Cancelled`] if it was stopped.
    pub async fn until<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            result = work => result,
            _ = self.0.acquire() => Err(Error::new(Kind::Cancelled, "it was stopped")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_when_it_is_stopped_and_not_before() {
        let stop = Stop::default();
        assert_eq!(stop.until(async { Ok(7) }).await.expect("nobody stops it"), 7);
        let twin = stop.clone();
        let stopped = tokio::spawn(async move { twin.until(std::future::pending::<Result<()>>()).await });
        tokio::task::yield_now().await;
        stop.now();
        assert_eq!(stopped.await.expect("no panic").expect_err("it was stopped").kind(), Kind::Cancelled);
    }

    #[tokio::test]
    async fn work_that_is_done_at_once_is_done_though_it_was_stopped() {
        let stop = Stop::default();
        stop.now();
        stop.now();
        assert_eq!(stop.until(async { Ok(7) }).await.expect("done"), 7);
        let pending = stop.until(std::future::pending::<Result<()>>());
        assert_eq!(pending.await.expect_err("it was stopped").kind(), Kind::Cancelled);
    }
}
