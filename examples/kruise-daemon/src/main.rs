//! The sample daemon: pulls images on one node.

mod flags;
mod plugins;
mod wire;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;
use flags::{Flags, REFUSED};
use kruise_support::{flags::refused, logging, outcome::exit_code, signals::StopSignals};
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
    logging::install(&flags.log);
    let signals = StopSignals::install().context("taking over SIGTERM and SIGINT")?;
    let stop = CancellationToken::new();
    tokio::select! {
        done = wire::run(flags, stop.clone()) => done,
        () = signals.cancel(stop) => Ok(()),
    }
}
