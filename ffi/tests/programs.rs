//! Programs in C and C++ that drive the library against the emulator: as they are, under sanitizers, and under valgrind.

#[path = "programs/examples.rs"]
mod examples;

use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use ssmwire_emulator::{AgentProfile, Emulator, EmulatorBuilder};

/// The target that every emulator here has.
const TARGET: &str = "i-0123456789abcdef0";
/// Longer than any program may take.
const PATIENCE: Duration = Duration::from_secs(240);
/// What is not allowed to be written here, in whatever language.
const STRICT: [&str; 6] = ["-pedantic", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-pthread"];

/// What a program is written in.
#[derive(Clone, Copy, PartialEq)]
enum Language {
    C,
    Cxx,
    /// Without exceptions, so that calls return results.
    CxxResults,
    /// Of one source with exceptions, and another without.
    CxxMixed,
}

impl Language {
    fn directory(self) -> PathBuf {
        manifest().join(if self == Self::C { "tests/c" } else { "tests/cpp" })
    }

    /// The compiler, with what chooses the dialect.
    fn compiler(self) -> &'static [&'static str] {
        match self {
            Self::C => &["cc", "-std=c11"],
            Self::Cxx | Self::CxxMixed => &["c++", "-std=c++17", "-Wshadow", "-Wconversion", "-Wold-style-cast"],
            Self::CxxResults => &["c++", "-std=c++20", "-fno-exceptions", "-fno-rtti"],
        }
    }

    /// The sources of a program, each with the flags that it alone is compiled with.
    fn sources(self, name: &str) -> Vec<(PathBuf, &'static [&'static str])> {
        let source = |name: &str| self.directory().join(name);
        match self {
            Self::C => vec![(source(&format!("{name}.c")), &[])],
            Self::Cxx | Self::CxxResults if name != "two" => vec![(source(&format!("{name}.cpp")), &[])],
            Self::Cxx | Self::CxxResults => vec![(source("two.cpp"), &[]), (source("two_other.cpp"), &[])],
            Self::CxxMixed => {
                vec![(source("two.cpp"), &["-DSSMWIRE_NO_EXCEPTIONS"]), (source("two_other.cpp"), &["-fno-rtti"])]
            }
        }
    }
}

/// How a program is built and run.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Plain,
    /// Errors in memory, and what C leaves undefined.
    Address,
    /// Races between what the library and the program do with the program's memory.
    Thread,
    Valgrind,
}

impl Way {
    fn flags(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Valgrind => &["-g"],
            Self::Address => &["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"],
            Self::Thread => &["-g", "-fsanitize=thread"],
        }
    }

    /// A symbol that shows that the sanitizer is linked: a gate that can't fail is none.
    fn proof(self) -> &'static [&'static str] {
        match self {
            Self::Plain | Self::Valgrind => &[],
            Self::Address => &["__asan_init", "__ubsan_handle"],
            Self::Thread => &["__tsan_init"],
        }
    }

    fn command(self, program: &Path) -> Command {
        let wrapper: &[&str] = match self {
            Self::Plain | Self::Address => &[],
            // Its shadow memory needs addresses that are not random.
            Self::Thread => &["setarch", "-R"],
            Self::Valgrind => &[
                "valgrind",
                "--error-exitcode=9",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite",
                "--fair-sched=yes",
                "--quiet",
            ],
        };
        let mut words = wrapper.iter().map(std::ffi::OsStr::new).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words);
        let suppressions = Language::C.directory().join("tsan.supp");
        command.env("TSAN_OPTIONS", format!("halt_on_error=1:suppressions={}", suppressions.display()));
        command.env("UBSAN_OPTIONS", "print_stacktrace=1");
        command
    }
}

fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the library is: beside this program.
fn libraries() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    this.parent().expect("and a directory").to_owned()
}

/// A directory in which the library has the names that it is installed with.
fn installed() -> &'static Path {
    static DIRECTORY: OnceLock<tempfile::TempDir> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let library = libraries().join("libssmwire_ffi.so");
        for name in ["libssmwire.so", "libssmwire.so.0"] {
            std::os::unix::fs::symlink(&library, directory.path().join(name)).expect("links");
        }
        directory
    });
    directory.path()
}

fn output(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"))
}

fn succeed(command: &mut Command) -> String {
    let output = output(command);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

/// Compiles a program, and checks that what is to watch it is in it.
fn compile(
    name: &str,
    language: Language,
    way: Way,
    sources: &[(PathBuf, &'static [&'static str])],
    directory: &Path,
) -> PathBuf {
    let program = directory.join(name);
    let words = language.compiler();
    let include = manifest().join("../include");
    let compiler = || {
        let mut compiler = Command::new(words[0]);
        compiler.args(&words[1..]).args(STRICT).args(way.flags()).arg("-I").arg(&include);
        compiler
    };
    let mut linker = compiler();
    for (at, (source, flags)) in sources.iter().enumerate() {
        let object = directory.join(format!("{at}.o"));
        succeed(compiler().args(*flags).arg("-c").arg(source).arg("-o").arg(&object));
        linker.arg(object);
    }
    // A program that loads the library by itself is not linked with it.
    linker.arg("-Wl,--as-needed").arg("-o").arg(&program).arg("-L").arg(installed()).arg("-lssmwire");
    succeed(linker.arg(format!("-Wl,-rpath,{}", installed().display())));
    let symbols = succeed(Command::new("nm").arg(&program));
    for proof in way.proof() {
        assert!(symbols.contains(proof), "{name} has no {proof}");
    }
    program
}

/// An emulator, and what it runs on.
struct Service {
    emulator: Emulator,
    runtime: tokio::runtime::Runtime,
    /// Whom its clients have to trust, if it speaks TLS.
    authority: Option<tempfile::NamedTempFile>,
}

impl Service {
    fn new(builder: EmulatorBuilder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let emulator = runtime.block_on(builder.start()).expect("the emulator starts");
        let authority = emulator.ca_certificate().map(|certificate| {
            let mut file = tempfile::NamedTempFile::new().expect("a file");
            file.write_all(certificate.as_bytes()).expect("it is written");
            file
        });
        Self { emulator, runtime, authority }
    }

    /// Starts a program that uses it.
    fn spawn(&self, program: &Path, way: Way, arguments: &[&str]) -> Child {
        let mut command = way.command(program);
        command.args(arguments).envs(self.emulator.environment()).env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("LD_LIBRARY_PATH", installed());
        if let (Some(url), Some(authority)) = (self.emulator.tls_endpoint_url(), &self.authority) {
            command.env("AWS_ENDPOINT_URL_SSM", url).env("AWS_CA_BUNDLE", authority.path());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"))
    }
}

/// Waits for a program's end, and reads what it says meanwhile: valgrind has more to say than a pipe holds.
fn end(mut child: Child) -> Output {
    fn read(from: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            if let Some(mut from) = from {
                from.read_to_end(&mut text).expect("it can be read");
            }
            text
        })
    }
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("it can be waited for") {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().expect("it can be killed");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Output { status, stdout: stdout.join().expect("it is read"), stderr: stderr.join().expect("it is read") }
}

/// The emulator of a thousand sessions needs more descriptors than the 1,024 that are usual.
fn raise_descriptors_max() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("within what is allowed");
}

/// Runs a program with an emulator of its own.
fn run(name: &str, language: Language, way: Way) {
    let directory = tempfile::tempdir().expect("a directory");
    let program = compile(name, language, way, &language.sources(name), directory.path());
    if name == "many" {
        raise_descriptors_max();
    }
    // As patient as the programs are: under valgrind and beside others, an answer can take longer than 15 s.
    let agent = AgentProfile { handshake_timeout: Duration::from_secs(60), ..AgentProfile::default() };
    let builder = Emulator::builder().target(TARGET, agent.clone());
    let builder = builder.ecs_container("shop", "0123456789abcdef", "web", agent);
    // What a thread needs of its stack shows in TLS only, as on AWS.
    let service = Service::new(if name == "poor" { builder.tls() } else { builder });
    let output = end(service.spawn(&program, way, &[]));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{name}: {}\n{text}", output.status);
    service.runtime.block_on(service.emulator.shutdown());
}

/// C++ as other compilers, dialects and switches see it. What is not on this machine is left out, but never all.
#[test]
fn programs_in_cxx_compile_in_every_dialect_and_without_what_they_need_not() {
    let is_there = |compiler: &&&str| Command::new(compiler).arg("--version").output().is_ok();
    let compilers: Vec<_> = ["c++", "clang++"].iter().filter(is_there).collect();
    assert!(!compilers.is_empty());
    for compiler in compilers {
        for dialect in ["-std=c++17", "-std=c++20"] {
            for without in ["-fno-rtti", "-fno-exceptions", "-DSSMWIRE_NO_EXCEPTIONS"] {
                let include = manifest().join("../include");
                let mut command = Command::new(compiler);
                command.args([dialect, without, "-fsyntax-only"]).args(STRICT).arg("-I").arg(include);
                succeed(command.arg(Language::Cxx.directory().join("smoke.cpp")));
            }
        }
    }
}

/// What clang may say of a header in C++17: advice for older dialects and for the order of fields; that newer clangs want
/// spans in place of pointers, where C gives pointers; that a class with virtual functions has no source of its own, which a
/// library of one header can't have; and a test's way to use the namespace.
const MAY_SAY: [&str; 10] = [
    "-Wno-c++98-compat",
    "-Wno-c++98-compat-pedantic",
    "-Wno-c++98-compat-local-type-template-args",
    "-Wno-pre-c++14-compat",
    "-Wno-pre-c++17-compat",
    "-Wno-padded",
    "-Wno-unknown-warning-option",
    "-Wno-unsafe-buffer-usage",
    "-Wno-weak-vtables",
    "-Wno-header-hygiene",
];

#[test]
#[ignore = "`make c-test` installs clang, and runs it"]
fn clang_with_every_warning_has_none_for_the_headers() {
    let read = |compiler: &str, dialect: &str, way: &str, source: PathBuf| {
        let mut command = Command::new(compiler);
        command.args([dialect, way, "-fsyntax-only", "-Weverything", "-Werror", "-D_GNU_SOURCE"]).args(MAY_SAY);
        succeed(command.arg("-I").arg(manifest().join("../include")).arg(source));
    };
    for dialect in ["-std=c++17", "-std=c++20"] {
        for way in ["-fexceptions", "-DSSMWIRE_NO_EXCEPTIONS"] {
            read("clang++", dialect, way, Language::Cxx.directory().join("smoke.cpp"));
        }
        read("clang++", dialect, "-fexceptions", manifest().join("examples/fleet.cpp"));
    }
    for dialect in ["-std=c99", "-std=c11"] {
        read("clang", dialect, "-pedantic", manifest().join("examples/tail.c"));
    }
}

macro_rules! programs {
    ($module:ident $language:ident $way:ident $ignore:tt $($name:ident)*) => {
        mod $module {
            $(
                #[test]
                #$ignore
                fn $name() {
                    super::run(stringify!($name), super::Language::$language, super::Way::$way);
                }
            )*
        }
    };
}

// `unload` is here alone: what the library keeps for as long as the process lives is a leak once it is gone.
programs! { plain C Plain [cfg(unix)] smoke poll threads misuse hostile abandoned poor unload fork callbacks gone many }
programs! { address C Address [cfg(unix)] smoke poll threads misuse hostile abandoned poor fork callbacks gone }
// Without `fork`: a child of several threads can start none of its own under this sanitizer.
programs! { thread C Thread [cfg(unix)] smoke poll threads misuse abandoned callbacks }
// Without `fork`: a child leaves its parent's runtime as it is on purpose, and that is a leak there.
programs! { valgrind C Valgrind [ignore = "`make c-test` installs valgrind, and runs it"] smoke poll threads misuse hostile abandoned callbacks }

programs! { cxx_plain Cxx Plain [cfg(unix)] smoke poll threads owners callbacks two }
programs! { cxx_address Cxx Address [cfg(unix)] smoke poll threads owners callbacks }
programs! { cxx_thread Cxx Thread [cfg(unix)] smoke poll threads owners callbacks }
programs! { cxx_valgrind Cxx Valgrind [ignore = "`make c-test` installs valgrind, and runs it"] smoke poll threads owners callbacks }
programs! { cxx_results_plain CxxResults Plain [cfg(unix)] smoke poll threads owners callbacks two }
programs! { cxx_results_address CxxResults Address [cfg(unix)] smoke owners }
programs! { cxx_mixed_plain CxxMixed Plain [cfg(unix)] two }
programs! { cxx_mixed_address CxxMixed Address [cfg(unix)] two }
