//! What makes a queue's waiter go on: a descriptor that can be read, or where there is none, a condition variable.

#[cfg(not(all(unix, not(loom))))]
pub(super) use self::condition::Signal;
#[cfg(all(unix, not(loom)))]
pub(super) use self::descriptor::Signal;

#[cfg(all(unix, not(loom)))]
mod descriptor {
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::{Errno, read, write};

    use crate::clock;

    /// An eventfd, or the ends of a pipe. At most one byte, or eight of an eventfd, are in it.
    pub(crate) struct Signal {
        readable: OwnedFd,
        #[cfg(not(target_os = "linux"))]
        writable: OwnedFd,
    }

    impl Signal {
        #[cfg(target_os = "linux")]
        pub(crate) fn new() -> io::Result<Self> {
            use rustix::event::{EventfdFlags, eventfd};
            Ok(Self { readable: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
        }

        #[cfg(not(target_os = "linux"))]
        pub(crate) fn new() -> io::Result<Self> {
            use rustix::io::{FdFlags, fcntl_setfd, ioctl_fionbio};
            let (readable, writable) = rustix::pipe::pipe()?;
            for end in [&readable, &writable] {
                fcntl_setfd(end, FdFlags::CLOEXEC)?;
                ioctl_fionbio(end, true)?;
            }
            Ok(Self { readable, writable })
        }

        /// Makes the descriptor readable.
        pub(crate) fn raise(&self) {
            #[cfg(target_os = "linux")]
            let (end, token) = (&self.readable, 1u64.to_ne_bytes());
            #[cfg(not(target_os = "linux"))]
            let (end, token) = (&self.writable, [1]);
            // It fails only when it is full, and readable then.
            let _ = write(end, &token);
        }

        /// Makes it unreadable. One read takes all that can be in an eventfd; a pipe may hold more.
        pub(crate) fn clear(&self) {
            let mut sink = [0u8; 64];
            while read(&self.readable, &mut sink).is_ok_and(|count| count == sink.len()) {}
        }

        /// Waits until it is readable; whether it is.
        pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
            let deadline = timeout.and_then(|timeout| clock::now().checked_add(timeout));
            loop {
                let left = deadline.map(|deadline| deadline.saturating_duration_since(clock::now()));
                let left = left.and_then(|left| Timespec::try_from(left).ok());
                let mut ends = [PollFd::new(&self.readable, PollFlags::IN)];
                match poll(&mut ends, left.as_ref()) {
                    Ok(count) => return count > 0,
                    Err(Errno::INTR) => {}
                    Err(_) => return false,
                }
            }
        }

        pub(crate) fn fd(&self) -> BorrowedFd<'_> {
            self.readable.as_fd()
        }
    }
}

#[cfg(not(all(unix, not(loom))))]
mod condition {
    use std::io;
    use std::time::Duration;

    #[cfg(loom)]
    use loom::sync::{Condvar, Mutex};
    use std::sync::PoisonError;
    #[cfg(not(loom))]
    use std::sync::{Condvar, Mutex};

    /// A flag to wait for.
    pub(crate) struct Signal {
        is_raised: Mutex<bool>,
        raised: Condvar,
    }

    impl Signal {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self { is_raised: Mutex::new(false), raised: Condvar::new() })
        }

        pub(crate) fn raise(&self) {
            *self.is_raised.lock().unwrap_or_else(PoisonError::into_inner) = true;
            self.raised.notify_all();
        }

        pub(crate) fn clear(&self) {
            *self.is_raised.lock().unwrap_or_else(PoisonError::into_inner) = false;
        }

        #[cfg(loom)]
        pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
            let mut is_raised = self.is_raised.lock().unwrap();
            while !*is_raised && timeout.is_none() {
                is_raised = self.raised.wait(is_raised).unwrap();
            }
            *is_raised
        }

        #[cfg(not(loom))]
        pub(crate) fn wait(&self, timeout: Option<Duration>) -> bool {
            let is_raised = self.is_raised.lock().unwrap_or_else(PoisonError::into_inner);
            match timeout {
                None => *self.raised.wait_while(is_raised, |raised| !*raised).unwrap_or_else(PoisonError::into_inner),
                Some(timeout) => {
                    let waited = self.raised.wait_timeout_while(is_raised, timeout, |raised| !*raised);
                    *waited.unwrap_or_else(PoisonError::into_inner).0
                }
            }
        }
    }
}
