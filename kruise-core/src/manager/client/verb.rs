//! What a request asks for, in the words of Kubernetes.

use http::{Method, Request};

/// The verb as in RBAC rules, for metrics.
pub(super) fn verb<B>(request: &Request<B>) -> &'static str {
    match *request.method() {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        Method::GET if is_watch(request.uri().query()) => "watch",
        Method::GET if is_collection(request.uri().path()) => "list",
        Method::GET => "get",
        _ => "other",
    }
}

fn is_watch(query: Option<&str>) -> bool {
    query.is_some_and(|query| {
        query
            .split('&')
            .any(|part| matches!(part, "watch=true" | "watch=1"))
    })
}

/// `/api/v1/nodes`, `/apis/apps/v1/namespaces/a/deployments` and the like, without an object's name.
fn is_collection(path: &str) -> bool {
    let mut segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let prefix = match segments.first() {
        Some(&"api") => 2,
        Some(&"apis") => 3,
        _ => return false,
    };
    segments.drain(..prefix.min(segments.len()));
    matches!(segments.as_slice(), [_] | ["namespaces", _, _])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_told_apart_by_path_and_query() {
        for (uri, expected) in [
            ("/api/v1/nodes", "list"),
            ("/api/v1/nodes?watch=true&resourceVersion=1", "watch"),
            ("/api/v1/nodes?watch=false", "list"),
            ("/api/v1/nodes/a", "get"),
            ("/api/v1/nodes/a/status", "get"),
            ("/api/v1/namespaces", "list"),
            ("/api/v1/namespaces/a", "get"),
            ("/api/v1/namespaces/a/pods", "list"),
            ("/api/v1/namespaces/a/pods/b", "get"),
            ("/apis/apps.kruise.io/v1alpha1/namespaces/a/clonesets", "list"),
            ("/apis/apps.kruise.io/v1alpha1/nodeimages/a", "get"),
            ("/apis", "get"),
            ("/version", "get"),
        ] {
            let request = Request::get(uri).body(()).unwrap();
            assert_eq!(verb(&request), expected, "{uri}");
        }
    }
}
