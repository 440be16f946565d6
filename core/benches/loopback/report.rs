//! What the measurements came to: a table, and the throughput as a picture.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use crate::percentile;

/// Where a whole run writes its results.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches");

#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<[String; 3]>,
    bars: Vec<Bar>,
}

/// Two rates in MB/s.
struct Bar {
    what: String,
    ours: f64,
    bare: f64,
}

impl Report {
    /// Adds a figure, and what it is to be read against.
    pub(crate) fn add(&mut self, what: &str, reached: String, beside: String) {
        eprintln!("{what}: {reached}; {beside}");
        self.rows.push([what.to_owned(), reached, beside]);
    }

    /// Adds rates in MB/s, each beside the bare loop's of the same round.
    pub(crate) fn add_rates(&mut self, what: &str, ours: &[f64], bare: &[f64]) {
        self.add_rates_beside("bare loop", what, ours, bare);
    }

    /// Adds rates in MB/s, each beside another one of the same round.
    pub(crate) fn add_rates_beside(&mut self, other: &str, what: &str, ours: &[f64], bare: &[f64]) {
        let ratios: Vec<_> = ours.iter().zip(bare).map(|(ours, bare)| ours / bare * 100.0).collect();
        let ratio = |share| percentile(ratios.clone(), share);
        let (middle, beside) = (percentile(ours.to_vec(), 0.5), percentile(bare.to_vec(), 0.5));
        let reached = format!("{:.0} % ({:.0} to {:.0}), {middle:.0} MB/s", ratio(0.5), ratio(0.0), ratio(1.0));
        self.add(what, reached, format!("{other} {beside:.0} MB/s"));
        self.bars.push(Bar { what: what.to_owned(), ours: middle, bare: beside });
    }

    /// Adds the middle and the tail of some durations.
    pub(crate) fn add_times(&mut self, what: &str, times: &[Duration], beside: String) {
        let times: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        let at = |share| percentile(times.clone(), share);
        self.add(what, format!("p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99)), beside);
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        println!("{}", self.table());
    }

    /// Writes the table and the picture for the README.
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let folder = Path::new(FOLDER);
        std::fs::create_dir_all(folder)?;
        let text = format!(
            "# What was measured\n\n`make bench` writes this file. Ratios are of one run, round by round, and the middle one counts: machines\nare noisy. {}.\n\n{}\n![Throughput](throughput.svg)\n",
            machine(),
            self.table()
        );
        std::fs::write(folder.join("RESULTS.md"), text)?;
        std::fs::write(folder.join("throughput.svg"), self.picture())
    }

    fn table(&self) -> String {
        let mut table = "| | reached | beside it |\n| --- | --- | --- |\n".to_owned();
        for [what, reached, beside] in &self.rows {
            // Writing to a string does not fail.
            let _ = writeln!(table, "| {what} | {reached} | {beside} |");
        }
        table
    }

    fn picture(&self) -> String {
        const ROW: usize = 34;
        const LEFT: usize = 330;
        const WIDTH: f64 = 360.0;
        let most = self.bars.iter().map(|bar| bar.ours.max(bar.bare)).fold(1.0, f64::max);
        let height = self.bars.len() * ROW + 40;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 780 {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"780\" height=\"{height}\" fill=\"#fff\"/>\n\
             <rect x=\"{LEFT}\" y=\"12\" width=\"12\" height=\"12\" fill=\"#1f6feb\"/><text x=\"348\" y=\"23\">ssmwire</text>\n\
             <rect x=\"430\" y=\"12\" width=\"12\" height=\"12\" fill=\"#c4c9d1\"/><text x=\"448\" y=\"23\">bare loop of the same websocket library</text>\n"
        );
        for (index, bar) in self.bars.iter().enumerate() {
            let y = index * ROW + 36;
            let width = |rate: f64| rate / most * WIDTH;
            let _ = writeln!(
                svg,
                "<text x=\"320\" y=\"{}\" text-anchor=\"end\">{}</text>\
                 <rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.0}\" height=\"12\" fill=\"#1f6feb\"/>\
                 <rect x=\"{LEFT}\" y=\"{}\" width=\"{:.0}\" height=\"12\" fill=\"#c4c9d1\"/>\
                 <text x=\"700\" y=\"{}\">{:.0} MB/s</text>",
                y + 17,
                bar.what,
                width(bar.ours),
                y + 13,
                width(bar.bare),
                y + 17,
                bar.ours,
            );
        }
        svg + "</svg>\n"
    }
}

/// Describes the machine as far as figures depend on it.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": an unknown processor");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = model.trim_start_matches([' ', '\t', ':']);
    format!("Here: {cores} cores of {model}, {} on {}, all over loopback", std::env::consts::OS, std::env::consts::ARCH)
}
