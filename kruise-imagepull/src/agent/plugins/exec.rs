//! One call of one program.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use super::config::ProviderConfig;
use super::protocol::{Answer, request, response};
use super::{PluginError, PluginLimits};

/// Runs `program` for `image` and reads its answer. Dropping the future kills the program.
pub(super) async fn call(
    program: &Path,
    config: &ProviderConfig,
    image: &str,
    limits: &PluginLimits,
) -> Result<Answer, PluginError> {
    let plugin = || config.name.clone();
    let run = |source| PluginError::Run {
        plugin: plugin(),
        source,
    };
    let input = request(&config.api_version, image);
    let mut child = spawn(program, config).map_err(run)?;
    let talk = talk(&mut child, &input, limits.max_output_bytes);
    let talked = tokio::time::timeout(limits.timeout, talk).await;
    let Ok(talked) = talked else {
        return Err(PluginError::TimedOut {
            plugin: plugin(),
            timeout: limits.timeout,
        });
    };
    let (output, status) = talked.map_err(run)?;
    let Some(output) = output else {
        return Err(PluginError::TooLong {
            plugin: plugin(),
            limit: limits.max_output_bytes,
        });
    };
    if !status.success() {
        return Err(PluginError::Failed {
            plugin: plugin(),
            status,
        });
    }
    response(&config.api_version, &output).map_err(|why| PluginError::Answer {
        plugin: plugin(),
        why,
    })
}

fn spawn(program: &Path, config: &ProviderConfig) -> io::Result<Child> {
    let variables = config.env.iter().flatten();
    Command::new(program)
        .args(config.args.iter().flatten())
        .envs(variables.map(|variable| (&variable.name, &variable.value)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
}

/// Returns the output, `None` if it is longer than `limit`, and how the program ended.
async fn talk(child: &mut Child, input: &[u8], limit: usize) -> io::Result<(Option<Vec<u8>>, ExitStatus)> {
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let write = async {
        let Some(mut stdin) = stdin else { return Ok(()) };
        match stdin.write_all(input).await {
            // A plugin that needs no image need not read it.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            done => done,
        }
    };
    let read = async {
        let mut output = Vec::new();
        if let Some(stdout) = stdout {
            let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
            stdout.take(most).read_to_end(&mut output).await?;
        }
        io::Result::Ok(output)
    };
    let ((), output) = tokio::try_join!(write, read)?;
    if output.len() > limit {
        child.start_kill()?;
        return Ok((None, child.wait().await?));
    }
    Ok((Some(output), child.wait().await?))
}
