//! Port sessions to real servers, with and without a multiplexer.

use ssmwire::proto::payload::Flag;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::streams::*;
use super::*;

const LARGE: usize = 20_000_000;
/// A client that can't multiplex.
const OLD: &str = "1.1.54.0";
const CURRENT: &str = "1.2.764.0";

fn sha256(data: &[u8]) -> Vec<u8> {
    digest(&SHA256, data).as_ref().to_vec()
}

#[tokio::test]
async fn fifty_streams_echo_each_their_own_bytes() {
    let server = echo_server().await;
    let mut streams = Streams::start(forwarding(server.port)).await;
    let ids: Vec<u32> = (0..50).map(|index| 3 + 2 * index).collect();
    let data = |id: u32| chargen(u64::from(id) * 1_000_000, 20_000);
    for id in &ids {
        streams.open(*id).await;
    }
    for half in 0..2 {
        for id in &ids {
            streams.push(*id, &data(*id)[half * 10_000..][..10_000]).await;
        }
    }
    for id in &ids {
        streams.until_data(*id, &data(*id)).await;
        streams.finish(*id).await;
        streams.until_ended(*id).await;
    }
    assert_eq!(streams.terminate().await, success());
}

#[tokio::test]
async fn twenty_megabytes_come_down_unchanged() {
    let data = chargen(0, LARGE);
    let hash = sha256(&data);
    let server = sending_server(data).await;
    let mut streams = Streams::start(forwarding(server.port)).await;
    streams.open(3).await;
    streams.until_ended(3).await;
    assert_eq!(sha256(&streams.got(3).data), hash);
    assert_eq!(streams.client.largest, 16 << 10);
}

#[tokio::test]
async fn twenty_megabytes_go_up_unchanged() {
    let data = chargen(0, LARGE);
    let (server, mut told_bytes) = recording_server().await;
    let mut streams = Streams::start(forwarding(server.port)).await;
    streams.open(3).await;
    streams.push(3, &data).await;
    streams.finish(3).await;
    streams.until_ended(3).await;
    assert_eq!(sha256(&told(&mut told_bytes).await), sha256(&data));
}

#[tokio::test]
async fn a_closed_port_is_told_for_each_connection_and_the_session_goes_on() {
    let mut streams = Streams::start(forwarding(closed_port().await)).await;
    for (count, id) in [(1, 3), (2, 5)] {
        streams.open(id).await;
        streams.until_ended(id).await;
        assert_eq!(streams.client.flags, vec![Flag::ConnectToPortError.encode(); count]);
        let last = streams.client.kinds[streams.client.kinds.len() - 2..].to_vec();
        assert_eq!(last, [PayloadType::Flag, PayloadType::Output], "the flag comes before the end");
        streams.finish(id).await;
    }
    assert_eq!(streams.terminate().await, success());
}

#[tokio::test]
async fn a_remote_host_is_reached_by_its_name_and_by_its_address() {
    let server = echo_server().await;
    for host in ["localhost", "127.0.0.1", "::1"] {
        if std::net::TcpStream::connect((host, server.port)).is_err() {
            // It listens on one address of the machine's own name, whichever that is.
            continue;
        }
        let mut spec = forwarding(server.port);
        spec.properties["host"] = json!(host);
        let mut streams = Streams::start(spec).await;
        streams.open(3).await;
        streams.push(3, b"hello").await;
        streams.until_data(3, b"hello").await;
    }
}

#[tokio::test]
async fn a_host_without_an_address_refuses_every_connection() {
    let mut spec = forwarding(80);
    spec.properties["host"] = json!("a..b");
    let mut streams = Streams::start(spec).await;
    for id in [3, 5] {
        streams.open(id).await;
        streams.until_ended(id).await;
    }
    assert_eq!(streams.client.flags.len(), 2);
}

#[tokio::test]
async fn what_cannot_be_forwarded_fails_with_the_agents_text() {
    let properties =
        |port: Value, host: &str| json!({ "portNumber": port, "type": "LocalPortForwarding", "host": host });
    for (properties, text) in [
        (properties(json!("80"), "169.254.169.254"), "Forwarding to IP address 169.254.169.254 is forbidden."),
        (
            properties(json!(""), ""),
            "Port number is empty in session properties. map[host: portNumber: type:LocalPortForwarding]",
        ),
        (
            properties(json!(80), ""),
            "Unable to remarshal session properties. json: cannot unmarshal number into Go struct field \
             PortParameters.portNumber of type string",
        ),
    ] {
        let mut client = open(spec("Port", properties), CURRENT).await;
        assert_eq!(client.end().await, failure(text));
        assert_eq!((client.stdout.len(), client.states.len()), (0, 1));
    }
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_once_the_client_connects() {
    let server = sending_server(b"SSH-2.0-Example_1.0\r\n".to_vec()).await;
    let mut streams = Streams::start(forwarding(server.port)).await;
    streams.open(3).await;
    streams.until_ended(3).await;
    assert_eq!(streams.got(3).data, b"SSH-2.0-Example_1.0\r\n");
    assert_eq!(streams.client.kinds[..2], [PayloadType::HandshakeRequest, PayloadType::HandshakeComplete]);
}

#[tokio::test]
async fn either_end_closes_a_connection_completely() {
    let (tell, mut told_end) = mpsc::channel(1);
    let server = server(move |mut stream| {
        let tell = tell.clone();
        async move {
            let mut request = [0; 2];
            stream.read_exact(&mut request).await.expect("a request");
            stream.write_all(b"last words").await.expect("they are taken");
            // The far end of a half-closed connection gets no more, but the end.
            stream.shutdown().await.expect("it is open");
            tell.send(stream.read(&mut request).await.unwrap_or_default()).await.expect("the test listens");
        }
    })
    .await;
    let mut streams = Streams::start(forwarding(server.port)).await;
    streams.open(3).await;
    streams.push(3, b"go").await;
    streams.until_ended(3).await;
    assert_eq!(streams.got(3).data, b"last words");
    assert_eq!(told(&mut told_end).await, 0);
    streams.push(3, b"too late").await;
    streams.finish(3).await;
    streams.open(5).await;
    streams.push(5, b"go").await;
    streams.until_ended(5).await;
    assert_eq!(streams.terminate().await, success());
}

#[tokio::test]
async fn a_stalled_stream_within_the_budget_holds_up_no_other() {
    let stalled = server(|stream| async move {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let mut streams = Streams::start(forwarding(stalled.port)).await;
    streams.open(3).await;
    streams.push(3, &chargen(0, 3 << 20)).await;
    for id in [5, 7] {
        streams.open(id).await;
        streams.push(id, b"hello").await;
        streams.finish(id).await;
        streams.until_ended(id).await;
    }
    assert_eq!(streams.terminate().await, success());
}

#[tokio::test]
async fn what_is_no_frame_fails_the_session() {
    let mut streams = Streams::start(forwarding(closed_port().await)).await;
    streams.send(b"GET / HTTP/1.1\r\n").await;
    assert_eq!(streams.client.end().await, failure(""));
}

#[tokio::test]
async fn the_end_of_a_session_closes_its_connections_unannounced() {
    let (tell, mut told_end) = mpsc::channel(1);
    let server = server(move |mut stream| {
        let tell = tell.clone();
        async move {
            stream.write_all(b"hello").await.expect("it is taken");
            tell.send(stream.read(&mut [0]).await.unwrap_or_default()).await.expect("the test listens");
        }
    })
    .await;
    for (version, is_flag) in [(CURRENT, true), (CURRENT, false), (OLD, true), (OLD, false)] {
        let mut client = open(forwarding(server.port), version).await;
        if version == CURRENT {
            client.send(PayloadType::Output, frame(SYN, 3, &[])).await;
        }
        client.until_text("hello").await;
        if is_flag {
            client.send(PayloadType::Flag, Flag::TerminateSession.encode()).await;
        } else {
            client.cancel();
        }
        assert_eq!(client.end().await, success());
        assert_eq!(client.states.len(), 1);
        assert_eq!(client.acknowledged, client.next_input, "the flag is acknowledged, too");
        assert_eq!(told(&mut told_end).await, 0);
    }
}

#[tokio::test]
async fn an_old_client_has_one_connection_after_the_other() {
    let server = echo_server().await;
    let mut client = open(forwarding(server.port), OLD).await;
    for (word, all) in [("hello", "hello"), ("more", "hellomore"), ("second", "hellomoresecond")] {
        client.type_in(word).await;
        client.until_text(all).await;
        client.send(PayloadType::Flag, Flag::DisconnectToPort.encode()).await;
    }
    client.send(PayloadType::Flag, Flag::TerminateSession.encode()).await;
    assert_eq!(client.end().await, success());
}

#[tokio::test]
async fn an_old_agent_has_one_connection_whatever_its_client_can_do() {
    let server = echo_server().await;
    let mut spec = forwarding(server.port);
    spec.agent.version = "3.0.196.0".to_owned();
    let mut client = open(spec, CURRENT).await;
    client.type_in("hello").await;
    client.until_text("hello").await;
}

#[tokio::test]
async fn disconnecting_closes_the_connection_of_an_old_client() {
    let (server, mut told_bytes) = recording_server().await;
    let mut client = open(forwarding(server.port), OLD).await;
    for word in ["first", "second"] {
        client.type_in(word).await;
        client.send(PayloadType::Flag, Flag::DisconnectToPort.encode()).await;
        assert_eq!(told(&mut told_bytes).await, word.as_bytes());
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_opened_again_for_the_next_bytes() {
    let server = sending_server(b"banner;".to_vec()).await;
    let port = server.port;
    let mut client = open(forwarding(port), OLD).await;
    client.until_text("banner;").await;
    // Bytes that reach the old connection before its end is noticed are lost with it, as over any TCP connection.
    while !client.text().starts_with("banner;banner;") {
        client.type_in("x").await;
        let acknowledged = client.acknowledged;
        client.until(|client| client.acknowledged > acknowledged).await;
    }
    drop(server);
    let refused = async {
        loop {
            client.type_in("x").await;
            if !client.take().await {
                return timeout(PATIENCE, &mut client.session).await.expect("it ends").expect("it does not panic");
            }
        }
    };
    assert_eq!(timeout(PATIENCE, refused).await.expect("nobody listens any more"), failure(""));
}

#[tokio::test]
async fn an_ssh_session_is_one_connection_whose_server_may_speak_first() {
    let server = server(|mut stream| async move {
        stream.write_all(b"SSH-2.0-Example_1.0\r\n").await.expect("it is taken");
        let mut line = [0; 4];
        while stream.read_exact(&mut line).await.is_ok() && line != *b"QUIT" {
            stream.write_all(&[b"got:".as_slice(), &line].concat()).await.expect("it is taken");
        }
        stream.write_all(b"bye").await.expect("it is taken");
    })
    .await;
    let mut client = open(ssh(server.port), CURRENT).await;
    client.until_text("SSH-2.0-Example_1.0\r\n").await;
    client.send(PayloadType::Output, vec![0, 1, 2, 255]).await;
    client.until(|client| client.stdout.ends_with(b"got:\x00\x01\x02\xff")).await;
    client.type_in("QUIT").await;
    assert_eq!(client.end().await, success());
    assert!(client.stdout.ends_with(b"bye"));
    assert_eq!(client.states.len(), 1, "its end is not announced");
}

#[tokio::test]
async fn an_ssh_session_carries_twenty_megabytes_both_ways() {
    let data = chargen(0, LARGE);
    let server = sending_server(data.clone()).await;
    let mut client = open(ssh(server.port), CURRENT).await;
    assert_eq!(client.end().await, success());
    assert_eq!(sha256(&client.stdout), sha256(&data));

    let (server, mut told_bytes) = recording_server().await;
    let mut streams = Streams::of(open(ssh(server.port), CURRENT).await);
    streams.send(&data).await;
    assert_eq!(streams.terminate().await, success());
    assert_eq!(sha256(&told(&mut told_bytes).await), sha256(&data));
}

#[tokio::test]
async fn an_ssh_session_does_not_survive_its_connection() {
    let server = echo_server().await;
    let mut client = open(ssh(server.port), CURRENT).await;
    client.send(PayloadType::Flag, Flag::DisconnectToPort.encode()).await;
    assert_eq!(client.end().await, failure(""));
}

#[tokio::test]
async fn a_first_connection_that_is_refused_crashes_the_agents_worker() {
    let port = closed_port().await;
    for (spec, version) in [(ssh(port), CURRENT), (forwarding(port), OLD)] {
        let mut client = open(spec, version).await;
        assert_eq!(client.end().await, failure(CRASH_OUTPUT));
    }
}

#[tokio::test]
async fn a_faithful_agent_finds_out_after_a_minute_that_its_worker_has_crashed() {
    let mut spec = ssh(closed_port().await);
    spec.agent.is_faithful = true;
    let mut client = open(spec, CURRENT).await;
    assert!(timeout(PATIENCE, async { while client.take().await {} }).await.is_ok(), "the data channel drops at once");
    let start = tokio::time::Instant::now();
    tokio::time::pause();
    client.type_in("is anybody there?").await;
    assert_eq!((&mut client.session).await.expect("it does not panic"), failure(CRASH_OUTPUT));
    let taken = start.elapsed();
    assert!(taken > Duration::from_secs(58) && taken < Duration::from_secs(62), "{taken:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_keeps_no_streams_alive_must_not_be_too_old_nor_its_agent() {
    let spec = |agent_version: &str| {
        let mut spec = forwarding(80);
        spec.agent.version = agent_version.to_owned();
        spec
    };
    for (agent, client) in [("3.3.987.0", "1.2.331.0"), ("3.0.196.1", CURRENT), ("3.1.1511.0", CURRENT)] {
        let mut streams = Streams::of(open(spec(agent), client).await);
        let start = tokio::time::Instant::now();
        assert_eq!(streams.client.end().await, failure(""), "{agent} {client}");
        streams.parse();
        assert_eq!((streams.nops, start.elapsed().as_secs()), (3, 30), "{agent} {client}");
    }
    for (agent, client) in [("3.3.987.0", "1.2.331.1"), ("3.1.1511.1", CURRENT)] {
        let mut streams = Streams::of(open(spec(agent), client).await);
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        assert!(streams.client.from.try_recv().is_err(), "nothing is sent before the client speaks");
        assert_eq!(streams.terminate().await, success(), "{agent} {client}");
    }
}
