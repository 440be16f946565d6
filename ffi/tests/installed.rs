//! The installed library, found by `pkg-config` and by CMake. Not part of an ordinary run: not every machine has both.

use std::path::{Path, PathBuf};
use std::process::Command;

fn succeed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not run: {error}"));
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/consumer")
}

/// Installs what was built for these tests, and then moves it: nothing may point to where it was at first.
fn installed(directory: &Path) -> PathBuf {
    let this = std::env::current_exe().expect("this program has a path");
    let (first, prefix) = (directory.join("first"), directory.join("moved"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("install/install.sh");
    succeed(Command::new(script).arg(this.parent().expect("a directory")).arg(&first));
    std::fs::rename(&first, &prefix).expect("moves");
    prefix
}

#[test]
#[ignore = "`make c-test` installs pkg-config and CMake, and runs it"]
fn a_program_finds_the_library_with_pkg_config_and_with_cmake() {
    let directory = tempfile::tempdir().expect("a directory");
    let prefix = installed(directory.path());
    let version = format!("ssmwire {}\n", env!("CARGO_PKG_VERSION"));

    let pkg_config = |arguments: &[&str]| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig")).args(arguments).arg("ssmwire");
        succeed(&mut command).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(pkg_config(&["--modversion"]), [env!("CARGO_PKG_VERSION")]);
    let (program, source) = (directory.path().join("program"), sources().join("main.c"));
    let flags = pkg_config(&["--cflags", "--libs"]);
    for (compiler, source) in [(["cc", "-std=c99"], "main.c"), (["c++", "-std=c++17"], "main.cpp")] {
        let mut command = Command::new(compiler[0]);
        succeed(command.arg(compiler[1]).arg(sources().join(source)).args(&flags).arg("-o").arg(&program));
        assert_eq!(succeed(Command::new(&program).env("LD_LIBRARY_PATH", prefix.join("lib"))), version);
    }

    // Without the shared library there is only the static one to be found.
    let flags = pkg_config(&["--cflags", "--libs", "--static"]);
    let shared = prefix.join("lib/libssmwire.so");
    let aside = prefix.join("aside");
    std::fs::rename(&shared, &aside).expect("moves");
    succeed(Command::new("cc").arg(&source).args(flags).arg("-o").arg(&program));
    std::fs::rename(&aside, &shared).expect("moves");
    assert_eq!(succeed(&mut Command::new(&program)), version);

    let build = directory.path().join("build");
    let path = format!("-DCMAKE_PREFIX_PATH={}", prefix.display());
    succeed(Command::new("cmake").arg("-S").arg(sources()).arg("-B").arg(&build).arg(path));
    succeed(Command::new("cmake").arg("--build").arg(&build));
    for program in ["shared", "shared_cxx"] {
        assert_eq!(succeed(&mut Command::new(build.join(program))), version);
    }
}
