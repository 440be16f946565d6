//! The agent's messages, byte for byte against those of the official agent.

use super::*;

/// The first output of a shell.
const OUTPUT: &str = "\
     000000746f75747075745f73747265616d5f646174612020202020202020202020202020000000010000015e0baa7884\
     00000000000000000000000000000001a508b5f073f31b16dd01e56bff48483e369982e72a1ac61f301aa9dc38e94eb9\
     f017c9ee81e8c25478cfa0af7ddd6915000000010000000873682d352e322420";

/// The first state of a session.
const CONNECTED: &str = "\
     000000746167656e745f73657373696f6e5f737461746520202020202020202020202020000000010000015e0baa7884\
     00000000000000000000000000000003a508b5f073f31b16dd01e56bff48483e5c0c0d807a9486371b45df92ca4a5eff\
     87daed6cbce64e15bd64d2be5cd0a82d00000000000000507b22536368656d6156657273696f6e223a312c2253657373\
     696f6e5374617465223a22436f6e6e6563746564222c2253657373696f6e4964223a22732d3031323334353637383961\
     626364656630227d";

/// The handshake request of a port session.
const REQUEST: &str = "\
     000000746f75747075745f73747265616d5f646174612020202020202020202020202020000000010000015e0baa7884\
     00000000000000000000000000000001a508b5f073f31b16dd01e56bff48483e03dfc0f14d3675551df45b8eda5aa79d\
     497e8cb79dc924a8f47be97cbc2ad71d00000005000000d37b224167656e7456657273696f6e223a22332e332e302e30\
     222c22526571756573746564436c69656e74416374696f6e73223a5b7b22416374696f6e54797065223a225365737369\
     6f6e54797065222c22416374696f6e506172616d6574657273223a7b2253657373696f6e54797065223a22506f727422\
     2c2250726f70657274696573223a7b226c6f63616c506f72744e756d626572223a2238303830222c22706f72744e756d\
     626572223a223830222c2274797065223a224c6f63616c506f7274466f7277617264696e67227d7d7d5d7d";

/// Returns the message with the id and the date that the recorded ones were made with, in hexadecimal.
fn hex(frame: &Frame) -> String {
    let id = MessageId::parse("dd01e56b-ff48-483e-a508-b5f073f31b16").expect("an id");
    let frame = Frame { id, created_ms: 1_503_434_274_948, ..frame.clone() };
    frame.encode().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_first_state_is_the_official_agents() {
    let session_id = "s-0123456789abcdef0".to_owned();
    let mut bench = Bench::connected(AgentConfig { session_id, ..config("Standard_Stream") });
    assert_eq!(hex(&bench.frames()[0]), CONNECTED);
}

#[test]
fn the_first_output_is_the_official_agents() {
    let mut bench = Bench::shell();
    bench.agent.write(bench.now, PayloadType::Output, b"sh-5.2$ ");
    assert_eq!(hex(&bench.data()[0]), OUTPUT);
}

#[test]
fn the_handshake_request_is_the_official_agents() {
    let properties = json!({ "localPortNumber": "8080", "portNumber": "80", "type": "LocalPortForwarding" });
    let version = "3.3.0.0".to_owned();
    let mut bench = Bench::connected(AgentConfig { version, properties, ..config("Port") });
    assert_eq!(hex(&bench.data()[0]), REQUEST);
}
