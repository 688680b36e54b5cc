//! What programs asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::io::BufRead;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::without_node;

/// A request of one of our programs to the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// `namespace/name` of the service account.
    pub account: String,
    /// What it calls itself.
    pub agent: String,
    /// Such as `watch`.
    pub verb: String,
    /// The API group; empty is the core group.
    pub group: String,
    /// With `/subresource`, if it is one.
    pub resource: String,
    /// The object, if the request names one.
    pub name: Option<String>,
    /// The namespace, if the request is for one.
    pub namespace: Option<String>,
    /// Whether RBAC let it pass.
    pub allowed: bool,
    /// It was made where roles come and go.
    pub roles_change: bool,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        self.name.iter().try_for_each(|name| write!(f, " {name}"))?;
        self.namespace
            .iter()
            .try_for_each(|space| write!(f, " in {space}"))?;
        write!(f, ", by {} ({})", self.account, self.agent)
    }
}

/// One line of the audit log, as far as it matters.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    verb: String,
    user: User,
    #[serde(default)]
    user_agent: String,
    object_ref: Option<ObjectRef>,
    stage_timestamp: String,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: Option<String>,
    name: Option<String>,
    api_group: String,
}

/// Reads the requests of our programs with accounts of this namespace out of an audit log, from a time on (as the log writes times).
/// Tests that borrow an account call themselves otherwise and are left out, and so are requests for no resource. `roles_change` says
/// whether the log is that of a cluster where roles come and go.
pub fn requests(
    log: impl BufRead,
    namespace: &str,
    since: &str,
    roles_change: bool,
) -> impl Iterator<Item = Result<Request>> {
    let prefix = format!("system:serviceaccount:{namespace}:");
    log.lines().filter_map(move |line| {
        let line = match line.context("the audit log") {
            Ok(line) if line.is_empty() => return None,
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let parsed = serde_json::from_str::<Line>(&line).with_context(|| format!("the audit log: {line}"));
        let line = match parsed {
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        let account = line.user.username.strip_prefix(&prefix)?;
        let ours = line.user_agent.starts_with("kruise-") && *line.stage_timestamp >= *since;
        let what = line.object_ref.filter(|_| ours)?;
        let (account, name) = without_node(&format!("{namespace}/{account}"), what.name.as_deref());
        let resource = match what.subresource.as_str() {
            "" => what.resource,
            sub => format!("{}/{sub}", what.resource),
        };
        let decision = line.annotations.get("authorization.k8s.io/decision");
        Some(Ok(Request {
            account,
            agent: line.user_agent,
            verb: line.verb,
            group: what.api_group,
            resource,
            name,
            namespace: what.namespace,
            allowed: decision.is_none_or(|decision| decision != "forbid"),
            roles_change,
        }))
    })
}
