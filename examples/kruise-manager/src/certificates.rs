//! Where the certificates of the webhooks come from, by flags and by OpenKruise's environment variables.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

/// Whether somebody else makes the certificates.
const WRITER: &str = "WEBHOOK_CERT_WRITER";
/// Folder in which somebody else puts them.
const FOLDER: &str = "WEBHOOK_CERT_DIR";
/// The folder where nothing is said.
const DEFAULT_FOLDER: &str = "/tmp/kruise-webhook-certs";

/// The folder of certificates that somebody else makes; `None` if this program makes them. OpenKruise's manager also writes
/// certificates of its own into a folder, which this one does not.
pub(crate) fn folder(
    flag: Option<&PathBuf>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<PathBuf>> {
    if let Some(folder) = flag {
        return Ok(Some(folder.clone()));
    }
    let variable = |name| variable(name).filter(|value| !value.is_empty());
    let folder = variable(FOLDER);
    match variable(WRITER).as_deref() {
        Some("external") => Ok(Some(folder.unwrap_or_else(|| DEFAULT_FOLDER.into()).into())),
        None => {
            if folder.is_some() {
                tracing::warn!(
                    "{FOLDER} has no effect: certificates are kept in the Secret and in memory, in no folder"
                );
            }
            Ok(None)
        }
        Some(other) => bail!(
            "{WRITER}={other}: this program writes no certificates into a folder; unset it to keep them in a Secret, \
             or set it to \"external\" to use those that somebody else puts into {FOLDER}"
        ),
    }
}

/// Reads a time such as `180d`, `6m` (of 30 days) or `1y` (of 365), as in `CERTS_RENEW_BEFORE`.
pub(crate) fn days(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is not a number of days, months or years such as \"180d\", \"6m\", \"1y\"");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number = text
        .strip_suffix(unit)
        .and_then(|number| number.parse::<u32>().ok());
    let days = match unit {
        'd' => 1,
        'm' => 30,
        'y' => 365,
        _ => return Err(wrong()),
    };
    let days = number.ok_or_else(wrong)?.checked_mul(days).ok_or_else(wrong)?;
    Ok(Duration::from_secs(u64::from(days) * 24 * 3600))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<PathBuf>, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(held, _)| *held == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        folder(flag.map(PathBuf::from).as_ref(), variable).map_err(|error| error.to_string())
    }

    #[test]
    fn openkruises_variables_say_who_makes_the_certificates() {
        let path = |text: &str| Ok(Some(PathBuf::from(text)));
        assert_eq!(of(None, &[]), Ok(None));
        assert_eq!(
            of(None, &[(WRITER, ""), (FOLDER, "/certs")]),
            Ok(None),
            "OpenKruise would write there"
        );
        assert_eq!(
            of(None, &[(WRITER, "external"), (FOLDER, "/certs")]),
            path("/certs")
        );
        assert_eq!(
            of(None, &[(WRITER, "external")]),
            path("/tmp/kruise-webhook-certs")
        );
        assert_eq!(
            of(Some("/flag"), &[(WRITER, "fs"), (FOLDER, "/certs")]),
            path("/flag")
        );
        assert!(
            of(None, &[(WRITER, "fs")])
                .unwrap_err()
                .contains("WEBHOOK_CERT_WRITER=fs")
        );
    }

    #[test]
    fn renewal_is_told_in_days_months_or_years() {
        let read = |text| days(text).ok().map(|time| time.as_secs() / (24 * 3600));
        assert_eq!(
            [read("180d"), read("6m"), read("1y")],
            [Some(180), Some(180), Some(365)]
        );
        assert_eq!(
            [read(""), read("d"), read("180"), read("-1d"), read("1h")],
            [None; 5]
        );
    }
}
