//! The program as a process: how it ends.

#[path = "../../support/testing/stop.rs"]
mod stop;

use std::time::Duration;

use stop::stopped;

/// Less than the grace of its pod.
const LIMIT: Duration = Duration::from_secs(9);

fn check(gates: &str, ready: &str) -> Result<(), String> {
    let gates = format!("--feature-gates={gates}");
    let args = [
        "--node-name=n",
        "--addr=127.0.0.1:0",
        "--socket-dir=/nonexistent",
        &gates,
    ];
    let (status, said) = stopped(env!("CARGO_BIN_EXE_kruise-daemon"), &args, ready, LIMIT)?;
    assert_eq!(status.code(), Some(0), "{status}: {said}");
    Ok(())
}

#[test]
fn sigterm_ends_the_daemon_with_code_0_though_the_api_server_hangs() -> Result<(), String> {
    check("", "serving this node")
}

#[test]
fn sigterm_ends_a_daemon_whose_feature_is_off_with_code_0() -> Result<(), String> {
    check("KruiseDaemon=false", "the feature gate KruiseDaemon is off")
}
