//! Runs a program against an API server that accepts connections and never answers, the worst one to stop beside, and stops it.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// A program that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts `program`, waits until its log holds `ready`, sends SIGTERM and returns how it ended and what it said after that.
///
/// # Errors
/// It ended before it was ready, or did not end within `limit`.
pub(crate) fn stopped(
    program: &str,
    args: &[&str],
    ready: &str,
    limit: Duration,
) -> Result<(ExitStatus, String), String> {
    let silent = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = silent.local_addr().map_err(|error| error.to_string())?;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let kubeconfig = folder.path().join("kubeconfig");
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- {{name: c, cluster: {{server: 'http://{address}'}}}}\n\
         users:\n- {{name: c, user: {{}}}}\ncontexts:\n- {{name: c, context: {{cluster: c, user: c}}}}\n"
    );
    std::fs::write(&kubeconfig, text).map_err(|error| error.to_string())?;
    let child = Command::new(program)
        .args(args)
        .env_clear()
        .env("KUBECONFIG", &kubeconfig)
        .env("HOSTNAME", "stop-test")
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))?;
    let mut running = Running(child);
    let stderr = running.0.stderr.take().ok_or("no standard error")?;
    let mut log = BufReader::new(stderr);
    let mut said = String::new();
    while !said.contains(ready) {
        if log.read_line(&mut said).map_err(|error| error.to_string())? == 0 {
            return Err(format!("it ended before it was ready:\n{said}"));
        }
    }
    let sent = Command::new("kill")
        .args(["-TERM", &running.0.id().to_string()])
        .status()
        .map_err(|error| error.to_string())?;
    if !sent.success() {
        return Err("SIGTERM could not be sent".into());
    }
    const LOOK_AGAIN: Duration = Duration::from_millis(20);
    for _ in 0..limit.as_millis() / LOOK_AGAIN.as_millis() {
        if let Some(status) = running.0.try_wait().map_err(|error| error.to_string())? {
            let mut last = String::new();
            log.read_to_string(&mut last).map_err(|error| error.to_string())?;
            return Ok((status, last));
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    Err(format!("it did not end within {limit:?}:\n{said}"))
}
