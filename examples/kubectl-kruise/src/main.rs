//! `kubectl kruise`: explains SidecarSets, steers their rollouts, pulls images on nodes.

mod cli;
mod complete;
mod connect;
mod explain;
mod failure;
mod get;
mod output;
mod pull;
mod rollout;
mod run;
mod selector;
#[cfg(test)]
mod testing;
mod version;

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    run::main(std::env::args_os()).await
}
