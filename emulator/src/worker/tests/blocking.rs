//! Port sessions of agents that are paced and that block, as the official one is and does.

use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::sync::Notify;

use super::streams::*;
use super::*;

/// How long nothing must move until it counts as stuck.
const STILLNESS: Duration = Duration::from_millis(300);
/// More than the agent, the multiplexer, the channel and the kernel's sockets hold together.
const TOO_MUCH: usize = 32 << 20;

/// A client that has sent more than the far end took, and keeps what is not acknowledged.
struct Stuck {
    streams: Streams,
    sent: Vec<Vec<u8>>,
    release: Arc<Notify>,
    told: mpsc::Receiver<Vec<u8>>,
    _server: Server,
}

impl Stuck {
    /// Sends to a server that reads nothing until it is released, until nothing moves any more.
    async fn start(blocks: impl FnOnce(&mut AgentProfile)) -> Self {
        let release = Arc::new(Notify::new());
        let released = release.clone();
        let (tell, told) = mpsc::channel(1);
        let server = server(move |mut stream| {
            let (released, tell) = (released.clone(), tell.clone());
            async move {
                released.notified().await;
                let mut data = Vec::new();
                // It fails if the client closes with something unread.
                let _ = stream.read_to_end(&mut data).await;
                tell.send(data).await.expect("the test listens");
            }
        })
        .await;
        let mut spec = forwarding(server.port);
        blocks(&mut spec.agent);
        let streams = Streams::start(spec).await;
        let mut stuck = Self { streams, sent: Vec::new(), release, told, _server: server };
        stuck.fill().await;
        stuck
    }

    async fn fill(&mut self) {
        let frames = [frame(SYN, 3, &[])]
            .into_iter()
            .chain(self.data().chunks(32 << 10).map(|part| frame(PSH, 3, part)).collect::<Vec<_>>());
        self.sent = frames.collect::<Vec<_>>().concat().chunks(16 << 10).map(<[u8]>::to_vec).collect();
        for index in 0..self.sent.len() {
            if !self.offer(index).await {
                return;
            }
        }
        panic!("the agent took all of it");
    }

    fn data(&self) -> Vec<u8> {
        chargen(0, TOO_MUCH)
    }

    /// Sends a message again, or for the first time; false if nothing moves.
    async fn offer(&mut self, index: usize) -> bool {
        let sequence = index as i64 + 1;
        let frame = Frame::data(
            MessageType::InputStreamData,
            sequence,
            PayloadType::Output.number(),
            self.sent[index].clone().into(),
        );
        let message = FromGateway::Message(Frame { created_ms: 1, ..frame }.encode());
        let client = &mut self.streams.client;
        let to = client.to.clone();
        loop {
            tokio::select! {
                permit = to.reserve() => {
                    permit.expect("the session goes on").send(message);
                    client.next_input = client.next_input.max(sequence + 1);
                    return true;
                }
                output = client.from.recv() => client.handle(output.expect("the session goes on")).await,
                () = tokio::time::sleep(STILLNESS) => return false,
            }
        }
    }

    /// Sends what has not been acknowledged, until all is, and returns what the server got.
    async fn complete(mut self) -> (Streams, Vec<u8>) {
        // The handshake's response was acknowledged first.
        let from = usize::try_from(self.streams.client.acknowledged - 1).expect("the response is acknowledged");
        for index in from..self.sent.len() {
            while !self.offer(index).await {}
        }
        let all = 1 + self.sent.len() as i64;
        self.streams.until(|streams| streams.client.acknowledged >= all).await;
        self.streams.finish(3).await;
        let data = told(&mut self.told).await;
        (self.streams, data)
    }
}

#[tokio::test]
async fn a_far_end_that_stops_reading_stops_the_agent_and_nothing_is_lost() {
    let mut stuck = Stuck::start(|agent| agent.blocks_ports = true).await;
    let taken = stuck.streams.client.acknowledged;
    assert!(taken * (16 << 10) > 4 << 20, "the budget is used: {taken} messages");
    stuck.release.notify_one();
    let expected = stuck.data();
    let sent = stuck.streams.client.next_input;
    // What the agent had not read waits in its channel: only what follows has to be sent.
    for index in usize::try_from(sent - 1).expect("messages were sent")..stuck.sent.len() {
        while !stuck.offer(index).await {}
    }
    stuck.streams.finish(3).await;
    let data = told(&mut stuck.told).await;
    assert!(data == expected);
    assert_eq!(stuck.streams.client.requests.len(), 0);
}

#[tokio::test]
async fn an_agent_that_is_blocked_can_still_be_cancelled() {
    let mut stuck = Stuck::start(|agent| agent.blocks_ports = true).await;
    let start = Instant::now();
    stuck.streams.client.cancel();
    assert_eq!(stuck.streams.client.end().await, success());
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test]
async fn the_watchdog_of_a_blocked_agent_cuts_its_channel_once_it_reads_again() {
    let mut stuck = Stuck::start(|agent| agent.blocks_ports = true).await;
    tokio::time::pause();
    for _ in 0..2 {
        tokio::time::advance(Duration::from_secs(60)).await;
        let requests = stuck.streams.client.requests.len();
        stuck.streams.client.until(|client| client.requests.len() > requests).await;
    }
    tokio::time::resume();
    assert!(matches!(stuck.streams.client.requests[..], [ToGateway::Ping, ToGateway::Ping]));
    stuck.release.notify_one();
    stuck.streams.client.until(|client| client.requests.len() == 3).await;
    assert!(matches!(stuck.streams.client.requests[2], ToGateway::Reconnect));
    stuck.streams.client.tell(FromGateway::Lost).await;
    stuck.streams.client.tell(FromGateway::Connected).await;
    let expected = stuck.data();
    let lost = stuck.streams.client.next_input - stuck.streams.client.acknowledged;
    assert!(lost > 0, "something was on its way");
    let (streams, data) = stuck.complete().await;
    assert!(data == expected);
    assert_eq!(streams.terminate().await, success());
}

#[tokio::test]
async fn a_watchdog_whose_pings_are_answered_cuts_nothing() {
    let server = echo_server().await;
    let mut spec = forwarding(server.port);
    spec.agent.blocks_ports = true;
    let mut streams = Streams::start(spec).await;
    // Names are resolved in real time.
    streams.open(3).await;
    streams.push(3, b"first").await;
    streams.until_data(3, b"first").await;
    tokio::time::pause();
    for round in 1..=5 {
        tokio::time::advance(Duration::from_secs(54)).await;
        streams.client.until(|client| client.requests.len() >= round).await;
        streams.client.tell(FromGateway::Pong).await;
    }
    tokio::time::resume();
    streams.push(3, b"second").await;
    streams.until_data(3, b"firstsecond").await;
    assert!(streams.client.requests.iter().all(|request| matches!(request, ToGateway::Ping)));
}

#[tokio::test]
async fn a_paced_agent_sends_a_kibibyte_a_millisecond() {
    const LENGTH: usize = 200 << 10;
    for (version, of_mux) in [("1.2.764.0", true), ("1.1.54.0", false)] {
        let server = sending_server(chargen(0, LENGTH)).await;
        let mut spec = forwarding(server.port);
        spec.agent.paces_ports = true;
        let mut client = open(spec, version).await;
        let start = Instant::now();
        if of_mux {
            client.send(PayloadType::Output, frame(SYN, 3, &[])).await;
        }
        client.until(|client| client.stdout.len() >= LENGTH).await;
        assert!(client.largest <= 1024, "{}", client.largest);
        // The basic mode starts with its session, so that some is on its way already.
        assert!(start.elapsed() >= Duration::from_millis(if of_mux { 199 } else { 100 }), "{:?}", start.elapsed());
        client.cancel();
        assert_eq!(client.end().await, success());
    }
}

#[tokio::test]
async fn a_faithful_agent_is_paced_and_blocks() {
    let mut stuck = Stuck::start(|agent| agent.is_faithful = true).await;
    stuck.streams.client.cancel();
    assert_eq!(stuck.streams.client.end().await, success());

    let server = sending_server(chargen(0, 50 << 10)).await;
    let mut spec = forwarding(server.port);
    spec.agent.is_faithful = true;
    let mut streams = Streams::start(spec).await;
    streams.open(3).await;
    streams.until_ended(3).await;
    assert!(streams.got(3).data == chargen(0, 50 << 10));
    assert_eq!(streams.client.largest, 1024);
}
