//! How many connections and bytes a forward has carried: on one line of a terminal that is written over and over, or
//! once at the end.

use std::io::{IsTerminal, Write};

use rustix::termios;
use ssmwire::ForwardStats;

/// Goes back to the start of the line and clears it.
const CLEAR: &str = "\r\x1b[K";
/// What a terminal is taken for that does not know its width.
const COLUMNS: usize = 80;
const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];

/// The line of counters.
#[derive(Debug)]
pub(crate) struct Counters {
    is_wanted: bool,
    is_live: bool,
    is_shown: bool,
}

impl Counters {
    /// Makes the line, which is never shown unless it `is_wanted`.
    pub(crate) fn new(is_wanted: bool) -> Self {
        Self { is_wanted, is_live: is_wanted && std::io::stderr().is_terminal(), is_shown: false }
    }

    /// Returns whether the line is to be shown all the time.
    pub(crate) fn is_live(&self) -> bool {
        self.is_live
    }

    /// Shows the counters in place of the last ones.
    pub(crate) fn show(&mut self, stats: ForwardStats) {
        let columns = termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| usize::from(size.ws_col));
        // A line that wraps could not be written over.
        let columns = if columns == 0 { COLUMNS } else { columns } - 1;
        print(&format!("{CLEAR}{:.columns$}", line(stats)));
        self.is_shown = true;
    }

    /// Clears the line, for something else to be said; the next [`Counters::show`] brings it back.
    pub(crate) fn hide(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            print(CLEAR);
        }
    }

    /// Leaves the last counters where they stay.
    pub(crate) fn finish(mut self, stats: ForwardStats) {
        self.hide();
        if self.is_wanted {
            print(&format!("{}\n", line(stats)));
        }
    }
}

fn print(text: &str) {
    // A closed standard error leaves nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

fn line(stats: ForwardStats) -> String {
    let ForwardStats { connections, open, failed, sent, received, .. } = stats;
    let (sent, received) = (bytes(sent), bytes(received));
    format!("sent {sent}, received {received}; connections {connections}, failed {failed}, open {open}")
}

fn bytes(count: u64) -> String {
    let mut unit = 0;
    let mut value = count as f64;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1024.0, unit + 1);
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        for (count, text) in
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 20, "5.0 MiB"), (3 << 50, "3072.0 TiB")]
        {
            assert_eq!(bytes(count), text);
        }
    }
}
