//! Any bytes as a binary message: they are refused, or they are a message that can be written and read again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ssmwire::proto::Frame;
use ssmwire::proto::payload::{
    Acknowledge, Challenge, ChannelClosed, ExitCode, Flag, HandshakeComplete, HandshakeRequest, HandshakeResponse, Size,
};

fuzz_target!(|data: &[u8]| {
    if let Ok(frame) = Frame::decode(&Bytes::copy_from_slice(data)) {
        assert!(frame.payload.len() < data.len());
        if frame.created_ms != 0 && frame.message_type.as_str().len() <= 32 {
            assert_eq!(Frame::decode(&frame.encode()).as_ref(), Ok(&frame));
        }
        read_and_write(&frame.payload);
    }
    read_and_write(data);
});

/// What is read from any bytes is read again from what was written of it.
fn read_and_write(payload: &[u8]) {
    if let Some(size) = Size::parse(payload) {
        assert_eq!(Size::parse(&size.encode()), Some(size));
    }
    if let Some(request) = HandshakeRequest::parse(payload) {
        assert!(HandshakeRequest::parse(&request.encode()).is_some());
    }
    if let Some(response) = HandshakeResponse::parse(payload) {
        assert_eq!(HandshakeResponse::parse(&response.encode()), Some(response));
    }
    if let Some(complete) = HandshakeComplete::parse(payload) {
        assert_eq!(HandshakeComplete::parse(&complete.encode()), Some(complete));
    }
    if let Some(challenge) = Challenge::parse(payload) {
        assert_eq!(Challenge::parse(&challenge.encode()), Some(challenge));
    }
    if let Some(code) = ExitCode::parse(payload) {
        assert_eq!(ExitCode::parse(&code.encode()), Some(code));
    }
    if let Some(flag) = Flag::parse(payload) {
        assert_eq!(flag.encode(), payload);
    }
    let closed = ChannelClosed::parse(payload);
    assert_eq!(ChannelClosed::parse(&closed.encode()), closed);
    let _ = Acknowledge::parse_sequence(payload);
}
