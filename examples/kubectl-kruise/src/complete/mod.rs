//! Completion: of `kubectl kruise ...`, for which kubectl asks a program `kubectl_complete-kruise` on the PATH, a link to this one; and
//! of `kubectl-kruise ...`, for which the shell asks this program by the variable [`VARIABLE`].

mod names;

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::path::Path;

use clap::Command;
use clap_complete::env::Shells;
use clap_complete::{ArgValueCompleter, CompleteEnv, CompletionCandidate};

use crate::cli::Kind;
use crate::failure::{Failure, Result};
use names::Context;

/// What this program is called when kubectl asks.
const NAME: &str = "kubectl_complete-kruise";
/// What this program is called otherwise.
const PROGRAM: &str = "kubectl-kruise";
/// The variable by which the scripts of [`script`] ask.
const VARIABLE: &str = "KUBECTL_KRUISE_COMPLETE";
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
    let flags = words
        .last()
        .is_none_or(|word| word.to_string_lossy().starts_with('-'));
    let line: Vec<OsString> = std::iter::once(OsString::from(PROGRAM)).chain(words).collect();
    let mut command = command(line.get(..last).unwrap_or_default());
    for candidate in clap_complete::engine::complete(&mut command, line, last, None)? {
        let value = candidate.get_value().to_string_lossy();
        // As with kubectl, flags are offered when a word begins like one.
        if value.starts_with('-') && !flags {
            continue;
        }
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

/// Answers a shell with a script of [`script`], if it is one that asks.
///
/// # Errors
/// The shell is not known, or nobody reads.
pub(crate) fn answer_shell(args: &[OsString]) -> Result<bool> {
    // `PROGRAM -- kubectl-kruise WORD...`, of which the last is being completed.
    let words = args
        .get(2..args.len().saturating_sub(1))
        .unwrap_or_default()
        .to_vec();
    let asked = CompleteEnv::with_factory(move || command(&words)).var(VARIABLE);
    let answered = asked.try_complete(args.iter().cloned(), None);
    answered.map_err(|error| Failure::new(error.to_string()))
}

/// Prints the script by which a shell asks this program.
///
/// # Errors
/// The shell is not known, or nobody reads.
pub(crate) fn script(shell: &str, out: &mut impl Write) -> Result<()> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(shell)
        .ok_or_else(|| Failure::new(format!("completion for {shell} is not supported")))?;
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, out)?;
    Ok(())
}

/// The command line, which completes names by what the words before say.
fn command(before: &[OsString]) -> Command {
    let context = Context::read(before);
    with_names(crate::run::command().bin_name(PROGRAM), &context)
}

fn with_names(command: Command, context: &Context) -> Command {
    let global = command.get_name() == PROGRAM;
    let present = |command: &Command, id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
    let mut command = command;
    if global {
        let (namespaces, contexts) = (context.clone(), context.clone());
        command = command
            .mut_arg("namespace", |arg| {
                arg.add(completer(move |_| namespaces.namespaces()))
            })
            .mut_arg("context", |arg| arg.add(completer(move |_| contexts.contexts())));
    }
    if present(&command, "objects") {
        let context = context.clone();
        command = command.mut_arg("objects", |arg| {
            arg.add(completer(move |word| context.objects(word)))
        });
    }
    if present(&command, "follow") {
        let (jobs, nodes) = (context.clone(), context.clone());
        command = command
            .mut_arg("follow", |arg| {
                arg.add(completer(move |_| jobs.names(&Kind::jobs())))
            })
            .mut_arg("nodes", |arg| {
                arg.add(completer(move |_| nodes.names(&Kind::nodes())))
            });
    }
    command.mut_subcommands(|below| with_names(below, context))
}

/// Offers those of some words that begin as the one that is being completed.
fn completer(words: impl Fn(&str) -> Vec<String> + Send + Sync + 'static) -> ArgValueCompleter {
    ArgValueCompleter::new(move |word: &OsStr| {
        let word = word.to_string_lossy();
        let fitting = words(&word).into_iter().filter(|found| found.starts_with(&*word));
        fitting.map(CompletionCandidate::new).collect::<Vec<_>>()
    })
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
        assert!(commands.starts_with("rollout\tFollow, pause"), "{commands}");
        assert!(commands.ends_with(":4\n"), "{commands}");
        let below = answered(&["rollout", ""]);
        for name in ["status\t", "pause\t", "undo\t"] {
            assert!(below.contains(name), "{below}");
        }
        assert!(answered(&["pull", "web:1", "--par"]).starts_with("--parallelism\t"));
        assert_eq!(answered(&["completion", "zs"]), "zsh\n:4\n");
    }

    #[test]
    fn types_are_completed_as_far_as_the_command_takes_them() {
        assert_eq!(answered(&["explain", "s"]), "sidecarset\nscs\n:4\n");
        let all = answered(&["get", "i"]);
        assert_eq!(all, "imagepulljob\nipj\nimagelistpulljob\nilpj\n:4\n");
        assert_eq!(answered(&["rollout", "undo", "ipj"]), ":4\n");
    }

    #[test]
    fn contexts_are_those_of_the_kubeconfig_that_is_named_before() {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        let config = "{apiVersion: v1, kind: Config, contexts: [{name: east, context: {cluster: c, user: u}}, \
            {name: west, context: {cluster: c, user: u}}]}";
        file.write_all(config.as_bytes()).expect("written");
        let path = file.path().to_string_lossy();
        let words = ["get", "ipj", "--kubeconfig", &path, "--context", ""];
        assert_eq!(answered(&words), "east\nwest\n:4\n");
        assert_eq!(
            answered(&["--kubeconfig", &path, "get", "--context=e"]),
            "--context=east\n:4\n"
        );
    }

    #[test]
    fn without_a_cluster_there_are_no_names() {
        let words = ["get", "ipj", "--kubeconfig", "/nonexistent", ""];
        assert_eq!(answered(&words), ":4\n");
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
