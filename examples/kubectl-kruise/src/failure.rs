//! What went wrong, and what to do about it.

use std::fmt;
use std::time::Duration;

use kruise_core::runtime::Causes;
use kube_client::Error as ApiError;
use kube_core::response::Status;

use crate::output::age;

/// The result of a command.
pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

/// Shown as `error: what went wrong`, and below it what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    what: String,
    next: Option<String>,
    broken_pipe: bool,
    /// The same request may succeed later.
    temporary: bool,
}

impl Failure {
    /// Of these words.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            next: None,
            broken_pipe: false,
            temporary: false,
        }
    }

    /// With what to do.
    #[must_use]
    pub(crate) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// A request failed. `doing` says which one, for errors whose own text does not.
    pub(crate) fn api(doing: &str, error: &ApiError) -> Self {
        let temporary = match error {
            ApiError::Api(status) => status.code == 429 || status.code >= 500,
            ApiError::Service(_) | ApiError::HyperError(_) | ApiError::ReadEvents(_) => true,
            _ => false,
        };
        Self {
            temporary,
            ..Self::of(doing, error)
        }
    }

    /// The server has not answered in time.
    pub(crate) fn late(doing: &str, limit: Duration) -> Self {
        Self {
            temporary: true,
            ..Self::new(format!(
                "{doing}: the API server has not answered for {}",
                age(limit)
            ))
        }
    }

    fn of(doing: &str, error: &ApiError) -> Self {
        match error {
            ApiError::Api(status) => Self::status(doing, status),
            ApiError::Service(_) | ApiError::HyperError(_) | ApiError::ReadEvents(_) => {
                Self::new(format!("{doing}: the API server does not answer: {}", Causes(error)))
                    .next("Is the cluster up? Try `kubectl cluster-info`, or choose another with --context or --kubeconfig.")
            }
            ApiError::Auth(_) => Self::new(format!("{doing}: {}", Causes(error)))
                .next("The kubeconfig has no working credentials: log in again, or choose another user with --user."),
            _ => Self::new(format!("{doing}: {}", Causes(error))),
        }
    }

    fn status(doing: &str, status: &Status) -> Self {
        let message = status.message.trim();
        let failure = Self::new(message);
        match status.code {
            401 => Self::new("You must be logged in to the server (Unauthorized)")
                .next("The server rejects the kubeconfig's credentials: log in again, or choose another user with --user."),
            403 => match missing_right(message) {
                Some((verb, resource)) => failure.next(format!(
                    "The verb `{verb}` on `{resource}` is missing. Once it is granted, check with: kubectl auth can-i {verb} {resource}"
                )),
                None => failure,
            },
            404 if status.reason != "NotFound" || message.starts_with("the server could not find") => {
                Self::new(format!("{doing}: the server does not have the resource type")).next(
                    "Kruise is not installed in this cluster: apply its CustomResourceDefinitions, or choose another cluster with --context.",
                )
            }
            409 => failure.next("Somebody else changed it at the same time: check the change, and try again."),
            _ if message.is_empty() => Self::new(format!("{doing}: the server answers {}", status.code)),
            _ => failure,
        }
    }

    /// Whether nobody reads what is printed.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.broken_pipe
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        match &self.next {
            Some(next) => write!(f, "\n{next}"),
            None => Ok(()),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self {
            broken_pipe: error.kind() == std::io::ErrorKind::BrokenPipe,
            ..Self::new(format!("writing the output: {error}"))
        }
    }
}

/// Failures of requests that are sent again and again.
#[derive(Default)]
pub(crate) struct Trouble(String);

impl Trouble {
    /// Prints a failure that may pass, unless it is the one before.
    ///
    /// # Errors
    /// It does not pass.
    pub(crate) fn bear(&mut self, failure: Failure) -> Result<()> {
        if !failure.temporary {
            return Err(failure);
        }
        if self.0 != failure.what {
            eprintln!("warning: {}; trying again", failure.what);
            self.0 = failure.what;
        }
        Ok(())
    }
}

/// The verb and the resource (with its group) that a refusal names.
fn missing_right(message: &str) -> Option<(String, String)> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let group = rest
        .split_once("in API group \"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(group, _)| group);
    let (resource, subresource) = resource
        .split_once('/')
        .map_or((resource, None), |(held, sub)| (held, Some(sub)));
    let mut full = resource.to_owned();
    if !group.is_empty() {
        full = format!("{resource}.{group}");
    }
    if let Some(subresource) = subresource {
        full = format!("{full}/{subresource}");
    }
    Some((verb.to_owned(), full))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: u16, reason: &str, message: &str) -> String {
        let status: Status = serde_json::from_value(serde_json::json!({
            "status": "Failure", "code": code, "reason": reason, "message": message,
        }))
        .unwrap();
        Failure::api("getting the set", &ApiError::Api(Box::new(status))).to_string()
    }

    #[test]
    fn a_refusal_names_the_verb_that_is_missing() {
        let message = "sidecarsets.apps.kruise.io \"logs\" is forbidden: User \"eve\" cannot patch resource \"sidecarsets\" in API group \"apps.kruise.io\" at the cluster scope";
        let said = said(403, "Forbidden", message);
        assert!(said.starts_with("error: sidecarsets.apps.kruise.io \"logs\" is forbidden"));
        assert!(
            said.ends_with("kubectl auth can-i patch sidecarsets.apps.kruise.io"),
            "{said}"
        );
        let pods = "pods is forbidden: User \"eve\" cannot list resource \"pods\" in API group \"\" at the cluster scope";
        assert_eq!(missing_right(pods), Some(("list".into(), "pods".into())));
    }

    #[test]
    fn a_missing_kind_and_a_missing_object_are_two_things() {
        assert!(
            said(404, "Failed to parse error data", "404 page not found").contains("Kruise is not installed")
        );
        assert_eq!(
            said(404, "NotFound", "sidecarsets.apps.kruise.io \"logs\" not found"),
            "error: sidecarsets.apps.kruise.io \"logs\" not found"
        );
    }

    #[test]
    fn what_the_server_may_answer_later_is_temporary() {
        let of = |code: u16| {
            let status = serde_json::from_value(serde_json::json!({"code": code, "message": "no"}));
            Failure::api("getting", &ApiError::Api(Box::new(status.expect("a status")))).temporary
        };
        assert!(of(429) && of(500) && of(503));
        assert!(!of(403) && !of(404) && !of(409));
    }

    #[test]
    fn what_admission_says_is_passed_on_as_it_is() {
        let message =
            "admission webhook \"v.kb.io\" denied the request: spec.parallelism: \"10%\" is a percentage";
        assert_eq!(said(400, "", message), format!("error: {message}"));
    }
}
