//! Lists: which snapshot, which objects, which page.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::kinds::{Kind, Version};
use super::route::Query;
use super::select::Selection;
use super::status::{ApiError, Cause};
use super::store::{Compacted, Key, Store};

/// What a list asks for.
#[derive(Debug)]
pub(crate) struct ListRequest {
    pub(crate) namespace: Option<String>,
    pub(crate) selection: Selection,
    limit: usize,
    at: At,
    after: Option<Key>,
}

/// Which state of the world is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Latest,
    NotOlderThan(u64),
    Exact(u64),
}

/// Objects of one page, and where the next one begins.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) objects: Vec<Arc<Value>>,
    pub(crate) revision: u64,
    /// Token and number of remaining objects; the number is known only without selectors.
    pub(crate) next: Option<(String, Option<usize>)>,
}

impl ListRequest {
    pub(crate) fn parse(
        kind: &Kind,
        version: &Version,
        namespace: Option<&str>,
        query: &Query,
    ) -> Result<Self, ApiError> {
        let selection = Selection::new(
            kind,
            version,
            query.get("labelSelector"),
            query.get("fieldSelector"),
        )?;
        let limit = parse_number(query, "limit")?.unwrap_or_default();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let revision = parse_revision(query)?;
        let mode = query.get("resourceVersionMatch");
        let continued = query.get("continue").map(parse_continue).transpose()?;
        check_match(query, revision)?;
        let (at, after) = match (continued, revision, mode) {
            (Some(_), Some(1..), _) => {
                return Err(ApiError::bad_request(
                    "specifying resource version is not allowed when using continue",
                ));
            }
            (Some((revision, after)), ..) => (At::Exact(revision), Some(after)),
            (None, None, _) => (At::Latest, None),
            (None, Some(0), Some("Exact")) => {
                return Err(invalid_options(
                    "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
                ));
            }
            (None, Some(0), _) => (At::Latest, None),
            (None, Some(revision), Some("Exact")) => (At::Exact(revision), None),
            // Without a mode, a limit makes a positive version exact.
            (None, Some(revision), None) if limit > 0 => (At::Exact(revision), None),
            (None, Some(revision), _) => (At::NotOlderThan(revision), None),
        };
        // What may come from the watch cache comes whole.
        let whole = after.is_none() && revision == Some(0) && mode.is_none();
        Ok(Self {
            namespace: namespace.map(str::to_owned),
            selection,
            limit: if whole { 0 } else { limit },
            at,
            after,
        })
    }

    /// `stale_to` answers from an older snapshot where the request allows one.
    pub(crate) fn run(&self, kind: &Kind, store: &Store, stale_to: Option<u64>) -> Result<Page, ApiError> {
        let current = store.revision();
        let revision = match self.at {
            At::Latest => stale_to.map_or(current, |stale| stale.min(current)),
            At::NotOlderThan(asked) | At::Exact(asked) if asked > current => {
                return Err(ApiError::version_too_large(asked, current));
            }
            At::NotOlderThan(asked) => stale_to.map_or(current, |stale| stale.clamp(asked, current)),
            At::Exact(asked) => asked,
        };
        let revision = revision.max(if self.at == At::Latest {
            store.compacted()
        } else {
            0
        });
        let snapshot = store
            .snapshot(&kind.resource, revision)
            .map_err(|Compacted| match self.after {
                Some(_) => ApiError::expired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter."),
                None => ApiError::expired("The resourceVersion for the provided list is too old."),
            })?;
        let mut matching = snapshot.iter().filter(|(key, object)| {
            self.namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == key.namespace)
                && self.after.as_ref().is_none_or(|after| *key > after)
                && self.selection.matches(object)
        });
        if self.limit == 0 {
            let objects = matching.map(|(_, object)| object.clone()).collect();
            return Ok(Page {
                objects,
                revision,
                next: None,
            });
        }
        let page: Vec<_> = matching.by_ref().take(self.limit).collect();
        let remaining = matching.count();
        let next = page.last().filter(|_| remaining > 0).map(|(key, _)| {
            let remaining = Some(remaining).filter(|_| self.selection.is_everything());
            (make_continue(revision, key), remaining)
        });
        Ok(Page {
            objects: page.into_iter().map(|(_, object)| object.clone()).collect(),
            revision,
            next,
        })
    }
}

impl Page {
    pub(crate) fn to_value(&self, kind: &Kind, version: &str, show: impl Fn(&Value) -> Value) -> Value {
        let mut metadata = json!({ "resourceVersion": self.revision.to_string() });
        if let Some((token, remaining)) = &self.next {
            metadata["continue"] = json!(token);
            if let Some(remaining) = remaining {
                metadata["remainingItemCount"] = json!(remaining);
            }
        }
        let items: Vec<_> = self.objects.iter().map(|object| show(object)).collect();
        json!({
            "kind": kind.list_kind,
            "apiVersion": kind.api_version(version),
            "metadata": metadata,
            "items": items,
        })
    }
}

pub(crate) fn invalid_options(why: &str) -> ApiError {
    let cause = Cause::forbidden("resourceVersionMatch", why);
    ApiError::invalid("meta.k8s.io", "ListOptions", "", vec![cause])
}

fn check_match(query: &Query, revision: Option<u64>) -> Result<(), ApiError> {
    match (query.get("resourceVersionMatch"), revision) {
        (None, _) => Ok(()),
        (Some(_), _) if query.get("continue").is_some() => Err(invalid_options(
            "resourceVersionMatch is forbidden when continue is provided",
        )),
        (Some(_), None) => Err(invalid_options(
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        )),
        (Some("Exact" | "NotOlderThan"), Some(_)) => Ok(()),
        (Some(other), Some(_)) => {
            let known = ["\"Exact\"", "\"NotOlderThan\"", "\"\""].map(str::to_owned);
            let cause = Cause::unsupported("resourceVersionMatch", &json!(other), &known);
            Err(ApiError::invalid("meta.k8s.io", "ListOptions", "", vec![cause]))
        }
    }
}

/// The resourceVersion asked for. A malformed one is a 500 on the real server, and so here.
pub(crate) fn parse_revision(query: &Query) -> Result<Option<u64>, ApiError> {
    let Some(text) = query.get("resourceVersion") else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let message = format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        );
        ApiError::new(500, "", message)
    })
}

pub(crate) fn parse_number(query: &Query, key: &str) -> Result<Option<u64>, ApiError> {
    let Some(text) = query.get(key) else {
        return Ok(None);
    };
    text.parse()
        .map(Some)
        .map_err(|_| ApiError::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
}

fn make_continue(revision: u64, key: &Key) -> String {
    URL_SAFE_NO_PAD.encode(json!({ "rv": revision, "ns": key.namespace, "name": key.name }).to_string())
}

fn parse_continue(token: &str) -> Result<(u64, Key), ApiError> {
    let value: Option<Value> = URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let parsed = value.as_ref().and_then(|value| {
        let key = Key::new(value["ns"].as_str()?, value["name"].as_str()?);
        Some((value["rv"].as_u64()?, key))
    });
    parsed.ok_or_else(|| ApiError::bad_request("invalid continue token: continue key is not valid"))
}
