//! Sessions that are kept from being idle.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::fixture::{TARGET, builder, client, echo, soon, start, until_all_ended};
use ssmwire::{Command, Kind};
use ssmwire_emulator::{AgentProfile, Emulator};

#[tokio::test]
async fn sessions_that_are_kept_alive_outlast_the_idle_timeout_and_are_given_no_input() {
    let emulator = Emulator::builder().target(TARGET, AgentProfile::default()).idle_timeout(Duration::from_secs(3));
    let emulator = start(emulator).await;
    let kept = builder(&emulator).keepalive(Duration::from_millis(250)).build().await.expect("the client is made");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    soon(async {
        let session = echo(&kept).await;
        let near = kept.dial(TARGET, listener.local_addr().expect("an address").port());
        let (near, far) = tokio::join!(near.into_future(), listener.accept());
        let (near, mut far) = (near.expect("dials"), far.expect("somebody dials").0);
        let run = kept.run(TARGET, Command::shell("sleep 7; exit 5")).into_future();

        let others = client(&emulator).await;
        let idle = echo(&others).await;
        let (run, end) = tokio::join!(run, idle.closed());
        assert_eq!(end.expect_err("the service ends it").kind(), Kind::IdleTimeout);
        assert_eq!(run.expect("it ends").status.code(), Some(5));

        session.stdio().write_all(b"x").await.expect("writes");
        let echoed = session.stdio().read_block().await.expect("goes on").expect("has not ended");
        assert_eq!(&echoed[..], b"x", "the far side has been given nothing before");
        near.write_all(b"after all").await.expect("writes");
        let mut block = [0; 9];
        far.read_exact(&mut block).await.expect("reads");
        assert_eq!(&block, b"after all");
        kept.close().await;
    })
    .await;
    until_all_ended(&emulator).await;
}

#[tokio::test]
async fn an_interval_of_nothing_is_refused() {
    let emulator = crate::fixture::emulator().await;
    let error = builder(&emulator).keepalive(Duration::ZERO).build().await.expect_err("that would never rest");
    assert_eq!(error.kind(), Kind::InvalidArgument);
}
