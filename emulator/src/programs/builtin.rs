//! Programs for tests, without a process and without a terminal: `echo`, `sink` and `chargen`.

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use serde_json::Value;
use ssmwire::proto::PayloadType;
use tokio::sync::mpsc;

use super::{Chunk, Ending, Ends};
use crate::agent::Input;

/// The input that ends [`sink`]: Ctrl-D, alone in its message.
const END_OF_INPUT: &[u8] = b"\x04";
/// How many bytes `chargen` makes at a time.
const CHARGEN_PIECE: usize = 64 << 10;

/// Runs the program called `name`, until it ends or has to stop.
pub(super) async fn run(name: &str, properties: &Value, mut ends: Ends) -> Ending {
    let program = async {
        match name {
            "echo" => {
                let greeting = properties["greeting"].as_str().unwrap_or_default();
                echo(greeting, &mut ends.input, &ends.output).await;
            }
            "sink" => sink(&mut ends.input, &ends.output).await,
            "chargen" => match length(&properties["bytes"]) {
                Some(length) => generate(length, &mut ends.input, &ends.output).await,
                None => return Ending::refused("The property bytes of the program chargen is not a number."),
            },
            _ => return Ending::refused(format!("The program {name} is not one of echo, sink and chargen.")),
        }
        Ending::success()
    };
    tokio::select! {
        ending = program => ending,
        _ = &mut ends.stop => Ending::success(),
    }
}

/// Returns what the program `chargen` writes from byte `offset` on: byte `i` is the low byte of `31 i + i / 251`.
///
/// The division makes the pattern differ from one block to the next, so that lost or swapped messages show.
pub fn chargen(offset: u64, length: usize) -> Vec<u8> {
    (offset..).take(length).map(|i| i.wrapping_mul(31).wrapping_add(i / 251) as u8).collect()
}

/// Says its greeting, then returns all that comes in.
async fn echo(greeting: &str, input: &mut mpsc::Receiver<Input>, output: &mpsc::Sender<Chunk>) {
    let data = Bytes::from(greeting.to_owned());
    if !data.is_empty() && output.send(Chunk { kind: PayloadType::Output, data }).await.is_err() {
        return;
    }
    while let Some(input) = input.recv().await {
        if let Input::Data(data) = input
            && output.send(Chunk { kind: PayloadType::Output, data }).await.is_err()
        {
            return;
        }
    }
}

/// Swallows all that comes in, until the end of input; then writes how many bytes it was, and their SHA-256.
async fn sink(input: &mut mpsc::Receiver<Input>, output: &mpsc::Sender<Chunk>) {
    let mut count = 0;
    let mut digest = Context::new(&SHA256);
    while let Some(input) = input.recv().await {
        match input {
            Input::Data(data) if data == END_OF_INPUT => break,
            Input::Data(data) => {
                count += data.len();
                digest.update(&data);
            }
            Input::Flag(_) | Input::Size(_) => {}
        }
    }
    let hex: String = digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let data = Bytes::from(format!("{count} {hex}\n"));
    // It fails when the session is over, and then nobody is left to be told.
    let _ = output.send(Chunk { kind: PayloadType::Output, data }).await;
}

/// Writes `length` bytes of [`chargen`], and swallows what comes in meanwhile.
async fn generate(length: u64, input: &mut mpsc::Receiver<Input>, output: &mpsc::Sender<Chunk>) {
    let write = async {
        let mut offset = 0;
        while offset < length {
            let piece = CHARGEN_PIECE.min(usize::try_from(length - offset).unwrap_or(CHARGEN_PIECE));
            let data = chargen(offset, piece).into();
            if output.send(Chunk { kind: PayloadType::Output, data }).await.is_err() {
                return;
            }
            offset += piece as u64;
        }
    };
    let swallow = async {
        while input.recv().await.is_some() {}
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = write => {}
        () = swallow => {}
    }
}

/// Reads a number, or a number's text: parameters of documents are text.
fn length(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chargen_gives_the_same_bytes_wherever_it_starts() {
        let whole = chargen(0, 2_000);
        assert_eq!((whole[0], whole[250], whole[251]), (0, (31 * 250_u32) as u8, (31 * 251_u32 + 1) as u8));
        assert_eq!(chargen(1_234, 766), whole[1_234..]);
    }

    #[test]
    fn a_length_is_a_number_or_its_text() {
        assert_eq!(length(&Value::from(5)), Some(5));
        assert_eq!(length(&Value::from("5000000")), Some(5_000_000));
        assert_eq!(length(&Value::from("many")), None);
        assert_eq!(length(&Value::Null), None);
    }
}
