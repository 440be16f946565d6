//! An emulator that is reached in TLS, by a client that trusts its authority.

use crate::fixture::{TARGET, builder_at, soon, start};
use ssmwire::{Command, Kind};
use ssmwire_emulator::{AgentProfile, Emulator};

#[tokio::test]
async fn one_port_serves_who_trusts_its_authority_in_tls_and_everybody_in_clear() {
    let emulator = start(Emulator::builder().tls().target(TARGET, AgentProfile::default())).await;
    let (id, secret) = (emulator.access_key_id(), emulator.secret_access_key());
    let ca = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(ca.path(), emulator.ca_certificate().expect("a certificate")).expect("written");
    let tls = emulator.tls_endpoint_url().expect("there is TLS");
    let run = async |endpoint: String, trusts: bool| {
        let builder = builder_at(endpoint, id, secret);
        let client = if trusts { builder.ca_bundle(ca.path()) } else { builder }.build().await.expect("a client");
        soon(async { client.run(TARGET, Command::new("echo").arg("hi")).await })
            .await
            .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(run(tls.clone(), true).await.expect("it runs"), "hi\n");
    assert_eq!(run(emulator.endpoint_url(), false).await.expect("it runs"), "hi\n");
    assert_eq!(run(tls, false).await.expect_err("it is not trusted").kind(), Kind::TlsFailed);
}
