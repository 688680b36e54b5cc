//! Flags as Go programs take them: `--flag`, `--flag=false`, `5m`, `1h30m`, `:8080`.

use std::net::SocketAddr;
use std::time::Duration;

use kruise_core::gates::GateRegistry;

/// Parses a duration as Go prints it, such as `5m`, `1.5h` or `250ms`.
///
/// # Errors
/// Says what a duration looks like when the text is none, or is negative.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("`{text}` is no duration; write it like 30s, 5m or 1h30m"))?;
    Duration::try_from(parsed).map_err(|_| format!("`{text}` is negative"))
}

/// Parses a listen address: `HOST:PORT`, or `:PORT` for every address of the machine.
///
/// # Errors
/// Says what an address looks like when the text is none.
pub fn listen(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') {
        format!("0.0.0.0{text}")
    } else {
        text.to_owned()
    };
    full.parse()
        .map_err(|_| format!("`{text}` is no address to listen on; write :8080 or 127.0.0.1:8080"))
}

/// A flag of OpenKruise's programs that ours does not have, and why.
#[derive(Debug, Clone, Copy)]
pub struct Refused {
    /// The flag without its dashes.
    pub name: &'static str,
    /// Why there is no such flag: the end of a sentence, without a full stop.
    pub why: &'static str,
}

impl Refused {
    /// A flag that is refused, and why.
    pub const fn new(name: &'static str, why: &'static str) -> Self {
        Self { name, why }
    }
}

const KLOG: &str =
    "logs go to standard error alone; --v, RUST_LOG and --logging-format say what they hold and how it looks";

/// Flags of Kubernetes' logging library that both programs of OpenKruise have and ours lack.
pub const KLOG_FLAGS: &[Refused] = &[
    Refused::new("add-dir-header", KLOG),
    Refused::new("alsologtostderr", KLOG),
    Refused::new("log-backtrace-at", KLOG),
    Refused::new("log-dir", KLOG),
    Refused::new("log-file", KLOG),
    Refused::new("log-file-max-size", KLOG),
    Refused::new("one-output", KLOG),
    Refused::new("skip-headers", KLOG),
    Refused::new("skip-log-headers", KLOG),
    Refused::new("stderrthreshold", KLOG),
    Refused::new("vmodule", KLOG),
];

/// The first argument that is one of `refused` or of [`KLOG_FLAGS`], as a message that says what to do. Underscores count as
/// dashes: Go programs have both.
pub fn refused(args: impl IntoIterator<Item = String>, refused: &[Refused]) -> Option<String> {
    args.into_iter().find_map(|arg| {
        let name = arg.strip_prefix("--")?;
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        let dashed = name.replace('_', "-");
        let flag = refused
            .iter()
            .chain(KLOG_FLAGS)
            .find(|flag| flag.name == dashed)?;
        Some(format!(
            "--{name} is not supported: {}. Remove it from the arguments.",
            flag.why
        ))
    })
}

/// The help of `--feature-gates`: each gate with its default.
pub fn gates_help() -> String {
    format!(
        "Features to switch, as `KruiseDaemon=true,PodWebhook=false`. Other gates of OpenKruise are accepted in the state that \
         they have here.\n\n{}",
        GateRegistry::kruise().help()
    )
}

/// Says what becomes of each flag of `list`, written `flag` or `flag=value`: `Err` with its name if it is neither refused with
/// a reason nor taken by `parses`. For tests of command lines.
///
/// # Errors
/// Names the first flag that is not told apart from a misspelled one.
pub fn all_known(list: &str, lacking: &[Refused], parses: impl Fn(&str) -> bool) -> Result<(), String> {
    for flag in list.split_whitespace() {
        let argument = format!("--{flag}");
        if refused([argument.clone()], lacking).is_none() && !parses(&argument) {
            return Err(argument);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("soon").unwrap_err().contains("30s"));
        assert!(duration("-5s").unwrap_err().contains("negative"));
    }

    #[test]
    fn a_port_alone_listens_on_every_address() {
        assert_eq!(listen(":8080"), Ok(SocketAddr::from(([0, 0, 0, 0], 8080))));
        assert_eq!(listen("127.0.0.1:1"), Ok(SocketAddr::from(([127, 0, 0, 1], 1))));
        assert!(listen("8080").is_err());
    }

    #[test]
    fn a_flag_of_a_part_that_is_not_there_is_refused_by_name() {
        let flags = [Refused {
            name: "cloneset-workers",
            why: "CloneSet is not part of this program",
        }];
        let said = refused(["--v=4".to_owned(), "--cloneset-workers=5".to_owned()], &flags).unwrap();
        assert!(said.starts_with("--cloneset-workers is not supported: CloneSet"));
        assert_eq!(refused(["--v=4".to_owned()], &flags), None);
        let said = refused(["--log_dir=/var/log".to_owned()], &flags).unwrap();
        assert!(
            said.starts_with("--log_dir is not supported: logs go to standard error"),
            "{said}"
        );
    }
}
