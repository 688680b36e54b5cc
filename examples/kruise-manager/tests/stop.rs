//! The program as a process: how it ends.

#[path = "../../support/testing/stop.rs"]
mod stop;

use std::time::Duration;

use stop::stopped;

#[test]
fn sigterm_ends_the_manager_with_code_0_though_the_api_server_hangs() -> Result<(), String> {
    let args = [
        "--metrics-addr=127.0.0.1:0",
        "--health-probe-addr=127.0.0.1:0",
        "--webhook-port=0",
    ];
    // The sum of the times that stopping may take by default.
    let limit = Duration::from_secs(30);
    let (status, said) = stopped(
        env!("CARGO_BIN_EXE_kruise-manager"),
        &args,
        "feature gates",
        limit,
    )?;
    assert_eq!(status.code(), Some(0), "{status}: {said}");
    Ok(())
}
