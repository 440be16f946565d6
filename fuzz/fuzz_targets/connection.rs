//! A connection with a far end, a network, a clock and a user who do anything in any order.
//!
//! The input is a list of operations: one byte that selects, then its arguments; lengths and numbers of two bytes come
//! low byte first.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use ssmwire::Size;
use ssmwire::proto::{Frame, MessageType, StreamId};
use ssmwire_fuzz::peer::Peer;

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let mut peer = Peer::new(2, true);
    // The input's end ends the session; that is all it means.
    while !input.is_empty() && operate(&mut input, &mut peer).is_ok() {
        peer.check();
    }
    peer.drain(true);
    peer.check();
});

fn operate(input: &mut Unstructured<'_>, peer: &mut Peer) -> Result<()> {
    match input.arbitrary::<u8>()? % 17 {
        0 => peer.advance(Duration::from_millis(input.arbitrary::<u16>()?.into())),
        1 => peer.advance(Duration::from_secs(input.arbitrary::<u8>()?.into())),
        2 => {
            let message = bytes(input)?;
            peer.deliver(message);
        }
        3 => {
            let kind: u8 = input.arbitrary()?;
            let payload = bytes(input)?;
            peer.data(peer.next_output, kind.into(), payload);
            peer.next_output += 1;
        }
        4 => {
            let sequence = peer.next_output.wrapping_add(input.arbitrary::<i8>()?.into());
            let kind: u8 = input.arbitrary()?;
            let payload = bytes(input)?;
            peer.data(sequence, kind.into(), payload);
        }
        5 => {
            let kind: u8 = input.arbitrary()?;
            let payload = bytes(input)?;
            peer.sealed(kind.into(), payload);
        }
        6 => peer.acknowledge(input.arbitrary::<i8>()?.into()),
        7 => {
            let kinds = [MessageType::StartPublication, MessageType::PausePublication, MessageType::ChannelClosed];
            let kind = kinds[usize::from(input.arbitrary::<u8>()?) % kinds.len()].clone();
            let payload = Bytes::copy_from_slice(bytes(input)?);
            peer.deliver(&Frame { created_ms: 1, ..Frame::new(kind, payload) }.encode());
        }
        8 => peer.connect(),
        9 => peer.connection.handle_lost(),
        10 => peer.connection.handle_heartbeat(peer.now),
        11 => peer.data_key(input.arbitrary()?),
        12 => peer.drain(input.arbitrary()?),
        13 => drop(peer.connection.write(peer.now, StreamId::Stdio, &vec![3; input.arbitrary::<u16>()?.into()])),
        14 => {
            let mut target = vec![0; input.arbitrary::<u16>()?.into()];
            let id = if input.arbitrary()? { StreamId::Stderr } else { StreamId::Stdio };
            drop(peer.connection.read(id, &mut target));
        }
        15 => peer.connection.resize(Size { columns: input.arbitrary()?, rows: 1 }),
        _ => peer.connection.finish(StreamId::Stdio),
    }
    Ok(())
}

fn bytes<'a>(input: &mut Unstructured<'a>) -> Result<&'a [u8]> {
    let length = usize::from(input.arbitrary::<u16>()?).min(input.len());
    input.bytes(length)
}
