//! From arguments to an exit code.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, Command, DryRun, RolloutCommand};
use crate::connect::Session;
use crate::failure::{Failure, Result};
use crate::{explain, get, pull, rollout, version};

/// Runs the program. 0 if all went well, 1 otherwise, as kubectl has it.
pub(crate) async fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let parsed = command().try_get_matches_from(args);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and the version go to standard output and are no failure.
            let _ = error.print();
            return match error.use_stderr() {
                true => ExitCode::FAILURE,
                false => ExitCode::SUCCESS,
            };
        }
    };
    let mut out = std::io::stdout();
    let done = dispatch(cli, &mut out).await;
    let done = done.and_then(|()| out.flush().map_err(Failure::from));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever reads has enough: `| head`.
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

/// The command line. A plugin is called by kubectl, and tells its examples that way.
pub(crate) fn command() -> clap::Command {
    Cli::command().bin_name("kubectl kruise")
}

async fn dispatch(cli: Cli, out: &mut impl Write) -> Result<()> {
    match &cli.command {
        Command::Completion { shell } => {
            // The program that is completed is the one on the PATH.
            clap_complete::generate(*shell, &mut Cli::command(), "kubectl-kruise", out);
            Ok(())
        }
        Command::Version(flags) => version::run(flags, &cli.global, out).await,
        Command::Explain(flags) if !flags.files.is_empty() => {
            explain::offline(flags, cli.global.namespace.as_deref(), out)
        }
        Command::Pull(flags) if flags.dry_run == DryRun::Client => {
            pull::offline(flags, cli.global.namespace.as_deref(), out)
        }
        _ => {
            let session = Session::connect(&cli.global).await?;
            online(&cli, &session, std::io::stdout().is_terminal(), out).await
        }
    }
}

/// Runs a command that needs a server. `bars` shows progress by bars.
pub(crate) async fn online(cli: &Cli, session: &Session, bars: bool, out: &mut impl Write) -> Result<()> {
    match &cli.command {
        Command::Explain(flags) => {
            explain::online(flags, cli.global.namespace.as_deref(), session, out).await
        }
        Command::Rollout { command } => match command {
            RolloutCommand::Status(flags) => rollout::status(flags, session, out).await,
            RolloutCommand::Pause(flags) => rollout::pause(flags, session, true, out).await,
            RolloutCommand::Resume(flags) => rollout::pause(flags, session, false, out).await,
            RolloutCommand::Undo(flags) => rollout::undo(flags, session, out).await,
            RolloutCommand::History(flags) => rollout::history(flags, session, out).await,
        },
        Command::Pull(flags) => pull::online(flags, session, bars, out).await,
        Command::Get(flags) => get::run(flags, session, out).await,
        Command::Version(_) | Command::Completion { .. } => Ok(()),
    }
}
