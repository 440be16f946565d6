//! Lets websocket messages come as text.
//!
//! The service may send a message in a text frame, laid out as in a binary one (PROTOCOL §2.5). The websocket library
//! insists that text is UTF-8, which that layout hardly ever is; so text frames are declared binary before it sees them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What ends the head of the HTTP answer; frames follow.
const HEAD_END: &[u8] = b"\r\n\r\n";
/// The opcode in a frame's first byte, and two of its values (RFC 6455 §5.2).
const OPCODE: u8 = 0x0f;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
/// The longest header: two bytes, a length of eight, and a mask.
const HEADER_MAX: usize = 14;

/// A client's stream below the websocket, from the HTTP answer on, in which no frame is text.
pub(crate) struct Untyped<S> {
    inner: S,
    place: Place,
}

/// Where in the incoming bytes we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the HTTP answer, so many bytes of what ends its head having come.
    Head { matched: usize },
    /// In a frame's header.
    Header { bytes: [u8; HEADER_MAX], count: usize },
    /// In a frame's payload.
    Payload { left: u64 },
}

impl Place {
    const FRAME: Self = Self::Header { bytes: [0; HEADER_MAX], count: 0 };

    /// Goes on past `bytes`, and changes the opcodes among them.
    fn pass(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while let Some(byte) = bytes.get_mut(at) {
            match self {
                Self::Head { matched } => {
                    at += 1;
                    *matched =
                        if *byte == HEAD_END[*matched] { *matched + 1 } else { usize::from(*byte == HEAD_END[0]) };
                    if *matched == HEAD_END.len() {
                        *self = Self::FRAME;
                    }
                }
                Self::Header { bytes: header, count } => {
                    at += 1;
                    if *count == 0 && *byte & OPCODE == TEXT {
                        *byte = *byte & !OPCODE | BINARY;
                    }
                    header[*count] = *byte;
                    *count += 1;
                    match payload_length(&header[..*count]) {
                        None => {}
                        Some(0) => *self = Self::FRAME,
                        Some(left) => *self = Self::Payload { left },
                    }
                }
                Self::Payload { left } => {
                    let rest = (bytes.len() - at) as u64;
                    let count = rest.min(*left);
                    at += count as usize;
                    *left -= count;
                    if *left == 0 {
                        *self = Self::FRAME;
                    }
                }
            }
        }
    }
}

/// Reads how long a frame's payload is; `None` until the header is whole.
fn payload_length(header: &[u8]) -> Option<u64> {
    let second = *header.get(1)?;
    let (length_bytes, short) = match second & 0x7f {
        126 => (2, None),
        127 => (8, None),
        short => (0, Some(u64::from(short))),
    };
    let mask_bytes = if second & 0x80 == 0 { 0 } else { 4 };
    let long = header.get(2..2 + length_bytes)?;
    header.get(2 + length_bytes..2 + length_bytes + mask_bytes)?;
    Some(short.unwrap_or_else(|| long.iter().fold(0, |length, byte| length << 8 | u64::from(*byte))))
}

impl<S> Untyped<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, place: Place::Head { matched: 0 } }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Untyped<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, target: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { inner, place } = self.get_mut();
        let before = target.filled().len();
        ready!(Pin::new(inner).poll_read(cx, target))?;
        place.pass(&mut target.filled_mut()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Untyped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    /// A frame as a server sends it, or as a client does with `mask`.
    fn frame(first: u8, payload: &[u8], mask: bool) -> Vec<u8> {
        let bit = if mask { 0x80 } else { 0 };
        let mut frame = vec![first];
        match payload.len() {
            length @ ..126 => frame.push(bit | length as u8),
            length @ ..65_536 => {
                frame.push(bit | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(bit | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        if mask {
            frame.extend_from_slice(&[0x81, 1, 1, 0x81]);
        }
        frame.extend_from_slice(payload);
        frame
    }

    /// Every kind of frame, of every form of length, with payloads that look like headers; sent and expected.
    fn conversation() -> (Vec<u8>, Vec<u8>) {
        let (mut sent, mut expected) = (ANSWER.to_vec(), ANSWER.to_vec());
        for (first, as_seen) in [(0x81, 0x82), (0x82, 0x82), (0x01, 0x02), (0x80, 0x80), (0x89, 0x89), (0x88, 0x88)] {
            for length in [0, 1, 125, 126, 300, 65_535, 65_536, 70_000] {
                for mask in [false, true] {
                    sent.extend(frame(first, &vec![0x81; length], mask));
                    expected.extend(frame(as_seen, &vec![0x81; length], mask));
                }
            }
        }
        (sent, expected)
    }

    #[test]
    fn text_is_declared_binary_and_nothing_else_is_changed() {
        let (sent, expected) = conversation();
        for size in [1, 2, 3, 7, 1000, 16 << 10, sent.len()] {
            let (mut passed, mut place) = (sent.clone(), Place::Head { matched: 0 });
            passed.chunks_mut(size).for_each(|chunk| place.pass(chunk));
            assert!(passed == expected, "in pieces of {size}");
            assert_eq!(place, Place::FRAME);
        }
    }

    #[test]
    fn the_head_ends_where_http_says() {
        for head in ["a\r\n\r\r\n\r\n", "a: \r\r\n\r\n", "\r\n\r\n"] {
            let mut bytes = [head.as_bytes(), &[0x81, 0][..]].concat();
            Place::Head { matched: 0 }.pass(&mut bytes);
            assert_eq!(bytes[head.len()..], [0x82, 0], "{head:?}");
        }
    }
}
