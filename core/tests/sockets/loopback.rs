//! What a user of the library does.

use std::time::Duration;

use crate::fixture::{TARGET, client, echo, emulator, emulator_with, read_until, soon, start, until, until_all_ended};
use ssmwire::{Command, Kind, SessionKind, Size, StartSession, Via};
use ssmwire_emulator::{AgentProfile, Emulator};

#[tokio::test]
async fn a_command_gives_its_streams_and_its_code_apart() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let command = Command::shell("echo out; echo err >&2; printf more; exit 7");
    let output = soon(client.run(TARGET, command).into_future()).await.expect("it runs");
    assert_eq!(output.status.code(), Some(7));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\nmore"[..], &b"err\n"[..]));
    assert_eq!(output.via, Via::Agent);
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let arguments =
        ["", "a b", "it's", "$HOME $$ `id`", "{{ command }} {{ssm:x}}", "line\nline", "\\\"", "*", "ü 漢 🦀"];
    let command = Command::new("printf").arg("[%s]").args(arguments);
    let output = soon(client.run(TARGET, command).into_future()).await.expect("it runs");
    let expected: String = arguments.iter().map(|argument| format!("[{argument}]")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[tokio::test]
async fn an_agent_that_merges_streams_gets_an_envelope_and_runs_the_command_once() {
    let marker = tempfile::NamedTempFile::new().expect("a file");
    let emulator = emulator_with(AgentProfile { version: "3.1.1476.0".into(), ..AgentProfile::default() }).await;
    let client = client(&emulator).await;
    let line = format!("echo x >> {}; echo out; echo err >&2; exit 9", marker.path().display());
    let output = soon(client.run(TARGET, Command::shell(line)).into_future()).await.expect("it runs");
    assert_eq!((output.status.code(), output.via), (Some(9), Via::Envelope));
    assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"out\n"[..], &b"err\n"[..]));
    assert_eq!(std::fs::read_to_string(marker.path()).expect("readable"), "x\n");
}

#[tokio::test]
async fn where_only_a_shell_is_permitted_the_command_runs_in_the_shell() {
    let emulator = emulator().await;
    emulator.faults().deny_document("AWS-StartNonInteractiveCommand", true);
    let client = client(&emulator).await;
    let argument = format!("{}\t\u{3}\u{4}\u{15}end", "long ".repeat(3000));
    let command = Command::shell("printf '%s' \"$0\"; echo err >&2; exit 3").arg(argument.clone());
    let output = soon(client.run(TARGET, command).into_future()).await.expect("it runs");
    assert_eq!((output.status.code(), output.via), (Some(3), Via::Envelope));
    assert_eq!(String::from_utf8_lossy(&output.stdout), argument);
    assert_eq!(output.stderr, b"err\n");
}

#[tokio::test]
async fn binary_output_is_exact_where_the_agent_mangles() {
    let emulator = emulator_with(AgentProfile { is_faithful: true, ..AgentProfile::default() }).await;
    let client = client(&emulator).await;
    let octal: String = (0..=255).map(|byte| format!("\\{byte:03o}")).collect();
    let command = Command::shell(format!("printf '{octal}'; printf '{octal}' >&2"));
    let all: Vec<u8> = (0..=255).collect();
    let plain = soon(client.run(TARGET, command.clone()).into_future()).await.expect("it runs");
    assert_ne!(plain.stdout, all);
    let binary = soon(client.run(TARGET, command).binary(true).into_future()).await.expect("it runs");
    assert_eq!((binary.stdout, binary.stderr), (all.clone(), all));
    assert_eq!((binary.status.code(), binary.via), (Some(0), Via::Envelope));
}

#[tokio::test]
async fn a_command_reads_its_input_byte_by_byte_and_then_its_end() {
    let emulator = emulator_with(AgentProfile { is_faithful: true, ..AgentProfile::default() }).await;
    let client = client(&emulator).await;
    let input: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let command = Command::shell("cat; echo read >&2; exit 6");
    let output = soon(client.run(TARGET, command).input(input.clone()).into_future()).await.expect("it runs");
    assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
    assert_eq!((output.stderr.as_slice(), output.status.code()), (&b"read\n"[..], Some(6)));
    let output = soon(client.run(TARGET, Command::new("wc").arg("-c")).input("").into_future()).await.expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "0");
}

#[tokio::test]
async fn input_also_comes_to_a_command_in_a_shell_and_in_an_old_agent() {
    let emulator = emulator_with(AgentProfile { version: "3.1.1476.0".into(), ..AgentProfile::default() }).await;
    let client = client(&emulator).await;
    let sort = || soon(client.run(TARGET, Command::new("sort")).input("b\nc\na\n").into_future());
    assert_eq!(sort().await.expect("it runs").stdout, b"a\nb\nc\n");
    emulator.faults().deny_document("AWS-StartInteractiveCommand", true);
    assert_eq!(sort().await.expect("it runs").stdout, b"a\nb\nc\n");
}

#[tokio::test]
async fn a_command_may_end_before_its_input_does() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let input = vec![b'x'; 2 << 20];
    let run = client.run(TARGET, Command::shell("head -c 3; exit 5")).input(input.clone());
    let output = soon(run.into_future()).await.expect("it runs");
    assert_eq!((output.stdout.as_slice(), output.status.code()), (&b"xxx"[..], Some(5)));
    assert_eq!(output.stderr, b"", "nothing is said about the feeder");
    let run = client.run(TARGET, Command::shell("echo unread; exec sleep 60")).input(input);
    let error = soon(run.timeout(Duration::from_secs(1)).into_future()).await.expect_err("it takes too long");
    assert_eq!(error.kind(), Kind::Timeout);
}

#[tokio::test]
async fn input_is_neither_shown_nor_dropped_where_there_is_no_terminal() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let run = client.run(TARGET, Command::new("cat")).input("hush").document("AWS-StartNonInteractiveCommand");
    assert!(!format!("{run:?}").contains("hush") && !format!("{run:?}").contains("104"), "{run:?}");
    let error = soon(run.into_future()).await.expect_err("it has no terminal");
    assert_eq!(error.kind(), Kind::Unsupported);
    assert!(error.hint().is_some_and(|hint| hint.contains("InteractiveCommands")), "{error:?}");
}

#[tokio::test]
async fn a_far_side_that_talks_and_never_listens_is_given_up() {
    let shell = vec!["yes".to_owned()];
    let emulator = emulator_with(AgentProfile { shell, ..AgentProfile::default() }).await;
    emulator.faults().deny_document("AWS-StartInteractiveCommand", true);
    emulator.faults().deny_document("AWS-StartNonInteractiveCommand", true);
    let client = client(&emulator).await;
    for run in [client.run(TARGET, Command::new("cat")), client.run(TARGET, Command::new("cat")).input("x")] {
        let error = soon(run.into_future()).await.expect_err("it is no shell");
        assert_eq!(error.kind(), Kind::Unsupported, "{error:?}");
    }
}

#[tokio::test]
async fn a_run_that_takes_too_long_tells_what_had_arrived() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let command = Command::shell("echo early; echo bad >&2; exec sleep 60");
    let run = client.run(TARGET, command).timeout(Duration::from_secs(3));
    let error = soon(run.into_future()).await.expect_err("it takes too long");
    assert_eq!(error.kind(), Kind::Timeout);
    let partial = error.partial().expect("it had written something");
    assert_eq!((partial.stdout.as_slice(), partial.stderr.as_slice()), (&b"early\n"[..], &b"bad\n"[..]));
    assert!(error.session_id().is_some());
    let ended = || emulator.sessions().iter().all(|s| s.status == ssmwire_emulator::SessionStatus::Terminated);
    until("the session is terminated", ended).await;
}

#[tokio::test]
async fn a_command_that_writes_more_than_is_taken_is_ended_with_what_fits() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let max = 1 << 20;
    let run = |line| client.run(TARGET, Command::shell(line)).output_max(max);
    // The last two in envelopes: one arrives as it is written, the other when the command has ended.
    let runs = [
        ("yes", run("yes")),
        ("yes >&2", run("yes >&2")),
        ("yes", run("yes").input("")),
        ("yes", run("yes | head -c 4000000").binary(true)),
    ];
    for (line, run) in runs {
        let error = soon(run.into_future()).await.expect_err("it is too much");
        assert_eq!(error.kind(), Kind::OutputTooLarge, "{line}: {error:?}");
        assert!(error.session_id().is_some());
        let partial = error.partial().expect("it had written something");
        let (much, none) = match line {
            "yes" => (&partial.stdout, &partial.stderr),
            _ => (&partial.stderr, &partial.stdout),
        };
        assert_eq!((much.len(), none.len()), (max, 0), "{line}");
        assert!(much.starts_with(b"y\ny\n"));
    }
    let ended = || emulator.sessions().iter().all(|s| s.status == ssmwire_emulator::SessionStatus::Terminated);
    until("the sessions are terminated", ended).await;
}

#[tokio::test]
async fn a_command_that_writes_as_much_as_is_taken_has_not_written_too_much() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    for is_binary in [false, true] {
        let run =
            |max| client.run(TARGET, Command::shell("printf 12345; printf 123 >&2")).binary(is_binary).output_max(max);
        let output = soon(run(5).into_future()).await.expect("it fits");
        assert_eq!((output.stdout.as_slice(), output.stderr.as_slice()), (&b"12345"[..], &b"123"[..]));
        let error = soon(run(4).into_future()).await.expect_err("it does not fit");
        assert_eq!(error.kind(), Kind::OutputTooLarge);
        assert_eq!(error.partial().expect("it had written something").stdout, b"1234");
    }
}

#[tokio::test]
async fn a_failed_command_is_an_error_only_if_asked_for() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let run = client.run(TARGET, Command::shell("echo why >&2; exit 4")).check(true);
    let error = soon(run.into_future()).await.expect_err("it is checked");
    assert_eq!(error.kind(), Kind::CommandFailed);
    assert_eq!(error.partial().expect("streams").stderr, b"why\n");
    let missing = soon(client.run(TARGET, Command::new("/no/such/program")).into_future()).await.expect("it runs");
    assert_eq!(missing.status.code(), Some(1));
}

#[tokio::test]
async fn a_shell_talks_and_knows_its_size() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    soon(async {
        let shell = client.shell(TARGET).size(101, 33).start().await.expect("it opens");
        let stdio = shell.stdio();
        stdio.write_all(b"stty size; echo $((6*7)) is it\r").await.expect("writes");
        let text = read_until(&stdio, "42 is it").await;
        assert!(text.contains("33 101"), "{text}");
        shell.resize(Size { columns: 77, rows: 22 }).expect("resizes");
        stdio.write_all(b"stty size\r").await.expect("writes");
        read_until(&stdio, "22 77").await;
        assert_eq!(shell.session().kind(), Some(SessionKind::Shell));
        stdio.finish().expect("finishes");
        let mut rest = Vec::new();
        stdio.read_to_end(&mut rest).await.expect("ends well");
        shell.session().closed().await.expect("ends well");
    })
    .await;
}

#[tokio::test]
async fn an_encrypted_shell_talks_too() {
    let builder = Emulator::builder().target(TARGET, AgentProfile::default()).default_shell_kms_key("alias/test");
    let emulator = start(builder).await;
    let client = client(&emulator).await;
    soon(async {
        let shell = client.shell(TARGET).start().await.expect("it opens");
        let event = shell.session().event().await.expect("an event");
        assert!(matches!(event, ssmwire::Event::CustomerMessage(text) if text.contains("encrypted")));
        shell.stdio().write_all(b"echo $((6*7)) is it; exit\r").await.expect("writes");
        read_until(&shell.stdio(), "42 is it").await;
        shell.session().closed().await.expect("ends well");
    })
    .await;
    assert_eq!(emulator.requests()["GenerateDataKey"], 1);
}

#[tokio::test]
async fn a_slow_reader_gets_every_byte_and_bounds_the_memory() {
    let emulator = emulator().await;
    let client = crate::fixture::builder(&emulator).unread_max(256 << 10).build().await.expect("the client is made");
    let data = ssmwire_emulator::programs::chargen(0, 20_000_000);
    soon(async {
        // One that does not end: an agent whose program has ended gives up what stays unread.
        let session = crate::fixture::echo(&client).await;
        let (reader, writer) = (session.stdio(), session.stdio());
        let write = async { writer.write_all(&data).await.expect("writes") };
        let read = async {
            let full = || session.stats().unread >= 256 << 10;
            until("the buffer is full", full).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            let unread = session.stats().unread;
            assert!(unread <= 1 << 20, "{unread} bytes are kept");
            let mut received = Vec::new();
            while received.len() < data.len() {
                received.extend(reader.read_block().await.expect("goes on").expect("has not ended"));
            }
            received
        };
        let ((), received) = tokio::join!(write, read);
        assert!(received == data);
    })
    .await;
}

#[tokio::test]
async fn input_of_many_megabytes_arrives() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let request = StartSession { document_name: Some("Emulator-Echo".into()), ..StartSession::new(TARGET) };
    let data: Vec<u8> = (0..8_000_000u32).map(|i| (i % 251) as u8).collect();
    soon(async {
        let session = client.start_session(request).await.expect("it starts");
        let (reader, writer) = (session.stdio(), session.stdio());
        let write = async { writer.write_all(&data).await.expect("writes") };
        let read = async {
            let mut received = Vec::new();
            while received.len() < data.len() {
                received.extend_from_slice(&reader.read_block().await.expect("reads").expect("goes on"));
            }
            received
        };
        let ((), received) = tokio::join!(write, read);
        assert!(received == data);
        writer.flush().await.expect("everything is acknowledged");
        assert_eq!(session.stats().unacknowledged, 0);
        session.close().await.expect("closes");
    })
    .await;
}

#[tokio::test]
async fn dropping_the_last_handle_ends_the_session_on_the_service() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let session = soon(client.start_session(StartSession::new(TARGET))).await.expect("it starts");
    let stream = session.stdio();
    drop(session);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(emulator.requests().get("TerminateSession"), None);
    drop(stream);
    let ended = || emulator.sessions().iter().all(|s| s.status == ssmwire_emulator::SessionStatus::Terminated);
    until("the session is terminated", ended).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_fails_resets_its_socket() {
    use std::io::{Read, Write};
    let builder = Emulator::builder().target(TARGET, AgentProfile::default());
    let emulator = start(builder.max_duration(Duration::from_secs(2))).await;
    let client = client(&emulator).await;
    let mut socket = echo(&client).await.stdio().into_socket().expect("a socket");
    let exchange = tokio::task::spawn_blocking(move || {
        socket.write_all(b"said").expect("writes");
        let mut answer = [0; 4];
        socket.read_exact(&mut answer).expect("reads");
        (answer, socket.read(&mut [0; 16]))
    });
    let (answer, rest) = soon(exchange).await.expect("no panic");
    assert_eq!(&answer, b"said");
    assert_eq!(rest.expect_err("it has failed").kind(), std::io::ErrorKind::ConnectionReset);
    until_all_ended(&emulator).await;
}

/// Reads from a socket that the library pumps, as a program would that knows nothing of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_can_be_a_socket() {
    let emulator = emulator().await;
    let client = client(&emulator).await;
    let session = echo(&client).await;
    let mut socket = session.stdio().into_socket().expect("a socket");
    drop(session);
    let exchange = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        let sent: Vec<u8> = (0..300_000u32).map(|number| number as u8).collect();
        let mut writer = socket.try_clone().expect("clones");
        let copy = sent.clone();
        let writing = std::thread::spawn(move || writer.write_all(&copy).expect("writes"));
        let mut received = vec![0; sent.len()];
        socket.read_exact(&mut received).expect("reads");
        writing.join().expect("no panic");
        assert!(sent == received);
    });
    soon(exchange).await.expect("no panic");
    until_all_ended(&emulator).await;
}
