//! Completion of `kubectl kruise ...`: kubectl asks a program `kubectl_complete-kruise` on the PATH, which is a link to this one.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::failure::Result;

/// What this program is called when kubectl asks.
const NAME: &str = "kubectl_complete-kruise";
/// Flags whose value is a file, which the shell completes itself.
const FILES: [&str; 3] = ["-f", "--filename", "--kubeconfig"];

/// Whether kubectl asks, by the name that the program was called with.
pub(crate) fn is_asked(program: &OsStr) -> bool {
    Path::new(program).file_stem() == Some(OsStr::new(NAME))
}

/// Prints what may stand in place of the last word, a line each with a tab before what it means, and on the last line what else
/// the shell should do: `:0` also offer files, `:4` nothing.
///
/// # Errors
/// Nobody reads.
pub(crate) fn answer(words: Vec<OsString>, out: &mut impl Write) -> Result<()> {
    let before = words.len().checked_sub(2).and_then(|at| words.get(at));
    if before.is_some_and(|flag| FILES.iter().any(|file| flag == file)) {
        writeln!(out, ":0")?;
        return Ok(());
    }
    let last = words.len();
    let line = std::iter::once(OsString::from("kubectl-kruise")).chain(words);
    for candidate in clap_complete::engine::complete(&mut Cli::command(), line.collect(), last, None)? {
        let value = candidate.get_value().to_string_lossy();
        match candidate.get_help() {
            Some(help) => {
                let help = help.to_string();
                writeln!(out, "{value}\t{}", help.lines().next().unwrap_or_default())?;
            }
            None => writeln!(out, "{value}")?,
        }
    }
    writeln!(out, ":4")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(words: &[&str]) -> String {
        let mut out = Vec::new();
        answer(words.iter().map(OsString::from).collect(), &mut out).expect("it is written");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn commands_flags_and_values_are_completed_with_what_they_mean() {
        let commands = answered(&["ro"]);
        assert!(commands.starts_with("rollout\tFollow, stop"), "{commands}");
        assert!(commands.ends_with(":4\n"), "{commands}");
        let below = answered(&["rollout", ""]);
        for name in ["status\t", "pause\t", "undo\t"] {
            assert!(below.contains(name), "{below}");
        }
        assert!(answered(&["pull", "web:1", "--par"]).starts_with("--parallelism\t"));
        assert_eq!(answered(&["completion", "zs"]), "zsh\n:4\n");
    }

    #[test]
    fn files_are_left_to_the_shell() {
        assert_eq!(answered(&["explain", "scs/logs", "-f", "du"]), ":0\n");
    }

    #[test]
    fn the_name_of_the_program_says_that_kubectl_asks() {
        assert!(is_asked(OsStr::new("/usr/local/bin/kubectl_complete-kruise")));
        assert!(!is_asked(OsStr::new("/usr/local/bin/kubectl-kruise")));
    }
}
