//! Handshakes: messages of any payload type and content, in order, with or without keys.
//!
//! The input is one byte of circumstances, then messages: payload type, length (two bytes, low first), payload.
#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use ssmwire_fuzz::peer::Peer;

fuzz_target!(|data: &[u8]| {
    // The input's end ends the handshake; that is all it means.
    let _ = play(&mut Unstructured::new(data));
});

fn play(input: &mut Unstructured<'_>) -> Result<()> {
    let circumstances: u8 = input.arbitrary()?;
    let (has_target, is_granted) = (circumstances & 1 != 0, circumstances & 2 != 0);
    let (is_sealed, acknowledges) = (circumstances & 4 != 0, circumstances & 8 != 0);
    let mut peer = Peer::new(1, has_target);
    peer.connect();
    while !input.is_empty() {
        let kind: u8 = input.arbitrary()?;
        let length = usize::from(input.arbitrary::<u16>()?).min(input.len());
        let payload = input.bytes(length)?;
        if is_sealed && matches!(kind, 1 | 11 | 12) {
            peer.sealed(kind.into(), payload);
        } else {
            peer.data(peer.next_output, kind.into(), payload);
            peer.next_output += 1;
        }
        peer.data_key(is_granted);
        peer.drain(acknowledges);
        peer.check();
    }
    Ok(())
}
