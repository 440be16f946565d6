//! Sessions on agents that come over the network, as official ones do.

use std::time::Duration;

use crate::fixture::{
    TARGET, builder_at, client, echo, echo_during, program, read_until, soon, start, until, until_all_ended,
};
use ssmwire::{ByteStream, Client, Command, Kind, Session, SessionKind, Size, StartSession};
use ssmwire_emulator::{AgentProfile, ApiFault, Emulator, NetworkAgent, Scope, SessionStatus, programs};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn agent(emulator: &Emulator) -> NetworkAgent {
    agent_with(emulator, AgentProfile::default()).await
}

async fn agent_with(emulator: &Emulator, profile: AgentProfile) -> NetworkAgent {
    NetworkAgent::builder(TARGET).of(emulator).profile(profile).start().await.expect("the agent connects")
}

/// An emulator with an agent of the network, and a client.
async fn hosted() -> (Emulator, NetworkAgent, Client) {
    let emulator = start(Emulator::builder()).await;
    let agent = agent(&emulator).await;
    let client = client(&emulator).await;
    (emulator, agent, client)
}

fn calls(emulator: &Emulator, operation: &str) -> u64 {
    emulator.requests().get(operation).copied().unwrap_or_default()
}

/// A TCP server that sends back what it gets; its port.
async fn echo_server() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                // A client that goes away in the middle is its own business.
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
            });
        }
    });
    port
}

async fn echo_through(client: &Client, port: u16, count: usize) -> Option<SessionKind> {
    let stream = client.dial(TARGET, port).await.expect("dials");
    let kind = stream.session().kind();
    echo_over(stream, count).await;
    kind
}

async fn echo_over(stream: ByteStream, count: usize) {
    let sent = programs::chargen(7, count);
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut received = vec![0; count];
    let (written, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut received));
    written.expect("writes");
    read.expect("reads");
    assert!(received == sent, "other bytes came back");
}

/// Starts a shell, and returns its process's id.
async fn shell_pid(session: &Session) -> u32 {
    let stdio = session.stdio();
    stdio.write_all(b"echo pid=$$.\r").await.expect("writes");
    let mut text = String::new();
    loop {
        text.push_str(&read_until(&stdio, "\n").await);
        let pids = text.split("pid=").filter_map(|rest| rest.split_once('.'));
        if let Some(pid) = pids.filter_map(|(pid, _)| pid.parse().ok()).next() {
            return pid;
        }
    }
}

fn is_running(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

#[tokio::test]
async fn a_shell_has_a_terminal_and_a_command_its_streams_and_code() {
    let (emulator, agent, client) = hosted().await;
    soon(async {
        let shell = client.shell(TARGET).size(101, 33).start().await.expect("it opens");
        let stdio = shell.stdio();
        stdio.write_all(b"stty size; echo $((6*7)) is it\r").await.expect("writes");
        let text = read_until(&stdio, "42 is it").await;
        assert!(text.contains("33 101"), "{text}");
        shell.resize(Size { columns: 77, rows: 22 }).expect("resizes");
        stdio.write_all(b"stty size; exit\r").await.expect("writes");
        read_until(&stdio, "22 77").await;
        shell.session().closed().await.expect("ends well");
        let output = client.run(TARGET, Command::shell("echo out; echo err >&2; exit 3")).await.expect("it runs");
        assert_eq!((output.status.code(), output.stdout, output.stderr), (Some(3), b"out\n".into(), b"err\n".into()));
        until_all_ended(&emulator).await;
    })
    .await;
    assert!(agent.is_connected());
    // One for each session, and none for a session that has ended.
    assert_eq!(calls(&emulator, "CreateDataChannel"), calls(&emulator, "StartSession"));
    until("it has announced itself", || calls(&emulator, "UpdateInstanceInformation") == 1).await;
}

#[tokio::test]
async fn agent_and_client_both_come_in_tls_if_they_trust_the_authority() {
    let emulator = start(Emulator::builder().tls()).await;
    let _agent = agent(&emulator).await;
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), emulator.ca_certificate().expect("a certificate")).expect("written");
    let url = emulator.tls_endpoint_url().expect("there is TLS");
    let builder = builder_at(url.clone(), emulator.access_key_id(), emulator.secret_access_key());
    let client = builder.ca_bundle(ca.path()).build().await.expect("a client");
    soon(async {
        let session = echo(&client).await;
        echo_during(&session, 1_000_000, async {}).await;
    })
    .await;
    let stranger = NetworkAgent::builder("i-2").endpoint(url).credentials("a", "b").start().await;
    let problem = stranger.expect_err("it trusts nobody");
    assert_eq!(problem.kind(), Kind::ConnectFailed);
    assert!(problem.message().contains("certificate"), "{problem}");
}

#[tokio::test]
async fn ports_are_multiplexed_by_recent_agents_and_have_sessions_of_their_own_on_old_ones() {
    let far = echo_server().await;
    for (version, kind) in [("3.3.987.0", SessionKind::Ports), ("3.0.196.0", SessionKind::Port)] {
        let emulator = start(Emulator::builder()).await;
        let _agent =
            agent_with(&emulator, AgentProfile { version: version.to_owned(), ..AgentProfile::default() }).await;
        let client = client(&emulator).await;
        soon(async {
            let one = echo_through(&client, far, 500_000);
            let (one, other) = tokio::join!(one, echo_through(&client, far, 300_000));
            assert_eq!((one, other), (Some(kind), Some(kind)));
            until_all_ended(&emulator).await;
        })
        .await;
    }
}

#[tokio::test]
async fn an_encrypted_shell_has_its_key_decrypted_by_kms() {
    let emulator = start(Emulator::builder().default_shell_kms_key("alias/test")).await;
    let _agent = agent(&emulator).await;
    let client = client(&emulator).await;
    soon(async {
        let shell = client.shell(TARGET).start().await.expect("it opens");
        shell.stdio().write_all(b"echo $((6*7)) is it; exit\r").await.expect("writes");
        read_until(&shell.stdio(), "42 is it").await;
        assert_eq!((calls(&emulator, "GenerateDataKey"), calls(&emulator, "Decrypt")), (1, 1));
        emulator.faults().fail("Decrypt", ApiFault::new("AccessDeniedException", "not yours"), 1);
        let error = client.shell(TARGET).start().await.expect_err("it has no key");
        assert!(error.message().contains("AccessDeniedException: not yours"), "{error}");
    })
    .await;
}

#[tokio::test]
async fn no_byte_is_lost_when_the_agents_data_channel_is_cut_in_mid_transfer() {
    let (emulator, _agent, client) = hosted().await;
    soon(async {
        let session = echo(&client).await;
        let mischief = async {
            // Each channel after the first replaces one that was cut. While the agent has none, a cut does nothing.
            for channels in 2..=5 {
                let before = session.stats().bytes_in;
                until("the transfer goes on", || session.stats().bytes_in >= before + 500_000).await;
                while calls(&emulator, "CreateDataChannel") < channels {
                    assert_eq!(emulator.faults().cut_agent(session.id(), Duration::from_millis(50)).await, 1);
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        };
        assert!(echo_during(&session, 6_000_000, mischief).await >= 6_000_000);
    })
    .await;
}

#[tokio::test]
async fn both_ends_can_be_cut_while_ports_are_in_use() {
    let (emulator, _agent, client) = hosted().await;
    let far = echo_server().await;
    soon(async {
        let mischief = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                emulator.faults().cut_agent(Scope::All, Duration::ZERO).await;
                emulator.faults().cut_client(Scope::All).await;
            }
        };
        let (kind, ()) = tokio::join!(echo_through(&client, far, 8_000_000), mischief);
        assert_eq!(kind, Some(SessionKind::Ports));
    })
    .await;
}

#[tokio::test]
async fn a_lost_control_channel_comes_back_and_leaves_sessions_alone() {
    let (emulator, agent, client) = hosted().await;
    soon(async {
        let session = echo(&client).await;
        emulator.faults().fail("CreateControlChannel", ApiFault::new("InternalServerError", "try again"), 2);
        assert!(emulator.faults().cut_control(TARGET));
        let error = client.start_session(StartSession::new(TARGET)).await.expect_err("the agent is away");
        assert_eq!(error.kind(), Kind::TargetNotConnected);
        until("the agent is back", || calls(&emulator, "CreateControlChannel") == 4 && agent.is_connected()).await;
        echo_during(&session, 100_000, async {}).await;
        assert_eq!(calls(&emulator, "CreateDataChannel"), 1, "the session's own channel was never lost");
        let output = client.run(TARGET, Command::new("true")).await.expect("it runs");
        assert!(output.status.is_success());
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_ended_while_its_agent_is_away_ends_when_the_agent_is_back() {
    let (emulator, agent, client) = hosted().await;
    soon(async {
        let shell = client.shell(TARGET).start().await.expect("it opens");
        let pid = shell_pid(shell.session()).await;
        // For long enough that nothing reaches the agent on the data channel either.
        emulator.faults().fail("CreateControlChannel", ApiFault::new("InternalServerError", "try again"), 5);
        emulator.faults().cut_agent(shell.session().id(), Duration::from_secs(60)).await;
        assert!(emulator.faults().cut_control(TARGET));
        shell.session().close().await.expect("it is ended");
        until("the agent is back", || agent.is_connected()).await;
        until("the shell is gone", || !is_running(pid)).await;
    })
    .await;
}

#[tokio::test]
async fn a_terminated_session_ends_its_program_and_is_reported() {
    let (emulator, _agent, client) = hosted().await;
    soon(async {
        let shell = client.shell(TARGET).start().await.expect("it opens");
        let pid = shell_pid(shell.session()).await;
        assert!(is_running(pid));
        shell.session().close().await.expect("it is ended");
        until("the shell is gone", || !is_running(pid)).await;
        until_all_ended(&emulator).await;
    })
    .await;
}

#[tokio::test]
async fn without_its_agent_a_target_is_not_connected_and_with_another_one_it_is_again() {
    let (emulator, agent, client) = hosted().await;
    soon(async {
        let session = echo(&client).await;
        drop(agent);
        let run = async || client.run(TARGET, Command::new("true")).await;
        until("its absence is noticed", || !emulator.is_connected(TARGET)).await;
        assert_eq!(run().await.expect_err("nobody is there").kind(), Kind::TargetNotConnected);
        assert_eq!(
            emulator.sessions().iter().find(|one| one.id == session.id()).map(|one| one.status),
            Some(SessionStatus::Connected)
        );
        let _another = self::agent(&emulator).await;
        assert!(run().await.expect("it runs").status.is_success());
        assert!(!emulator.set_online("i-none", false) && emulator.set_online(TARGET, false));
        assert_eq!(run().await.expect_err("it takes none").kind(), Kind::TargetNotConnected);
    })
    .await;
}

#[tokio::test]
async fn idle_sessions_and_long_ones_end_at_the_agent_too() {
    let limits: [(fn() -> ssmwire_emulator::EmulatorBuilder, _); 2] = [
        (|| Emulator::builder().idle_timeout(Duration::from_millis(1500)), Kind::IdleTimeout),
        (|| Emulator::builder().max_duration(Duration::from_millis(1500)), Kind::MaxDuration),
    ];
    for (builder, kind) in limits {
        let emulator = start(builder()).await;
        let _agent = agent(&emulator).await;
        let client = client(&emulator).await;
        soon(async {
            let shell = client.shell(TARGET).start().await.expect("it opens");
            let pid = shell_pid(shell.session()).await;
            assert_eq!(shell.session().closed().await.expect_err("it is ended").kind(), kind);
            until("the shell is gone", || !is_running(pid)).await;
        })
        .await;
    }
}

#[tokio::test]
async fn an_agent_with_the_official_ones_pace_serves_ports_and_commands_the_same() {
    let emulator = start(Emulator::builder()).await;
    let _agent = agent_with(&emulator, AgentProfile { is_faithful: true, ..AgentProfile::default() }).await;
    let client = client(&emulator).await;
    let far = echo_server().await;
    soon(async {
        let stream = client.dial(TARGET, far).await.expect("dials");
        // Held until after the cut, so that there is a session to cut however late that comes.
        let session = stream.session();
        let cut = async {
            until("the transfer is under way", || session.stats().bytes_in >= 20_000).await;
            emulator.faults().cut_agent(Scope::All, Duration::ZERO).await
        };
        let ((), cuts) = tokio::join!(echo_over(stream, 200_000), cut);
        assert_eq!((session.kind(), cuts), (Some(SessionKind::Ports), 1));
        drop(session);
        let output = client.run(TARGET, Command::shell("echo out; exit 3")).await.expect("it runs");
        assert_eq!((output.status.code(), output.stdout), (Some(3), b"out\n".into()));
    })
    .await;
}

#[tokio::test]
async fn many_sessions_at_once_are_kept_apart() {
    let (emulator, _agent, client) = hosted().await;
    soon(async {
        let runs = (0..40).map(async |number| {
            let output = client.run(TARGET, Command::shell(format!("echo {number}; exit {number}"))).await;
            let output = output.expect("it runs");
            assert_eq!((output.status.code(), output.stdout), (Some(number), format!("{number}\n").into_bytes()));
        });
        futures_util::future::join_all(runs).await;
        until_all_ended(&emulator).await;
        assert_eq!(emulator.sessions().len(), 40);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_away_gets_what_the_agent_had_to_say() {
    let (emulator, _agent, client) = hosted().await;
    soon(async {
        let request = program("Chargen").parameter("bytes", "3000000");
        let session = client.start_session(request).await.expect("it starts");
        emulator.faults().cut_client_after(session.id(), 500_000, 3);
        let mut all = Vec::new();
        session.stdio().read_to_end(&mut all).await.expect("it ends well");
        assert!(all == programs::chargen(0, 3_000_000), "{} other bytes", all.len());
    })
    .await;
}

#[tokio::test]
async fn a_session_that_the_agent_can_not_run_says_why() {
    let foo = serde_json::json!({"schemaVersion": "1.0", "sessionType": "Foo"});
    let emulator = start(Emulator::builder().document("Test-Foo", foo)).await;
    let _agent = agent(&emulator).await;
    let client = client(&emulator).await;
    soon(async {
        let request = StartSession { document_name: Some("Test-Foo".to_owned()), ..StartSession::new(TARGET) };
        let session = client.start_session(request).await.expect("it starts");
        let error = session.closed().await.expect_err("there is no such plugin");
        assert!(error.message().contains("Plugin with name Foo is not supported"), "{error}");
        assert_eq!(calls(&emulator, "CreateDataChannel"), 0);
        emulator.faults().fail("CreateDataChannel", ApiFault::new("InternalServerError", "no room"), 6);
        let session = client.start_session(program("Echo")).await.expect("it starts");
        let error = session.closed().await.expect_err("it has no channel");
        let setting_up = format!("Setting up data channel with id {} failed", session.id());
        assert!(error.message().contains(&setting_up) && error.message().contains("no room"), "{error}");
    })
    .await;
}
