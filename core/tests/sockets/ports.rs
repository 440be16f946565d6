//! Ports: streams to far TCP servers, dialled and forwarded.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use crate::fixture::{TARGET, builder, client, cut, emulator, emulator_with, soon, timeouts, until, until_all_ended};
use ssmwire::{ByteStream, Client, Forward, ForwardEvent, Kind, LocalAddr, SessionKind, StartSession, Timeouts};
use ssmwire_emulator::{AgentProfile, ApiFault, Direction, Disturbance, Scope, programs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// An agent that is too old to multiplex (PROTOCOL §9.4).
fn old_agent() -> AgentProfile {
    AgentProfile { version: "3.0.196.0".to_owned(), ..AgentProfile::default() }
}

/// A TCP server on loopback that does `serve` with each connection.
async fn server<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

async fn echo_server() -> SocketAddr {
    server(|mut stream| async move {
        let (mut reader, mut writer) = stream.split();
        // A client that goes away in the middle is its own business.
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
    .await
}

/// A port that nobody listens on.
async fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}

/// Sends `count` bytes of a pattern from `offset` on to an echo, and checks what comes back.
async fn echo_through<S>(stream: S, offset: u64, count: usize)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let sent = programs::chargen(offset, count);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = vec![0; count];
    let (written, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut received));
    written.expect("writes");
    read.expect("reads");
    assert!(received == sent, "other bytes came back");
}

async fn read_all(stream: &ByteStream) -> ssmwire::Result<Vec<u8>> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.map(|()| all)
}

async fn connect(forward: &Forward) -> TcpStream {
    let LocalAddr::Tcp(address) = forward.local_addr() else { panic!("it listens on TCP") };
    TcpStream::connect(address).await.expect("connects")
}

async fn forward(client: &Client, far: SocketAddr) -> Forward {
    client.forward(TARGET, far.port()).start().await.expect("it starts")
}

#[tokio::test]
async fn dialled_connections_to_one_place_share_a_session_and_end_it() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let dials = (0..20).map(|_| async { client.dial(TARGET, far.port()).await.expect("dials") });
        let streams = futures_util::future::join_all(dials).await;
        let session = streams[0].session();
        assert_eq!(session.kind(), Some(SessionKind::Ports));
        let echoes =
            streams.into_iter().enumerate().map(|(index, stream)| echo_through(stream, index as u64 * 999, 100_000));
        futures_util::future::join_all(echoes).await;
        let again = client.dial(TARGET, far.port()).await.expect("dials");
        assert_eq!(again.session().id(), session.id(), "the session waits for another connection for a while");
        echo_through(again, 0, 10).await;
        let elsewhere = client.dial(TARGET, ("localhost", far.port())).await.expect("dials");
        assert_ne!(elsewhere.session().id(), session.id());
        echo_through(elsewhere, 0, 10).await;
        drop(session);
        assert_eq!(emulator.requests()["StartSession"], 2);
        until_all_ended(&emulator).await;
    })
    .await;
}

#[tokio::test]
async fn an_old_agent_gets_a_session_for_each_connection() {
    let emulator = emulator_with(old_agent()).await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let first = client.dial(TARGET, far.port()).await.expect("dials");
        let second = client.dial(TARGET, far.port()).await.expect("dials");
        assert_eq!(first.session().kind(), Some(SessionKind::Port));
        assert_ne!(first.session().id(), second.session().id());
        tokio::join!(echo_through(first, 0, 300_000), echo_through(second, 7, 300_000));
        let forward = forward(&client, far).await;
        let (one, two) = (connect(&forward).await, connect(&forward).await);
        tokio::join!(echo_through(one, 0, 300_000), echo_through(two, 7, 300_000));
        forward.close().await;
        until_all_ended(&emulator).await;
        assert_eq!(emulator.requests()["StartSession"], 4, "the forward's first session was there before");
    })
    .await;
}

#[tokio::test]
async fn a_refused_port_is_an_error_of_that_connection_alone() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let port = closed_port().await;
    soon(async {
        let refused = client.dial(TARGET, port).await.expect("dials");
        let error = read_all(&refused).await.expect_err("nobody listens");
        assert_eq!(error.kind(), Kind::RemoteConnectFailed);
        assert!(error.hint().is_some() && error.session_id().is_some());
        assert_eq!(refused.write_all(b"more").await.expect_err("it has failed").kind(), Kind::RemoteConnectFailed);
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let accepted = client.dial(TARGET, port).await.expect("dials");
        accepted.write_all(b"hello").await.expect("writes");
        let (mut far, _) = listener.accept().await.expect("it comes");
        let mut heard = [0; 5];
        far.read_exact(&mut heard).await.expect("reads");
        assert_eq!(&heard, b"hello");
        assert_eq!(accepted.session().id(), refused.session().id());
    })
    .await;
}

#[tokio::test]
async fn a_forward_resets_the_connection_that_the_far_port_refused_and_tells_why() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let port = closed_port().await;
    soon(async {
        let forward = client.forward(TARGET, port).start().await.expect("it starts");
        let mut local = connect(&forward).await;
        let error = local.read(&mut [0; 1]).await.expect_err("no silent end");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        match forward.event().await {
            Some(ForwardEvent::ConnectionFailed(error)) => assert_eq!(error.kind(), Kind::RemoteConnectFailed),
            other => panic!("{other:?}"),
        }
        until("it is counted", || forward.stats().failed == 1 && forward.stats().open == 0).await;
        forward.close().await;
        assert!(forward.event().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn an_answer_outlives_a_client_that_has_ended_its_own_direction() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = server(|mut stream| async move {
        let mut question = [0; 8];
        stream.read_exact(&mut question).await.expect("reads");
        stream.write_all(&programs::chargen(0, 1 << 20)).await.expect("writes");
    })
    .await;
    let expect_answer = |answer: Vec<u8>| assert!(answer == programs::chargen(0, 1 << 20), "{} bytes", answer.len());
    soon(async {
        let mut dialled = client.dial(TARGET, far.port()).await.expect("dials");
        dialled.write_all(b"question").await.expect("writes");
        dialled.shutdown().await.expect("shuts down");
        expect_answer(read_all(&dialled).await.expect("ends well"));
        let forward = forward(&client, far).await;
        let mut local = connect(&forward).await;
        local.write_all(b"question").await.expect("writes");
        local.shutdown().await.expect("shuts down");
        let mut answer = Vec::new();
        local.read_to_end(&mut answer).await.expect("ends well");
        expect_answer(answer);
    })
    .await;
}

#[tokio::test]
async fn two_hundred_connections_at_once_get_their_bytes_back() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let forward = client.forward(TARGET, far.port()).sessions(4).start().await.expect("it starts");
        assert_eq!((forward.sessions().len(), emulator.sessions().len()), (4, 4));
        let connections = (0..200).map(|index| {
            let forward = &forward;
            async move { echo_through(connect(forward).await, index * 1001, 100_000).await }
        });
        futures_util::future::join_all(connections).await;
        until("all are gone", || forward.stats().open == 0).await;
        let stats = forward.stats();
        assert_eq!((stats.connections, stats.failed, stats.sent, stats.received), (200, 0, 20_000_000, 20_000_000));
        for session in forward.sessions() {
            assert!(session.stats().bytes_out > 4_000_000, "the connections are spread over the sessions");
        }
        forward.close().await;
        until_all_ended(&emulator).await;
    })
    .await;
}

#[tokio::test]
async fn connections_survive_the_loss_of_the_socket_below() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let forward = forward(&client, far).await;
        let session = forward.sessions().remove(0);
        emulator.faults().cut_client_after(Scope::All, 250_007, 10);
        let (one, two) = (connect(&forward).await, connect(&forward).await);
        tokio::join!(echo_through(one, 0, 2_000_000), echo_through(two, 7, 2_000_000));
        cut(&emulator, &session).await;
        echo_through(connect(&forward).await, 3, 100_000).await;
        assert!(session.stats().reconnects >= 5);
        assert_eq!(forward.stats().failed, 0);
        assert_eq!(emulator.requests()["StartSession"], 1);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_gone_for_good_is_replaced_behind_the_same_listener() {
    let emulator = emulator().await;
    let client = builder(&emulator).timeouts(Timeouts { resume: Duration::ZERO, ..timeouts() });
    let client = client.build().await.expect("the client is made");
    let far = echo_server().await;
    soon(async {
        let forward = forward(&client, far).await;
        let mut old = connect(&forward).await;
        old.write_all(b"x").await.expect("writes");
        old.read_exact(&mut [0; 1]).await.expect("reads");
        let session = forward.sessions().remove(0);
        cut(&emulator, &session).await;
        let error = old.read(&mut [0; 1]).await.expect_err("its session is gone");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        session.closed().await.expect_err("it was lost");
        echo_through(connect(&forward).await, 0, 100_000).await;
        assert_ne!(forward.sessions()[0].id(), session.id());
        assert_eq!(emulator.requests()["StartSession"], 2);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_can_not_be_replaced_fails_the_connections_and_not_the_forward() {
    let emulator = emulator().await;
    let client = builder(&emulator).timeouts(Timeouts { resume: Duration::ZERO, ..timeouts() });
    let client = client.build().await.expect("the client is made");
    let far = echo_server().await;
    soon(async {
        let forward = forward(&client, far).await;
        let session = forward.sessions().remove(0);
        cut(&emulator, &session).await;
        session.closed().await.expect_err("it was lost");
        emulator.faults().fail("StartSession", ApiFault::new("AccessDeniedException", "not any more"), 1);
        let error = connect(&forward).await.read(&mut [0; 1]).await.expect_err("no session");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        match forward.event().await {
            Some(ForwardEvent::ConnectionFailed(error)) => assert_eq!(error.kind(), Kind::AccessDenied),
            other => panic!("{other:?}"),
        }
        echo_through(connect(&forward).await, 0, 1000).await;
    })
    .await;
}

#[tokio::test]
async fn who_waits_for_a_session_that_can_not_be_started_shares_that_failure() {
    let emulator = emulator().await;
    let client = builder(&emulator).timeouts(Timeouts { resume: Duration::ZERO, ..timeouts() });
    let client = client.build().await.expect("the client is made");
    let far = echo_server().await;
    soon(async {
        let forward = forward(&client, far).await;
        let session = forward.sessions().remove(0);
        cut(&emulator, &session).await;
        session.closed().await.expect_err("it was lost");
        emulator.faults().delay_answers("StartSession", Duration::from_secs(1));
        emulator.faults().fail("StartSession", ApiFault::new("AccessDeniedException", "not any more"), 1);
        let resets =
            (0..5).map(|_| async { connect(&forward).await.read(&mut [0; 1]).await.expect_err("no session").kind() });
        let kinds = futures_util::future::join_all(resets).await;
        assert_eq!(kinds, [std::io::ErrorKind::ConnectionReset; 5]);
        assert_eq!((forward.stats().failed, emulator.requests()["StartSession"]), (5, 2));
        emulator.faults().delay_answers("StartSession", Duration::ZERO);
        echo_through(connect(&forward).await, 0, 1000).await;
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_asked_nothing_is_not_kept_for_an_answer() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let forward = forward(&client, far).await;
        drop(connect(&forward).await);
        let gone = until("it is gone", || forward.stats().connections == 1 && forward.stats().open == 0);
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("nothing is waited for");
    })
    .await;
}

/// A task that is counted by its wakers.
struct Task;

impl Wake for Task {
    fn wake(self: Arc<Self>) {}
}

#[tokio::test]
async fn a_stream_that_is_gone_keeps_no_task_that_had_stopped_waiting() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let kept = client.dial(TARGET, far.port()).await.expect("dials");
        let task = Arc::new(Task);
        let waker = Waker::from(task.clone());
        for _ in 0..10 {
            let stream = client.dial(TARGET, far.port()).await.expect("dials");
            assert!(ByteStream::poll_read(&stream, &mut Context::from_waker(&waker), &mut [0; 1]).is_pending());
        }
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 1);
        echo_through(kept, 0, 10).await;
    })
    .await;
}

#[tokio::test]
async fn closing_frees_the_port_at_once_and_ends_the_sessions() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        for is_dropped in [false, true] {
            let forward = forward(&client, far).await;
            let mut idle = connect(&forward).await;
            idle.write_all(b"x").await.expect("writes");
            idle.read_exact(&mut [0; 1]).await.expect("reads");
            let address = forward.local_addr().to_string();
            let start = Instant::now();
            if is_dropped {
                drop(forward);
                while TcpListener::bind(&address).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            } else {
                forward.close().await;
                TcpListener::bind(&address).await.expect("the port is free");
            }
            assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
            assert!(matches!(idle.read(&mut [0; 1]).await, Ok(0) | Err(_)), "the connection was cut");
            until_all_ended(&emulator).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_forward_listens_where_it_is_told_and_says_when_it_can_not() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    soon(async {
        let start = |bind: String| client.forward(TARGET, far.port()).bind(bind).start();
        let unix = start(format!("unix:{}", path.display())).await.expect("it starts");
        assert_eq!(*unix.local_addr(), LocalAddr::Unix(path.clone()));
        echo_through(tokio::net::UnixStream::connect(&path).await.expect("connects"), 0, 100_000).await;
        let taken = start(format!("unix:{}", path.display())).await.expect_err("it is taken");
        assert_eq!(taken.kind(), Kind::ListenFailed);
        unix.close().await;
        assert!(!path.exists());

        let tcp = start("localhost:0".to_owned()).await.expect("it starts");
        assert!(tcp.local_addr().port().is_some_and(|port| port > 0));
        let taken = start(tcp.local_addr().to_string()).await.expect_err("it is taken");
        assert!(taken.kind() == Kind::ListenFailed && taken.hint().is_some(), "{taken}");
        for bad in ["", "5432", ":5432", "localhost", "localhost:x", "localhost:65536"] {
            assert_eq!(start(bad.to_owned()).await.expect_err("no address").kind(), Kind::InvalidArgument, "{bad}");
        }
        for sessions in [0, 65] {
            let error = client.forward(TARGET, 22).sessions(sessions).start().await.expect_err("too few, too many");
            assert_eq!(error.kind(), Kind::InvalidArgument);
        }
        let error = client.forward(TARGET, 0).start().await.expect_err("no port");
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert_eq!(emulator.requests()["StartSession"], 2, "nothing was sent for what can't be");
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_sleeps_gets_every_byte_and_holds_nobody_up_for_good() {
    let emulator = emulator().await;
    let client = builder(&emulator).unread_max(1 << 20).build().await.expect("the client is made");
    const COUNT: usize = 8 << 20;
    let far = server(|mut stream| async move {
        // The other direction is of no interest.
        let _ = stream.write_all(&programs::chargen(0, COUNT)).await;
    })
    .await;
    soon(async {
        let stream = client.dial(TARGET, far.port()).await.expect("dials");
        let unread = || stream.session().stats().unread;
        until("the buffer is full", || unread() >= 1 << 20).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(unread() < 3 << 20, "{}", unread());
        assert!(read_all(&stream).await.expect("ends well") == programs::chargen(0, COUNT));
    })
    .await;
}

#[tokio::test]
async fn an_ssh_session_is_one_stream() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let dialled = client.dial(TARGET, far.port()).document("AWS-StartSSHSession").await.expect("dials");
        assert_eq!(dialled.session().kind(), Some(SessionKind::Port));
        echo_through(dialled, 0, 1_000_000).await;
        let request = StartSession {
            document_name: Some("AWS-StartSSHSession".to_owned()),
            ..StartSession::new(TARGET).parameter("portNumber", far.port().to_string())
        };
        let session = client.start_session(request).await.expect("it starts");
        session.ready().await.expect("the agent is there");
        assert_eq!(session.open().expect_err("it has one stream only").kind(), Kind::Unsupported);
        echo_through(session.stdio(), 0, 1000).await;
        session.close().await.expect("closes");
        until_all_ended(&emulator).await;
    })
    .await;
}

#[tokio::test]
async fn other_documents_are_no_ports() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let error = client.dial(TARGET, 22).document("Emulator-Echo").await.expect_err("it is no port");
        assert!(matches!(error.kind(), Kind::Unsupported | Kind::InvalidDocument), "{error}");
        let error = client.dial("i-00000000000000000", 22).await.expect_err("there is no such target");
        assert_eq!(error.kind(), Kind::TargetNotConnected);
        until_all_ended(&emulator).await;
    })
    .await;
}

#[tokio::test]
async fn thousand_connections_share_one_session() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let mut streams = Vec::new();
        for _ in 0..1000 {
            streams.push(client.dial(TARGET, far.port()).await.expect("dials"));
        }
        let echoes = streams.iter().enumerate().map(|(index, stream)| echo_through(stream.clone(), index as u64, 1000));
        futures_util::future::join_all(echoes).await;
        assert_eq!(emulator.requests()["StartSession"], 1);
    })
    .await;
}

/// The agent reads and writes on one path, as the official one does: while its buffer of 4 MiB is full it reads nothing,
/// no acknowledge and no ping either.
#[tokio::test]
async fn a_far_end_that_is_slow_costs_no_connection_and_no_byte() {
    const COUNT: usize = 8 << 20;
    let blocking = AgentProfile { blocks_ports: true, ..AgentProfile::default() };
    let emulator = emulator_with(blocking).await;
    let client = client(&emulator).await;
    let far = server(|mut stream| async move {
        let mut received = Vec::with_capacity(COUNT);
        let mut portion = [0; 16 << 10];
        while received.len() < COUNT {
            let count = stream.read(&mut portion).await.expect("reads");
            received.extend_from_slice(&portion[..count]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(received == programs::chargen(0, COUNT), "other bytes came");
        stream.write_all(b"whole").await.expect("writes");
    })
    .await;
    soon(async {
        let stream = client.dial(TARGET, far.port()).await.expect("dials");
        stream.write_all(&programs::chargen(0, COUNT)).await.expect("writes");
        let mut answer = [0; 5];
        assert_eq!(stream.read(&mut answer).await.expect("reads"), 5);
        let stats = stream.session().stats();
        assert_eq!((&answer, stats.reconnects), (b"whole", 0), "{stats:?}");
    })
    .await;
}

/// `make soak` runs it: it moves 256 MB each way.
#[tokio::test]
#[ignore = "takes minutes; `make soak` runs it"]
async fn soak_a_quarter_of_a_gigabyte_survives_cuts_duplicates_and_reorder() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    for direction in [Direction::ToAgent, Direction::ToClient] {
        let mischief = Disturbance { duplicate: 0.01, reorder: 0.01, ..Disturbance::default() };
        emulator.faults().disturb(Scope::All, direction, mischief);
    }
    emulator.faults().cut_client_after(Scope::All, 20_000_003, 10);
    let forward = client.forward(TARGET, far.port()).start().await.expect("it starts");
    let echoes = (0..4).map(|index| {
        let forward = &forward;
        async move { echo_through(connect(forward).await, index * 1001, 64_000_000).await }
    });
    futures_util::future::join_all(echoes).await;
    assert_eq!((forward.stats().failed, emulator.requests()["StartSession"]), (0, 1));
    assert!(forward.sessions()[0].stats().reconnects >= 10);
}

#[tokio::test]
async fn a_lossy_network_costs_the_streams_nothing() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        for direction in [Direction::ToAgent, Direction::ToClient] {
            let mischief = Disturbance { drop: 0.02, duplicate: 0.05, reorder: 0.05, ..Disturbance::default() };
            emulator.faults().disturb(Scope::All, direction, mischief);
        }
        let dials = (0..4).map(|_| async { client.dial(TARGET, far.port()).await.expect("dials") });
        let streams = futures_util::future::join_all(dials).await;
        let echoes = streams.into_iter().enumerate().map(|(index, stream)| echo_through(stream, index as u64, 300_000));
        futures_util::future::join_all(echoes).await;
    })
    .await;
}

/// Waking a thread of the runtime would take longer than the write, and here it would take for ever.
#[test]
fn a_small_write_is_sent_by_its_own_thread() {
    let runtime = |threads| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(threads).enable_all().build().expect("a runtime")
    };
    let (theirs, ours) = (runtime(2), runtime(1));
    let emulator = theirs.block_on(emulator());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let stream = ours.block_on(async { client(&emulator).await.dial(TARGET, port).await.expect("dials") });
    let (mut far, _) = listener.accept().expect("it comes");
    far.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let exchange = |far: &mut std::net::TcpStream, data: &[u8]| {
        use std::io::Read;
        let deadline = Instant::now().checked_add(Duration::from_secs(20));
        let written = ssmwire::wait::block(deadline, |cx| stream.poll_write(cx, data));
        assert!(matches!(written, Some(Ok(count)) if count == data.len()));
        let mut received = vec![0; data.len()];
        far.read_exact(&mut received).expect("it comes");
        assert_eq!(received, data);
    };
    exchange(&mut far, b"while the runtime is free");
    ours.block_on(stream.flush()).expect("acknowledged");
    let ((begun, busy), (free, gate)) = (std::sync::mpsc::channel(), std::sync::mpsc::channel::<()>());
    ours.spawn(async move {
        begun.send(()).expect("somebody waits");
        // Until the other end is gone, however the test goes.
        let _ = gate.recv();
    });
    busy.recv().expect("it has begun");
    exchange(&mut far, b"while it is not");
    drop(free);
    exchange(&mut far, b"and later");
}
