//! Commands without a terminal: no input but the two signals (PROTOCOL §10.5).

use super::rig::{Rig, data, input};
use crate::Kind;
use crate::proto::connection::{Step, StreamId};
use crate::proto::payload::{PayloadType, Size};

#[test]
fn a_command_takes_no_input_but_interrupt_and_quit() {
    let mut rig = Rig::command();
    for refused in [&b"x"[..], b"\x03x", b"\x04"] {
        match rig.connection.write(rig.now, StreamId::Stdio, refused) {
            Step::Failed(error) => assert_eq!(error.kind(), Kind::Unsupported),
            other => panic!("{other:?}"),
        }
    }
    assert!(rig.connection.outcome().is_none(), "a refused write does not end the session");
    rig.write(b"\x03");
    rig.write(b"\x1c");
    assert_eq!(input(&rig.settle()), b"\x03\x1c");
}

#[test]
fn the_end_of_input_and_the_size_mean_nothing_to_a_command() {
    let mut rig = Rig::command();
    rig.connection.finish(StreamId::Stdio);
    rig.connection.resize(Size { columns: 1, rows: 1 });
    assert!(data(&rig.settle()).is_empty());
    assert!(rig.connection.is_flushed());
}

#[test]
fn a_commands_output_error_and_exit_code_arrive_apart() {
    let mut rig = Rig::command();
    rig.output(b"out1\n");
    rig.data(PayloadType::StdErr, b"err1\n");
    rig.output(b"out2");
    rig.data(PayloadType::ExitCode, b"EXIT_CODE: 7");
    rig.close("");
    assert_eq!(rig.read(), b"out1\nout2");
    assert_eq!(rig.read_from(StreamId::Stderr), b"err1\n");
    assert_eq!(rig.connection.exit_code(), Some(7));
    assert!(matches!(rig.connection.outcome(), Some(Ok(()))));
}

#[test]
fn a_merged_command_has_no_exit_code() {
    let mut rig = Rig::command();
    rig.output(b"out1\nerr1\nnonl");
    rig.close("");
    assert_eq!(rig.connection.exit_code(), None);
    assert!(matches!(rig.connection.outcome(), Some(Ok(()))));
}
