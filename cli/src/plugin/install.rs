//! `install-plugin`: puts this program on PATH under the official plugin's name.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ssmwire::{Error, Kind, Result};

use super::NAME;
use crate::args::InstallPluginOptions;
use crate::{PROGRAM, message};

/// The folder for programs of one's own, below the home folder.
const OWN_PROGRAMS: &str = ".local/bin";

/// Places the link to this program, or to the script that it runs, and says where, and what else is needed for the AWS
/// CLI to find it.
pub(crate) fn install(options: &InstallPluginOptions, script: Option<&Path>) -> Result<()> {
    let search: Vec<PathBuf> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let program = script
        .map_or_else(std::env::current_exe, Path::canonicalize)
        .map_err(|problem| Error::new(Kind::Internal, format!("the program does not know its file: {problem}")))?;
    check(&program)?;
    let folder = match &options.dir {
        Some(folder) => folder.clone(),
        None => default_folder(&program, &search)?,
    };
    let link = folder.join(NAME);
    place(&program, &link, options.force)?;
    message::tell(&format!("Installed {} -> {}", link.display(), program.display()), "\n");
    match search.iter().map(|folder| folder.join(NAME)).find(|file| file.exists()) {
        Some(first) if is_same(&first, &link) => {}
        Some(first) => message::tell(&format!("hint: `{}` comes before it on PATH", first.display()), "\n"),
        None => message::tell(&format!("hint: add `{}` to PATH", folder.display()), "\n"),
    }
    Ok(())
}

/// Refuses a program that only has the command inside it, and a module that an interpreter was told to run: under the
/// plugin's name they would be something else.
fn check(program: &Path) -> Result<()> {
    let name = program.file_stem().unwrap_or_default();
    if name == PROGRAM || name == NAME {
        return Ok(());
    }
    let problem = format!("`{}` is not the {PROGRAM} program, and can't be the plugin", program.display());
    let hint = format!("install the {PROGRAM} program itself, and run `{PROGRAM} install-plugin` of that");
    Err(Error::new(Kind::Unsupported, problem).with_hint(hint))
}

/// Returns the program's own folder, or that of the user's programs, if it is on PATH.
fn default_folder(program: &Path, search: &[PathBuf]) -> Result<PathBuf> {
    let own = program.parent().map(Path::to_owned);
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(OWN_PROGRAMS));
    let found = [own, home].into_iter().flatten().find(|folder| search.contains(folder));
    found.ok_or_else(|| {
        let error = Error::invalid_argument("--dir", "is needed: no folder for programs of yours is on PATH");
        error.with_hint("name a folder that is on PATH and that you may write to")
    })
}

fn place(program: &Path, link: &Path, force: bool) -> Result<()> {
    let failed = |problem: io::Error| {
        Error::invalid_argument("--dir", format_args!("can't take `{}`: {problem}", link.display()))
            .with_source(problem)
    };
    match link.symlink_metadata() {
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => {}
        Err(problem) => return Err(failed(problem)),
        Ok(found) if found.is_dir() => return Err(failed(io::ErrorKind::IsADirectory.into())),
        Ok(_) if force || is_ours(program, link) => {}
        Ok(_) => {
            let text = format!("holds a `{NAME}` that is not ours: `{}`", link.display());
            return Err(
                Error::invalid_argument("--dir", text).with_hint("replace it with --force, or take another --dir")
            );
        }
    }
    // Renamed into its place, so that there is a plugin at every moment.
    let new = link.with_file_name(format!(".{NAME}.{}", std::process::id()));
    symlink(program, &new).map_err(failed)?;
    std::fs::rename(&new, link).map_err(|problem| {
        // What is left over is of no use; the problem is the one before.
        let _ = std::fs::remove_file(&new);
        failed(problem)
    })
}

/// Returns whether the file is a link that an install made, of this program or of one that is gone.
fn is_ours(program: &Path, link: &Path) -> bool {
    let leads_to = std::fs::read_link(link);
    leads_to.is_ok_and(|to| to == program || to.file_stem() == Some(OsStr::new(PROGRAM)))
}

fn is_same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| path.parent().and_then(|folder| folder.canonicalize().ok());
    real(one).is_some() && real(one) == real(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_itself_becomes_the_plugin() {
        for name in ["/usr/bin/ssmwire", "/usr/bin/session-manager-plugin"] {
            assert!(check(Path::new(name)).is_ok(), "{name}");
        }
        for name in ["/usr/bin/python3.11", "/usr/lib/ssmwire/__main__.py", "/usr/bin/node", "/"] {
            assert_eq!(check(Path::new(name)).expect_err(name).kind(), Kind::Unsupported);
        }
    }
}
