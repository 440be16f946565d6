//! A process that forks: its sessions stay with the parent, and the child starts anew.

use std::future::{IntoFuture, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Poll;

use crate::fixture::{TARGET, block_on, builder_at, echo, emulator, in_a_process, read_until, until};
use ssmwire::{Client, Command, Kind, Session, Size, StartSession, StartSessionResponse};
use ssmwire_emulator::SessionInfo;

/// Where the emulator is, for the process that forks.
const ENDPOINT: &str = "SSMWIRE_TEST_ENDPOINT";
const ACCESS_KEY_ID: &str = "SSMWIRE_TEST_ACCESS_KEY_ID";
const SECRET_ACCESS_KEY: &str = "SSMWIRE_TEST_SECRET_ACCESS_KEY";
/// After so many seconds the child is killed.
const CHILD_SECONDS: u32 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_leaves_the_sessions_to_the_parent_and_the_child_free_to_start_its_own() {
    let emulator = emulator().await;
    let arguments = ["--exact", "fork::a_process_that_forks", "--ignored", "--test-threads=1", "--nocapture"];
    let (endpoint, id, secret) = (emulator.endpoint_url(), emulator.access_key_id(), emulator.secret_access_key());
    let variables = [(ENDPOINT, endpoint.as_str()), (ACCESS_KEY_ID, id), (SECRET_ACCESS_KEY, secret)];
    let output = in_a_process(&arguments, &variables).await;
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(emulator.sessions().len(), 2);
    let is_echo = |session: &SessionInfo| session.document_name == "Emulator-Echo";
    let is_over = || emulator.sessions().iter().filter(|session| is_echo(session)).all(|s| s.status.is_final());
    until("the parent has ended its session", is_over).await;
}

#[test]
#[ignore = "forks, and so is run by the test above in a process of its own"]
fn a_process_that_forks() {
    let client = block_on(new_client());
    let session = block_on(echo(&client));
    // It waits for the service with the lock of all connections to there. There is no such target.
    let mut dial = client.dial("i-00000000000000000", 22).into_future();
    let once = block_on(poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx).is_pending())));
    assert!(once, "the service has not answered yet");
    let status = in_a_child(|| block_on(child(&client, &session)));
    assert_eq!(status, 0, "the child failed");
    block_on(async {
        session.stdio().write_all(b"still there").await.expect("writes");
        assert_eq!(read_until(&session.stdio(), "there").await, "still there");
        session.close().await.expect("closes");
    });
}

async fn new_client() -> Client {
    let variable = |name| std::env::var(name).expect("it is set");
    let client = builder_at(variable(ENDPOINT), &variable(ACCESS_KEY_ID), &variable(SECRET_ACCESS_KEY));
    client.build().await.expect("the client is made")
}

/// What the child finds: old handles that say so, and a library that works.
async fn child(client: &Client, session: &Session) {
    let stdio = session.stdio();
    let response =
        StartSessionResponse { session_id: "s".into(), stream_url: "ws://[::1]:1/".into(), token: "t".into() };
    let errors = [
        session.ready().await.expect_err("forked"),
        session.closed().await.expect_err("forked"),
        session.close().await.expect_err("forked"),
        session.exit_code().await.expect_err("forked"),
        session.resize(Size { columns: 80, rows: 24 }).expect_err("forked"),
        stdio.read_block().await.expect_err("forked"),
        stdio.write(b"x").await.expect_err("forked"),
        stdio.flush().await.expect_err("forked"),
        stdio.finish().expect_err("forked"),
        client.start_session(StartSession::new(TARGET)).await.expect_err("forked"),
        client.attach(response, None).await.expect_err("forked"),
        client.connection_status(TARGET).await.expect_err("forked"),
        client.run(TARGET, Command::new("true")).await.expect_err("forked"),
        client.dial("i-00000000000000000", 22).await.expect_err("forked"),
        client.forward(TARGET, 22).start().await.expect_err("forked"),
        session.open().expect_err("forked"),
    ];
    for error in errors {
        assert_eq!(error.kind(), Kind::Forked, "{error}");
    }
    assert_eq!(session.event().await, None);
    client.close().await;
    drop((stdio, session.clone()));

    let output = new_client().await.run(TARGET, Command::shell("echo in the child")).await.expect("it runs");
    assert_eq!(output.stdout, b"in the child\n");
}

/// Runs `work` in a child process, and returns the status that it exits with: not 0 if it panics or takes too long.
#[expect(unsafe_code, reason = "there is no safe way to fork")]
fn in_a_child(work: impl FnOnce()) -> i32 {
    // SAFETY: the child goes on with this thread alone, which holds no lock, and with an allocator that glibc makes
    // usable after a fork; it leaves by `_exit`, so that nothing of the parent's is torn down in it.
    unsafe {
        let child = libc::fork();
        assert!(child >= 0, "{}", std::io::Error::last_os_error());
        if child == 0 {
            libc::alarm(CHILD_SECONDS);
            let result = catch_unwind(AssertUnwindSafe(work));
            libc::_exit(i32::from(result.is_err()));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        status
    }
}
