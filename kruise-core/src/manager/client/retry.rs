//! Which requests may be sent again, and when.

use std::time::Duration;

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Request, StatusCode};

use super::RetryConfig;
use crate::manager::jitter::jitter;

/// What must be known of a request when its answer is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeatable {
    /// Sending it twice does no more than sending it once.
    idempotent: bool,
    /// 429 means "not now" to the sender of the request, not "too fast".
    eviction: bool,
}

impl Repeatable {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let idempotent = match *request.method() {
            Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE => true,
            Method::PATCH => patch_is_idempotent(request.headers()),
            _ => false,
        };
        let eviction = request.method() == Method::POST && request.uri().path().ends_with("/eviction");
        Self { idempotent, eviction }
    }

    /// Whether an answer (`None`: the connection failed) asks for another try, and under what name it is counted.
    pub(super) fn reason(self, status: Option<StatusCode>) -> Option<&'static str> {
        match status {
            Some(StatusCode::TOO_MANY_REQUESTS) if !self.eviction => Some("throttled"),
            Some(
                StatusCode::INTERNAL_SERVER_ERROR
                | StatusCode::BAD_GATEWAY
                | StatusCode::SERVICE_UNAVAILABLE
                | StatusCode::GATEWAY_TIMEOUT,
            ) if self.idempotent => Some("server_error"),
            None if self.idempotent => Some("connection"),
            _ => None,
        }
    }
}

/// Merge, strategic merge and apply patches say what shall be; JSON patches say what to do, and their tests fail on
/// what the first try did.
fn patch_is_idempotent(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            matches!(
                kind,
                "application/merge-patch+json"
                    | "application/strategic-merge-patch+json"
                    | "application/apply-patch+yaml"
                    | "application/apply-patch+cbor"
            )
        })
}

/// How long the server asks to wait, in its form of whole seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()
        .map(Duration::from_secs)
}

impl RetryConfig {
    /// The delay before retry `number`, counted from 0.
    pub(super) fn delay(&self, number: u32, asked: Option<Duration>) -> Duration {
        asked.unwrap_or_else(|| {
            let doubled = self.backoff_base.saturating_mul(2u32.saturating_pow(number));
            jitter(doubled.min(self.backoff_max), 0.5)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: [u16; 12] = [200, 400, 404, 409, 410, 422, 429, 500, 501, 502, 503, 504];

    fn repeated(method: Method, path: &str, content_type: &str) -> Vec<u16> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content_type)
            .body(())
            .unwrap();
        let repeatable = Repeatable::of(&request);
        let connection = repeatable.reason(None).map(|_| 0);
        let codes = CODES.into_iter().filter(|code| {
            repeatable
                .reason(Some(StatusCode::from_u16(*code).unwrap()))
                .is_some()
        });
        connection.into_iter().chain(codes).collect()
    }

    #[test]
    fn idempotent_requests_are_repeated_after_server_errors_and_others_only_when_throttled() {
        let all = vec![0, 429, 500, 502, 503, 504];
        let json = "application/json";
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            assert_eq!(repeated(method, "/api/v1/pods/a", json), all);
        }
        assert_eq!(repeated(Method::POST, "/api/v1/pods", json), [429]);
        for kind in [
            "merge-patch+json",
            "strategic-merge-patch+json",
            "apply-patch+yaml",
            "merge-patch+json; q=1",
        ] {
            assert_eq!(
                repeated(Method::PATCH, "/api/v1/pods/a", &format!("application/{kind}")),
                all
            );
        }
        assert_eq!(
            repeated(Method::PATCH, "/api/v1/pods/a", "application/json-patch+json"),
            [429]
        );
    }

    #[test]
    fn an_eviction_that_a_disruption_budget_refuses_is_not_repeated() {
        assert!(
            repeated(
                Method::POST,
                "/api/v1/namespaces/a/pods/b/eviction",
                "application/json"
            )
            .is_empty()
        );
    }

    #[test]
    fn delays_double_up_to_the_limit_and_the_server_has_the_last_word() {
        let config = RetryConfig::default();
        for (number, base) in [(0, 100), (1, 200), (2, 400), (30, 5000), (u32::MAX, 5000)] {
            let base = Duration::from_millis(base);
            let delay = config.delay(number, None);
            assert!(delay >= base && delay <= base * 3 / 2, "{number}: {delay:?}");
        }
        assert_eq!(
            config.delay(0, Some(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
    }

    #[test]
    fn only_whole_seconds_are_understood_as_retry_after() {
        let after = |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]));
        assert_eq!(after("3"), Some(Duration::from_secs(3)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), None);
        assert_eq!(after("-1"), None);
    }
}
