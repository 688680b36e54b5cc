//! Errors as one line for a log or an event.

use std::error::Error;
use std::fmt;

/// Shows an error with its causes, each once: many errors repeat their cause in their own text, and kube's repeat the whole
/// answer of the API server, of which the message is enough.
///
/// ```
/// use kruise_core::runtime::Causes;
/// #[derive(Debug, thiserror::Error)]
/// #[error("list failed")]
/// struct ListFailed(#[source] std::io::Error);
/// let error = ListFailed(std::io::Error::other("connection reset"));
/// assert_eq!(Causes(&error).to_string(), "list failed: connection reset");
/// ```
#[derive(Clone, Copy)]
pub struct Causes<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&text(self.0))
    }
}

impl fmt::Debug for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn text(error: &(dyn Error + 'static)) -> String {
    if let Some(kube_client::Error::Api(status)) = error.downcast_ref() {
        return format!("{} ({})", status.message, status.code);
    }
    let own = error.to_string();
    let Some(cause) = error.source() else { return own };
    let (whole, short) = (cause.to_string(), text(cause));
    if whole.is_empty() || short.is_empty() {
        own
    } else if own.contains(&whole) {
        own.replace(&whole, &short)
    } else {
        format!("{own}: {short}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube_core::response::Status;

    #[derive(Debug, thiserror::Error)]
    #[error("listing: {0}")]
    struct Repeats(#[source] kube_client::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("listing")]
    struct Silent(#[source] kube_client::Error);

    fn forbidden() -> kube_client::Error {
        let status = Status::failure("pods is forbidden", "Forbidden").with_code(403);
        kube_client::Error::Api(status.boxed())
    }

    #[test]
    fn what_the_api_server_said_is_told_once_with_its_code() {
        assert_eq!(
            Causes(&Repeats(forbidden())).to_string(),
            "listing: pods is forbidden (403)"
        );
        assert_eq!(
            Causes(&Silent(forbidden())).to_string(),
            "listing: pods is forbidden (403)"
        );
    }
}
