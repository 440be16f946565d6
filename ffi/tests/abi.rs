//! What a program is linked and compiled against: symbols, other libraries, and the header in every dialect.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn library() -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    this.with_file_name("libssmwire_ffi.so")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("it is text")
}

#[test]
fn the_library_exports_what_the_list_says_and_nothing_else() {
    let symbols = text(Command::new("nm").args(["-D", "--defined-only", "--format=just-symbols"]).arg(library()));
    let exported: BTreeSet<&str> = symbols.lines().collect();
    let list = std::fs::read_to_string(root().join("symbols.txt")).expect("the list is there");
    assert_eq!(exported, list.lines().collect());
    let header = std::fs::read_to_string(root().join("../include/ssmwire.h")).expect("the header is there");
    for symbol in exported {
        assert!(header.contains(&format!("{symbol}(")), "`{symbol}` is not in the header");
    }
}

#[test]
fn the_header_of_cxx_has_a_use_for_every_function() {
    let list = std::fs::read_to_string(root().join("symbols.txt")).expect("the list is there");
    let header = std::fs::read_to_string(root().join("../include/ssmwire.hpp")).expect("the header is there");
    let words: BTreeSet<&str> = header.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    for symbol in list.lines() {
        assert!(words.contains(symbol), "`{symbol}` is not in the header");
    }
}

#[test]
fn the_library_needs_nothing_but_the_system() {
    let dynamic = text(Command::new("readelf").arg("-dW").arg(library()));
    let quoted = |line: &str| line.split(['[', ']']).nth(1).map(str::to_owned);
    for needed in dynamic.lines().filter(|line| line.contains("(NEEDED)")).filter_map(quoted) {
        let known = ["libc.so", "libm.so", "libgcc_s.so", "ld-linux"];
        assert!(known.iter().any(|known| needed.starts_with(known)), "it needs {needed}");
    }
    let name = dynamic.lines().filter(|line| line.contains("(SONAME)")).find_map(quoted);
    assert_eq!(name.as_deref(), Some("libssmwire.so.0"));
}

/// Compiles a program with every warning there is, without linking it.
fn compile(compiler: &[&str], program: &str) {
    let directory = tempfile::tempdir().expect("a directory");
    let source = directory.path().join("program");
    std::fs::write(&source, program).expect("it can be written");
    let include = root().join("../include");
    let mut command = Command::new(compiler[0]);
    command.args(&compiler[1..]).args(["-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]);
    text(command.arg(include).arg(source));
}

#[test]
fn the_examples_of_the_readme_compile() {
    let readme = std::fs::read_to_string(root().join("../README.md")).expect("the readme is there");
    let example = |fence: &str| {
        let found = readme.split(fence).nth(1).and_then(|rest| rest.split("```").next());
        found.unwrap_or_else(|| panic!("it has no example of {fence}")).to_owned()
    };
    compile(&["cc", "-std=c99", "-x", "c"], &example("```c\n"));
    compile(&["c++", "-std=c++17", "-x", "c++"], &example("```cpp\n"));
}

#[test]
fn structs_are_as_large_in_c_as_they_are_here() {
    use ssmwire_ffi::{client, command, credentials, ecs, error, event, info, port, start};
    let sizes = [
        ("attach_options", size_of::<start::AttachOptions>()),
        ("client", size_of::<client::ClientHandle>()),
        ("client_options", size_of::<client::ClientOptions>()),
        ("command_options", size_of::<command::CommandOptions>()),
        ("credentials", size_of::<credentials::CredentialsInfo>()),
        ("ecs_exec_options", size_of::<ecs::EcsExecOptions>()),
        ("error", size_of::<error::ErrorInfo>()),
        ("event", size_of::<event::EventInfo>()),
        ("forward_stats", size_of::<port::ForwardStats>()),
        ("parameter", size_of::<start::Parameter>()),
        ("port_options", size_of::<port::PortOptions>()),
        ("run_result", size_of::<command::RunResult>()),
        ("session_info", size_of::<info::SessionInfo>()),
        ("session_options", size_of::<start::SessionOptions>()),
        ("session_stats", size_of::<info::SessionStats>()),
    ];
    let assertion = |(name, size): &(&str, usize)| {
        format!("_Static_assert(sizeof(ssmwire_{name}) == {size}, \"ssmwire_{name}\");\n")
    };
    let assertions: String = sizes.iter().map(assertion).collect();
    compile(
        &["cc", "-std=c11", "-x", "c"],
        &format!("#include <ssmwire.h>\n{assertions}int main(void) {{ return 0; }}\n"),
    );
}

#[test]
fn the_header_is_clean_in_c_and_cxx_and_every_macro_of_it_works() {
    let header = std::fs::read_to_string(root().join("../include/ssmwire.h")).expect("the header is there");
    let mut program = String::from("#include <ssmwire.h>\n#include <ssmwire.h>\nint main(void) {\n");
    let mut used = 0;
    for line in header.lines().filter_map(|line| line.trim().strip_prefix("#define SSMWIRE_")) {
        let (name, value) = line.split_once(' ').unwrap_or((line, ""));
        let of = |value: &str| value.strip_prefix("SSMWIRE_INIT_(")?.strip_suffix(')').map(str::to_owned);
        match of(value) {
            Some(kind) => {
                let check = format!("{{ {kind} v = SSMWIRE_{name}; if (v.size != sizeof v) return 1; }}");
                writeln!(program, "{check}").expect("a string takes all");
                used += 1;
            }
            // The guard, and what the others are made of.
            None if name == "H" || name.starts_with("INIT_(") => {}
            None => writeln!(program, "if (SSMWIRE_{name} > 1000) return 1;").expect("a string takes all"),
        }
    }
    program.push_str("return SSMWIRE_OK; }\n");
    assert!(used > 10, "{program}");
    compile(&["cc", "-std=c99", "-x", "c"], &program);
    compile(&["cc", "-std=c11", "-x", "c"], &program);
    compile(&["c++", "-std=c++17", "-x", "c++"], &program.replace("main(void)", "main()"));
}

/// What another compiler has to say, with all that it can say but what is of no use in a header. Left out without it.
#[test]
fn the_header_is_clean_for_a_compiler_that_warns_of_everything() {
    if Command::new("clang").arg("--version").output().is_err() {
        return;
    }
    // How structs are padded, and what older dialects lack.
    let without = ["-Weverything", "-Wno-padded", "-Wno-c++98-compat", "-Wno-c++98-compat-pedantic"];
    for language in [["-x", "c", "-std=c99"], ["-x", "c", "-std=c11"], ["-x", "c++", "-std=c++17"]] {
        let words: Vec<&str> = ["clang"].into_iter().chain(language).chain(without).collect();
        compile(&words, "#include <ssmwire.h>\nint main(void) { return SSMWIRE_OK; }\n");
    }
}
