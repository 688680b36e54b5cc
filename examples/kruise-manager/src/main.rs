//! The sample manager: controllers and webhooks of SidecarSet, ImagePullJob and NodeImage.

mod certificates;
mod crds;
mod flags;
mod imagepull;
mod rbac;
mod refused;
mod sidecar;
mod webhooks;
mod wire;
mod withdraw;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use flags::{Command, Flags};
use kruise_support::{flags::refused, logging, outcome::exit_code, signals::StopSignals};
use refused::REFUSED;
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    exit_code(run().await)
}

async fn run() -> Result<()> {
    if let Some(text) = refused(std::env::args().skip(1), REFUSED) {
        bail!(text);
    }
    let flags = Flags::parse();
    match flags.command {
        Some(Command::Crds) => {
            print!("{}", crds::yaml()?);
            return Ok(());
        }
        Some(Command::Rbac { role }) => {
            print!("{}", rbac::yaml(role));
            return Ok(());
        }
        Some(Command::Withdraw { reach, log }) => {
            logging::install(&log);
            return withdraw::run(&reach).await;
        }
        None => {}
    }
    logging::install(&flags.run.log);
    let signals = StopSignals::install().context("taking over SIGTERM and SIGINT")?;
    let stop = CancellationToken::new();
    tokio::select! {
        done = wire::run(flags.run, stop.clone()) => done,
        () = signals.cancel(stop) => Ok(()),
    }
}
