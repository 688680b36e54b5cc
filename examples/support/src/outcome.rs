//! How a program ends.

use std::process::ExitCode;

/// Says on standard error what went wrong, in one line with its causes and never with a backtrace; 1 then, else 0.
pub fn exit_code(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
