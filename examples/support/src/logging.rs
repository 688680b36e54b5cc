//! Structured logs on standard error.

use clap::{Args, ValueEnum};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// Flags about logs, with klog's names where OpenKruise's manifests use them.
#[derive(Debug, Clone, Args)]
pub struct LogFlags {
    /// Verbosity as klog counts it: 0 warnings and errors, 1 to 4 also what is done, 5 and more debugging. The variable
    /// RUST_LOG overrides it, with a level or a list like `kruise_core=debug,info`.
    #[arg(
        long = "v",
        value_name = "LEVEL",
        default_value_t = 4,
        help_heading = "Logging"
    )]
    pub verbosity: u8,

    /// How a line looks: text for people, json for machines.
    #[arg(long, value_enum, default_value_t = LogFormat::Text, help_heading = "Logging")]
    pub logging_format: LogFormat,

    /// Accepted because OpenKruise's manifests pass it. Logs always go to standard error, so false is refused.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value = "true",
          default_missing_value = "true", value_parser = only_true, help_heading = "Logging")]
    pub logtostderr: bool,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text, with colours on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

fn only_true(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        _ => Err("logs always go to standard error; redirect standard error if you want a file".into()),
    }
}

/// The crates whose debugging is of interest before that of all others.
const CRATES: [&str; 4] = ["kruise_core", "kruise_cri", "kruise_imagepull", "kruise_sidecar"];

/// What to log, as the filter reads it.
fn directives(verbosity: u8) -> String {
    let (ours, all) = match verbosity {
        0 => return "warn".to_owned(),
        1..=4 => return "kube_runtime=error,info".to_owned(),
        5..=7 => ("debug", "info"),
        _ => ("trace", "debug"),
    };
    CRATES.map(|name| format!("{name}={ours},")).concat() + all
}

/// Installs the process-wide subscriber.
pub fn install(flags: &LogFlags) {
    let asked = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let asked = asked.map(|text| text.parse::<Targets>());
    let filter = match &asked {
        Some(Ok(filter)) => filter.clone(),
        _ => directives(flags.verbosity).parse().unwrap_or_default(),
    };
    let layer = fmt::layer().with_writer(std::io::stderr);
    let layer = match flags.logging_format {
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
        LogFormat::Text => layer
            .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer.with_filter(filter))
        .init();
    if let Some(Err(error)) = asked {
        tracing::warn!(%error, "RUST_LOG cannot be read and is ignored");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_five_on_each_of_our_crates_tells_its_debugging() {
        for verbosity in [5, 7] {
            let said = directives(verbosity);
            for name in ["kruise_core", "kruise_cri", "kruise_imagepull", "kruise_sidecar"] {
                assert!(said.contains(&format!("{name}=debug,")), "{said}");
            }
            assert!(said.ends_with(",info"), "{said}");
        }
        for verbosity in 0..=10 {
            assert!(directives(verbosity).parse::<Targets>().is_ok(), "{verbosity}");
        }
    }
}
