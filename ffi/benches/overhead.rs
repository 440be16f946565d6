//! What the C interface costs over the Rust calls below it, and what the Go module costs, all taken in the same run:
//! machines are noisy.
//!
//! `cargo bench -p ssmwire-ffi`, or `make bench`, which builds the program in Go and names it in `SSMWIRE_GO_BENCH`: then
//! `RESULTS.md` is written beside this file.

#![expect(unsafe_code, reason = "this is a caller of the C interface")]

#[path = "../../core/benches/loopback/firehose.rs"]
mod firehose;

use std::ffi::{CString, OsStr};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::pin::pin;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::ptr::{null, null_mut};
use std::task::{Context, Waker};
use std::time::Instant;

use ssmwire::{ByteStream, Client, Endpoints, StartSession, StartSessionResponse, wait};
use ssmwire_emulator::{AgentProfile, Emulator};
use ssmwire_ffi::client::{ClientHandle, ClientOptions, ssmwire_client_close, ssmwire_client_open};
use ssmwire_ffi::session::{SessionHandle, ssmwire_session_stdio};
use ssmwire_ffi::start::{AttachOptions, SessionOptions, ssmwire_session_attach, ssmwire_session_start};
use ssmwire_ffi::stream::{
    StreamHandle, ssmwire_stream_close, ssmwire_stream_flush, ssmwire_stream_read, ssmwire_stream_write,
};

/// Runs of each; the middle one counts.
const ROUNDS: usize = 9;
/// Calls in a run that does not wait.
const CALLS: u32 = 300_000;
/// Messages of a run that reads, and their size.
const MESSAGES: (i64, usize) = (100_000, 1024);
/// Bytes of a run that writes.
const UPLOAD: usize = 16 << 20;
const RESULTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/RESULTS.md");
const OK: i32 = 0;
const AGAIN: i32 = 1;
const EOF: i32 = 2;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let emulator = Emulator::builder().target("i-0123456789abcdef0", AgentProfile::default()).start();
    let emulator = runtime.block_on(emulator).expect("the emulator starts");
    let mut rows = vec![calls(&emulator), reads(), writes(&emulator)];
    match std::env::var_os("SSMWIRE_GO_BENCH") {
        None => println!("Go: `make bench` measures it"),
        Some(program) => {
            rows.extend(go(&emulator, &program));
            std::fs::write(RESULTS, results(&rows)).expect("the results can be written");
        }
    }
}

/// What a row of the table says: the figure, and what was measured on either side.
type Row = [String; 3];

fn results(rows: &[Row]) -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": an unknown processor");
    let (model, cores) = (model.trim_start_matches([' ', '\t', ':']), std::thread::available_parallelism());
    let cores = cores.map_or(0, usize::from);
    let rows: String =
        rows.iter().map(|[what, reached, beside]| format!("| {what} | {reached} | {beside} |\n")).collect();
    format!(
        "# What the C interface and the Go module cost\n\n`make bench` writes this file. Both sides of a row are of one run; the middle one of {ROUNDS} counts. The library is built\nas for a release with all optimization; the one that `make install` builds is made smaller, see ARCHITECTURE.md.\nHere: {cores} cores of {model}, over loopback.\n\n| | reached | of |\n| --- | --- | --- |\n{rows}"
    )
}

/// A call that has nothing to read, and does not wait.
fn calls(emulator: &Emulator) -> Row {
    let (rust, c) = (echo(emulator), c_start(emulator, "Emulator-Echo"));
    let (mut below, mut above) = (Vec::new(), Vec::new());
    let mut byte = [0];
    // Each is there once it has echoed.
    block_on(rust.write_all(b"x")).expect("writes");
    block_on(rust.read(&mut byte)).expect("reads");
    c_write(c, b"x");
    assert_eq!(c_read(c, &mut byte, -1), (OK, 1));
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..CALLS {
            assert!(rust.poll_read(&mut Context::from_waker(Waker::noop()), &mut byte).is_pending());
        }
        below.push(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
        let start = Instant::now();
        for _ in 0..CALLS {
            assert_eq!(c_read(c, &mut byte, 0), (AGAIN, 0));
        }
        above.push(start.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }
    let (below, above) = (middle(below), middle(above));
    let reached = format!("{:.0} ns more", above - below);
    row("a read of nothing, through C", reached, format!("{below:.0} ns in Rust, {above:.0} ns in C"))
}

/// Output streamed to a thread that waits for it.
fn reads() -> Row {
    let gateway = firehose::start(MESSAGES.0, MESSAGES.1);
    let total = MESSAGES.0 as usize * MESSAGES.1;
    let (mut below, mut above) = (Vec::new(), Vec::new());
    let mut target = vec![0; 64 << 10];
    for _ in 0..ROUNDS {
        let stream = attach(gateway);
        let (start, mut bytes) = (Instant::now(), 0);
        loop {
            match wait::block(None, |cx| stream.poll_read(cx, &mut target)).expect("no deadline").expect("goes on") {
                0 => break,
                count => bytes += count,
            }
        }
        assert_eq!(bytes, total);
        below.push(total as f64 / 1e6 / start.elapsed().as_secs_f64());

        let (client, stream) = c_attach(gateway);
        let (start, mut bytes) = (Instant::now(), 0);
        loop {
            match c_read(stream, &mut target, -1) {
                (EOF, _) => break,
                (OK, count) => bytes += count,
                (status, _) => panic!("status {status}"),
            }
        }
        assert_eq!(bytes, total);
        above.push(total as f64 / 1e6 / start.elapsed().as_secs_f64());
        // SAFETY: handles by value, no error wanted.
        unsafe {
            ssmwire_stream_close(stream, null_mut());
            ssmwire_client_close(client, 0, null_mut());
        }
    }
    rates("reads", "C", below, above)
}

/// Input streamed to a program that takes it.
fn writes(emulator: &Emulator) -> Row {
    let data = vec![b'x'; UPLOAD];
    let (rust, c) = (start(emulator, "Emulator-Sink"), c_start(emulator, "Emulator-Sink"));
    let (mut below, mut above) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let start = Instant::now();
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let count = wait::block(None, |cx| rust.poll_write(cx, rest)).expect("no deadline").expect("goes on");
            rest = &rest[count..];
        }
        block_on(rust.flush()).expect("flushes");
        let seconds = start.elapsed().as_secs_f64();
        let begin = Instant::now();
        c_write(c, &data);
        // SAFETY: a handle by value, no error wanted.
        assert_eq!(unsafe { ssmwire_stream_flush(c, -1, null_mut()) }, OK);
        // The first round is for the window to open.
        if round > 0 {
            below.push(UPLOAD as f64 / 1e6 / seconds);
            above.push(UPLOAD as f64 / 1e6 / begin.elapsed().as_secs_f64());
        }
    }
    rates("writes", "C", below, above)
}

/// The same in Go: a program that reads and writes on request, and tells how long that took.
fn go(emulator: &Emulator, program: &OsStr) -> [Row; 2] {
    let mut command = Command::new(program);
    command.envs(emulator.environment()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    let mut orders = child.stdin.take().expect("it is piped");
    let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
    let gateway = firehose::start(MESSAGES.0, MESSAGES.1);
    let total = MESSAGES.0 as usize * MESSAGES.1;
    let mut target = vec![0; 64 << 10];
    let (mut below, mut above) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let stream = attach(gateway);
        let start = Instant::now();
        while wait::block(None, |cx| stream.poll_read(cx, &mut target)).expect("no deadline").expect("goes on") > 0 {}
        below.push(total as f64 / 1e6 / start.elapsed().as_secs_f64());
        drop(stream);
        let seconds = order(&mut orders, &mut answers, &format!("read ws://{gateway}/ {total}"));
        above.push(total as f64 / 1e6 / seconds);
    }
    let reads = rates("reads", "Go", below, above);

    let (data, rust) = (vec![b'x'; UPLOAD], start(emulator, "Emulator-Sink"));
    let (mut below, mut above) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let start = Instant::now();
        block_on(rust.write_all(&data)).expect("writes");
        block_on(rust.flush()).expect("flushes");
        let ours = start.elapsed().as_secs_f64();
        let seconds = order(&mut orders, &mut answers, &format!("write {UPLOAD}"));
        // The first round is for the window to open.
        if round > 0 {
            below.push(UPLOAD as f64 / 1e6 / ours);
            above.push(UPLOAD as f64 / 1e6 / seconds);
        }
    }
    drop(orders);
    assert!(child.wait().expect("it ends").success());
    [reads, rates("writes", "Go", below, above)]
}

/// Has the program do something, and returns the seconds that it took.
fn order(orders: &mut ChildStdin, answers: &mut BufReader<ChildStdout>, order: &str) -> f64 {
    writeln!(orders, "{order}").expect("it listens");
    let mut answer = String::new();
    answers.read_line(&mut answer).expect("it answers");
    answer.trim().parse::<f64>().expect("nanoseconds") / 1e9
}

fn rates(what: &str, language: &str, below: Vec<f64>, above: Vec<f64>) -> Row {
    let (below, above) = (middle(below), middle(above));
    let reached = format!("{:.0} %", above / below * 100.0);
    row(
        &format!("{what}, through {language}"),
        reached,
        format!("{below:.0} MB/s in Rust, {above:.0} MB/s in {language}"),
    )
}

/// Says a result at once, and keeps it for the table.
fn row(what: &str, reached: String, beside: String) -> Row {
    println!("{what}: {reached}; {beside}");
    [what.to_owned(), reached, beside]
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    wait::block(None, |cx| work.as_mut().poll(cx)).expect("no deadline")
}

fn attach(gateway: SocketAddr) -> ByteStream {
    let client = block_on(Client::builder().attach_only().build()).expect("the client is made");
    let stream_url = format!("ws://{gateway}/");
    let response = StartSessionResponse { session_id: "bench".into(), stream_url, token: "open".into() };
    block_on(client.attach(response, None)).expect("attaches").stdio()
}

fn start(emulator: &Emulator, document: &str) -> ByteStream {
    let endpoints = Endpoints { ssm: Some(emulator.endpoint_url()), ..Endpoints::default() };
    let client = Client::builder()
        .region(emulator.region())
        .static_credentials(emulator.access_key_id(), emulator.secret_access_key())
        .endpoints(endpoints);
    let client = block_on(client.build()).expect("the client is made");
    let request = StartSession { document_name: Some(document.to_owned()), ..StartSession::new("i-0123456789abcdef0") };
    block_on(client.start_session(request)).expect("it starts").stdio()
}

fn echo(emulator: &Emulator) -> ByteStream {
    start(emulator, "Emulator-Echo")
}

/// Options of zeros, which are all the defaults.
fn defaults<T>() -> T {
    // SAFETY: the option structs are made of integers, booleans, pointers and optional functions.
    unsafe { std::mem::zeroed() }
}

fn c_attach(gateway: SocketAddr) -> (ClientHandle, StreamHandle) {
    let url = CString::new(format!("ws://{gateway}/")).expect("no NUL");
    let options = ClientOptions { size: size_of::<ClientOptions>(), attach_only: 1, ..defaults() };
    let (size, session_id, token) = (size_of::<AttachOptions>(), c"bench".as_ptr(), c"open".as_ptr());
    let attach = AttachOptions { size, session_id, stream_url: url.as_ptr(), token, target: null() };
    let (mut client, mut session, mut stream) =
        (ClientHandle { id: 0 }, SessionHandle { id: 0 }, StreamHandle { id: 0 });
    // SAFETY: options and places that outlive the calls.
    unsafe {
        assert_eq!(ssmwire_client_open(&raw const options, &raw mut client, null_mut()), OK);
        assert_eq!(ssmwire_session_attach(client, &raw const attach, &raw mut session, null_mut()), OK);
        assert_eq!(ssmwire_session_stdio(session, &raw mut stream, null_mut()), OK);
    }
    (client, stream)
}

fn c_start(emulator: &Emulator, document: &str) -> StreamHandle {
    let texts =
        [emulator.region(), emulator.access_key_id(), emulator.secret_access_key(), &emulator.endpoint_url(), document];
    let [region, id, key, endpoint, document] = texts.map(|text| CString::new(text).expect("no NUL"));
    let options = ClientOptions {
        size: size_of::<ClientOptions>(),
        region: region.as_ptr(),
        access_key_id: id.as_ptr(),
        secret_access_key: key.as_ptr(),
        ssm_endpoint: endpoint.as_ptr(),
        ..defaults()
    };
    let start = SessionOptions {
        size: size_of::<SessionOptions>(),
        target: c"i-0123456789abcdef0".as_ptr(),
        document: document.as_ptr(),
        ..defaults()
    };
    let (mut client, mut session, mut stream) =
        (ClientHandle { id: 0 }, SessionHandle { id: 0 }, StreamHandle { id: 0 });
    // SAFETY: options and places that outlive the calls.
    unsafe {
        assert_eq!(ssmwire_client_open(&raw const options, &raw mut client, null_mut()), OK);
        assert_eq!(ssmwire_session_start(client, &raw const start, &raw mut session, null_mut()), OK);
        assert_eq!(ssmwire_session_stdio(session, &raw mut stream, null_mut()), OK);
    }
    stream
}

fn c_read(stream: StreamHandle, target: &mut [u8], timeout_ms: i64) -> (i32, usize) {
    let mut count = 0;
    // SAFETY: room for so many bytes, and a place for the count.
    let status = unsafe {
        ssmwire_stream_read(stream, target.as_mut_ptr(), target.len(), timeout_ms, &raw mut count, null_mut())
    };
    (status, count)
}

fn c_write(stream: StreamHandle, mut data: &[u8]) {
    while !data.is_empty() {
        let mut count = 0;
        // SAFETY: so many bytes, and a place for the count.
        let status = unsafe { ssmwire_stream_write(stream, data.as_ptr(), data.len(), -1, &raw mut count, null_mut()) };
        assert_eq!(status, OK);
        data = &data[count..];
    }
}
