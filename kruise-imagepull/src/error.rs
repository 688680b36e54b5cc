//! What can go wrong when the controllers and the agent write to the API server.

use std::time::Duration;

use kruise_core::runtime::{ReconcileError, Retry};
use kube_client::Error as ClientError;
use thiserror::Error;

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
        let (code, retry_after) = match &source {
            ClientError::Api(status) => {
                let seconds = status
                    .details
                    .as_ref()
                    .map_or(0, |details| details.retry_after_seconds);
                (
                    status.code,
                    (seconds > 0).then(|| Duration::from_secs(seconds.into())),
                )
            }
            _ => (0, None),
        };
        let source = Box::new(source);
        match code {
            // 422 is the answer to a JSON patch whose `test` does not hold.
            409 | 422 => Self::Conflict { what, source },
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
