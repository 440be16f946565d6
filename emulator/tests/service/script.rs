//! Faults as data: by a call of the emulator's own, while sessions run.

use serde_json::{Value, json};
use ssmwire_emulator::Emulator;

use crate::client::{Answer, Caller};

const TARGET: &str = "SsmwireEmulator.ApplyFaults";

async fn apply(caller: &Caller, faults: Value) -> Answer {
    let body = json!({ "faults": faults }).to_string();
    caller.post(&caller.signed_headers("ssm", TARGET, &body), &body).await
}

#[tokio::test]
async fn faults_are_applied_by_a_signed_call_while_a_session_runs() {
    let emulator = Emulator::builder().seed(7).start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let mut channel = caller.open(&caller.start("Emulator-Echo", json!({})).await).await;
    channel.send(1, "ready").await;
    channel.read_until("ready").await;
    let answer = apply(&caller, json!([{"fault": "cut_client_after", "bytes": 8192, "times": 2}])).await;
    assert_eq!((answer.status, &answer.body["Sessions"]), (200, &json!(0)));
    let input: Vec<u8> = (0..60_000_u32).map(|at| (at * 31 + at / 251).to_le_bytes()[0]).collect();
    for chunk in input.chunks(1024) {
        channel.send(1, chunk.to_vec()).await;
    }
    let (output, resumes) = channel.read_resuming(&caller, input.len()).await;
    assert!(output == input, "the echo differs");
    assert_eq!(resumes, 2);
    assert_eq!(apply(&caller, json!([{"fault": "cut_client"}])).await.body["Sessions"], 1);
    assert!(!emulator.requests().contains_key("ApplyFaults"), "it is none of AWS's operations");
}

#[tokio::test]
async fn a_call_of_somebody_else_or_of_no_fault_changes_nothing() {
    let emulator = Emulator::builder().start().await.expect("starts");
    let caller = Caller::new(&emulator);
    let fault = json!([{"fault": "fail", "operation": "GetConnectionStatus", "code": "X", "times": 9}]);
    let stranger = Caller { secret_access_key: "wrong".to_owned(), ..caller.clone() };
    assert_eq!(apply(&stranger, fault).await.code(), "InvalidSignatureException");
    let answer = apply(&caller, json!([{"fault": "throttle", "per_second": 0}, {"fault": "explode"}])).await;
    assert_eq!((answer.status, answer.code()), (400, "ValidationException"));
    assert!(answer.message().contains("explode"), "{}", answer.message());
    assert_eq!(caller.call("GetConnectionStatus", json!({"Target": "local"})).await.status, 200);
}
