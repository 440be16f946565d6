//! An agent that reads and writes on one path, and the client's version that decides what runs behind it.

use super::*;

fn blocking_shell() -> Bench {
    let mut bench = Bench::new(config("Standard_Stream"));
    bench.agent = bench.agent.with_blocking_reader();
    bench.agent.handle_connected(bench.now);
    bench.frames();
    bench.events();
    bench
}

#[test]
fn input_that_is_left_stops_the_reading_even_of_acknowledges() {
    let mut bench = blocking_shell();
    assert_eq!(bench.agent.write(bench.now, PayloadType::Output, &[0; 1 << 20]), OUTPUT_MAX * PAYLOAD_MAX);
    bench.frames();
    let mut taken = 0;
    while bench.agent.wants_read() {
        bench.input(PayloadType::Output, vec![0; 1024]);
        taken += 1024;
    }
    assert!(!bench.agent.wants_output());
    assert!((BLOCKING_INPUT_MAX - 64 * 208..=BLOCKING_INPUT_MAX).contains(&taken), "{taken}");
    assert_eq!(bench.agent.read(), Some(Input::Data(vec![0; 1024].into())));
    assert!(bench.agent.wants_read());
}

#[test]
fn one_overdue_message_is_sent_again_for_each_tick() {
    let mut bench = blocking_shell();
    bench.agent.write(bench.now, PayloadType::Output, &[0; 10 * PAYLOAD_MAX]);
    bench.frames();
    bench.acknowledge(0);
    for round in 1..=2 {
        bench.now += Duration::from_secs(2);
        bench.agent.handle_timeout(bench.now);
        assert_eq!(sequences(&bench.data()), [1], "round {round}");
    }
}

#[test]
fn the_clients_version_is_known_once_the_handshake_is_complete() {
    let mut bench = Bench::connected(config("Port"));
    bench.frames();
    bench.respond(vec![action("SessionType", 1, "")]);
    assert_eq!(bench.agent.client_version(), "");
    bench.frames();
    assert_eq!(bench.agent.client_version(), "1.2.764.0");
}
