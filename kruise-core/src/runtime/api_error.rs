//! Requests to the API server that failed, sorted by what to do next.

use std::time::Duration;

use kube_client::Error as ClientError;
use thiserror::Error;

use super::{ReconcileError, Retry};

/// A request to the API server that failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The object changed since it was read. Look again.
    #[error("the object has changed in the meantime: {what}")]
    Conflict {
        /// What was being done.
        what: &'static str,
        /// The answer.
        #[source]
        source: Box<ClientError>,
    },
    /// The object does not exist.
    #[error("the object does not exist: {what}")]
    Gone {
        /// What was being done.
        what: &'static str,
        /// The answer.
        #[source]
        source: Box<ClientError>,
    },
    /// The server refused the request for its content or for lack of rights; repeating it soon does not help.
    #[error("the request was refused: {what}")]
    Refused {
        /// What was being done.
        what: &'static str,
        /// The answer.
        #[source]
        source: Box<ClientError>,
    },
    /// The server asks for fewer requests.
    #[error("too many requests: {what}")]
    Throttled {
        /// What was being done.
        what: &'static str,
        /// When the server wants to hear again.
        after: Option<Duration>,
        /// The answer.
        #[source]
        source: Box<ClientError>,
    },
    /// Nobody knows whether the request took effect: the connection broke, or the server failed.
    #[error("the outcome of the request is not known: {what}")]
    Unknown {
        /// What was being done.
        what: &'static str,
        /// What happened.
        #[source]
        source: Box<ClientError>,
    },
}

impl ApiError {
    /// Sorts an error of the client. `what` is the request in words.
    pub fn new(what: &'static str, source: ClientError) -> Self {
        let (code, retry_after, invalid) = match &source {
            ClientError::Api(status) => {
                let details = status.details.as_ref();
                let seconds = details.map_or(0, |details| details.retry_after_seconds);
                let after = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
                (
                    status.code,
                    after,
                    details.is_some_and(|details| !details.kind.is_empty()),
                )
            }
            _ => (0, None, false),
        };
        let source = Box::new(source);
        match code {
            409 => Self::Conflict { what, source },
            // The answer to a JSON patch whose `test` does not hold, unless it names the object: then the result was
            // not valid, and looking again does not help.
            422 if !invalid => Self::Conflict { what, source },
            404 | 410 => Self::Gone { what, source },
            429 => Self::Throttled {
                what,
                after: retry_after,
                source,
            },
            400..500 => Self::Refused { what, source },
            _ => Self::Unknown { what, source },
        }
    }
}

impl ReconcileError for ApiError {
    fn retry(&self) -> Retry {
        match self {
            Self::Throttled {
                after: Some(after), ..
            } => Retry::After(*after),
            Self::Conflict { .. } => Retry::Now,
            _ => Retry::Backoff,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_core::Status;
    use kube_core::response::StatusDetails;

    fn details(kind: &str, retry_after_seconds: u32) -> StatusDetails {
        StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: kind.to_owned(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds,
        }
    }

    fn sorted(code: u16, details: Option<StatusDetails>) -> (String, Retry) {
        let status = Status {
            code,
            details,
            ..Status::default()
        };
        let error = ApiError::new("testing", ClientError::Api(Box::new(status)));
        let name = format!("{error:?}");
        (
            name.split(' ').next().unwrap_or_default().to_owned(),
            error.retry(),
        )
    }

    #[test]
    fn a_failed_test_of_a_patch_is_a_conflict_and_an_invalid_result_is_not() {
        assert_eq!(sorted(422, None), ("Conflict".to_owned(), Retry::Now));
        let invalid = details("Pod", 0);
        assert_eq!(sorted(422, Some(invalid)), ("Refused".to_owned(), Retry::Backoff));
    }

    #[test]
    fn answers_are_sorted_by_what_to_do_next() {
        for (code, name) in [
            (409, "Conflict"),
            (404, "Gone"),
            (403, "Refused"),
            (429, "Throttled"),
            (500, "Unknown"),
        ] {
            assert_eq!(sorted(code, None).0, name);
        }
        let wait = details("", 7);
        assert_eq!(sorted(429, Some(wait)).1, Retry::After(Duration::from_secs(7)));
    }
}
