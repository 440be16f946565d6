//! From a program's pipe, file or terminal to its session, in the agent's portions and at its pace (PROTOCOL §10.7).

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ssmwire::proto::PayloadType;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Chunk;
use crate::utf8::WholeCharacters;

/// The official agent's portion, in bytes.
const FAITHFUL_READ: usize = 1024;
/// The portion of an agent that is as fast as it can be.
const FAST_READ: usize = 64 << 10;
/// The official agent's rest after each portion of a terminal or a file.
const FAITHFUL_REST: Duration = Duration::from_millis(1);

/// How output is passed on.
#[derive(Debug)]
pub(super) struct Pump {
    kind: PayloadType,
    read_max: usize,
    rest: Option<Duration>,
    characters: Option<WholeCharacters>,
    prefix: Vec<u8>,
    is_line_start: bool,
}

impl Pump {
    /// Passes output on as it is, without a rest; or, if faithful, in small portions of whole characters.
    pub(super) fn new(kind: PayloadType, is_faithful: bool) -> Self {
        Self {
            kind,
            read_max: if is_faithful { FAITHFUL_READ } else { FAST_READ },
            rest: None,
            characters: is_faithful.then(WholeCharacters::default),
            prefix: Vec::new(),
            is_line_start: true,
        }
    }

    /// Rests after each portion, if faithful.
    pub(super) fn with_rest(mut self) -> Self {
        self.rest = self.characters.is_some().then_some(FAITHFUL_REST);
        self
    }

    /// Puts `prefix` before the first portion, and before each that follows a line's end.
    pub(super) fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefix = prefix.as_bytes().to_vec();
        self.read_max -= prefix.len();
        self
    }

    /// Passes on all of `source`. Ends at its end, at an error, which is how terminals end, or when nobody takes it.
    pub(super) async fn run(mut self, mut source: impl AsyncRead + Unpin, output: &mpsc::Sender<Chunk>) {
        let mut buffer = BytesMut::new();
        loop {
            buffer.reserve(self.read_max);
            let length = match (&mut source).take(self.read_max as u64).read_buf(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(length) => length,
            };
            let data = self.portion(buffer.split_to(length).freeze());
            if !data.is_empty() && output.send(Chunk { kind: self.kind, data }).await.is_err() {
                return;
            }
            if let Some(rest) = self.rest {
                sleep(rest).await;
            }
        }
    }

    fn portion(&mut self, data: Bytes) -> Bytes {
        let data = match &mut self.characters {
            Some(characters) => characters.pass(&data).into(),
            None => data,
        };
        let Some(last) = data.last() else { return data };
        let is_prefixed = self.is_line_start && !self.prefix.is_empty();
        self.is_line_start = *last == b'\n';
        if is_prefixed { [&self.prefix, data.as_ref()].concat().into() } else { data }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pumped(pump: Pump, source: &[u8]) -> Vec<Vec<u8>> {
        let (sender, mut receiver) = mpsc::channel(1_000);
        pump.run(source, &sender).await;
        drop(sender);
        let mut chunks = Vec::new();
        while let Some(chunk) = receiver.recv().await {
            chunks.push(chunk.data.to_vec());
        }
        chunks
    }

    #[tokio::test]
    async fn a_fast_pump_passes_every_byte() {
        let source: Vec<u8> = (0..300_000_u32).map(|i| i as u8).collect();
        assert_eq!(pumped(Pump::new(PayloadType::Output, false), &source).await.concat(), source);
    }

    #[tokio::test]
    async fn a_faithful_pump_passes_whole_characters_in_small_portions_and_drops_half_ones() {
        let mut source = [b"x".as_slice(), "é".repeat(2_000).as_bytes()].concat();
        let chunks = pumped(Pump::new(PayloadType::Output, true), &source).await;
        assert!(chunks.iter().all(|chunk| chunk.len() <= 1024 + 3 && std::str::from_utf8(chunk).is_ok()));
        assert_eq!(chunks.concat(), source);
        source.push(0xc3);
        assert_eq!(pumped(Pump::new(PayloadType::Output, true), &source).await.concat(), source[..source.len() - 1]);
    }

    #[tokio::test]
    async fn a_prefix_starts_each_portion_after_a_line_end() {
        let mut pump = Pump::new(PayloadType::Output, false).with_prefix("P:");
        let portions = ["one", "two\n", "three"].map(|text| pump.portion(Bytes::from(text)));
        assert_eq!(portions, ["P:one", "two\n", "P:three"]);
    }
}
