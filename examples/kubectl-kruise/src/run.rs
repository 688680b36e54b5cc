//! From arguments to an exit code.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::cli::{Cli, Command, DryRun, RolloutCommand};
use crate::connect::Connection;
use crate::failure::{Failure, Result};
use crate::{complete, explain, get, pull, rollout, version};

/// Runs the program. 0 if all went well, 1 otherwise, as kubectl has it.
pub(crate) async fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let mut out = std::io::stdout();
    if args.first().is_some_and(|program| complete::is_asked(program)) {
        return end(complete::answer(args.split_off(1), &mut out));
    }
    match complete::answer_shell(&args) {
        Ok(false) => {}
        answered => return end(answered.map(|_| ())),
    }
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
    let done = dispatch(cli, &mut out).await;
    end(done.and_then(|()| out.flush().map_err(Failure::from)))
}

fn end(done: Result<()>) -> ExitCode {
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

/// The command line, whose help shows how kubectl calls a plugin.
pub(crate) fn command() -> clap::Command {
    Cli::command().bin_name("kubectl kruise")
}

async fn dispatch(cli: Cli, out: &mut impl Write) -> Result<()> {
    match &cli.command {
        Command::Completion { shell } => complete::script(&shell.to_string(), out),
        Command::Version(flags) => version::run(flags, &cli.global, out).await,
        Command::Explain(flags) if !flags.files.is_empty() => {
            explain::offline(flags, cli.global.namespace.as_deref(), out)
        }
        Command::Pull(flags) if flags.dry_run == DryRun::Client => {
            pull::offline(flags, cli.global.namespace.as_deref(), out)
        }
        _ => {
            let connection = Connection::connect(&cli.global).await?;
            online(&cli, &connection, std::io::stdout().is_terminal(), out).await
        }
    }
}

/// Runs a command that needs a server. `bars` shows progress by bars.
pub(crate) async fn online(
    cli: &Cli,
    connection: &Connection,
    bars: bool,
    out: &mut impl Write,
) -> Result<()> {
    match &cli.command {
        Command::Explain(flags) => {
            explain::online(flags, cli.global.namespace.as_deref(), connection, out).await
        }
        Command::Rollout { command } => match command {
            RolloutCommand::Status(flags) => rollout::status(flags, connection, out).await,
            RolloutCommand::Pause(flags) => rollout::pause(flags, connection, true, out).await,
            RolloutCommand::Resume(flags) => rollout::pause(flags, connection, false, out).await,
            RolloutCommand::Undo(flags) => rollout::undo(flags, connection, out).await,
            RolloutCommand::History(flags) => rollout::history(flags, connection, out).await,
        },
        Command::Pull(flags) => pull::online(flags, connection, bars, out).await,
        Command::Get(flags) => get::run(flags, connection, out).await,
        Command::Version(_) | Command::Completion { .. } => Ok(()),
    }
}
