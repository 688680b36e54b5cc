//! Flags as Go programs take them: `--flag`, `--flag=false`, `5m`, `1h30m`, `:8080`.

use std::net::SocketAddr;
use std::time::Duration;

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
    /// What it was for, to complete "is for ...".
    pub why: &'static str,
}

/// The first argument that is one of `refused`, as a message that says what to do.
pub fn refused(args: impl IntoIterator<Item = String>, refused: &[Refused]) -> Option<String> {
    args.into_iter().find_map(|arg| {
        let name = arg.strip_prefix("--")?;
        let name = name.split_once('=').map_or(name, |(name, _)| name);
        let flag = refused.iter().find(|flag| flag.name == name)?;
        Some(format!(
            "--{name} is not supported: {}. Remove it from the arguments.",
            flag.why
        ))
    })
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
    }
}
