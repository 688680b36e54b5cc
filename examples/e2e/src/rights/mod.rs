//! Holds the rights that roles grant to our programs against what the programs asked for, as the API server's audit log has it.
//!
//! A request counts for the narrowest grant that allows it: one of a name before one of all names, one of a namespace before one of
//! the cluster. Grants that no request counts for are unused; an annotation of the role, [`EXCUSE`], may say why that is well.
//!
//! Where the chart is uninstalled and upgraded, roles go before the programs do: whoever uninstalls it takes roles away from programs that
//! are still about to stop, and an upgrade that turns features off does so before the old pods are gone. Of a log that says so
//! ([`Request::roles_change`]), a refused request that a grant allows is no missing right.

mod grants;
mod requests;

use std::collections::BTreeSet;

use anyhow::Result;

pub use grants::{Excuse, Grant, Grants};
pub use requests::{Request, requests};

/// Annotation of a role: lines `VERB RESOURCE[.GROUP]: REASON` of rights that the tests do not use.
pub const EXCUSE: &str = "kruise.io/unused-in-tests";

/// Accounts of the agents of single nodes are this and the name of the node; they count as one.
const AGENT_OF_NODE: &str = "kruise-daemon-";

/// What stands for the name of the node of such an agent.
const NODE: &str = "NODE";

/// What the comparison has found; each entry is a line for people.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Requests that were refused.
    pub denied: BTreeSet<String>,
    /// Rights that nothing used.
    pub unused: BTreeSet<String>,
    /// Excuses for rights that are used, or that the role does not grant.
    pub stale: BTreeSet<String>,
    /// How many rights there are.
    pub granted: usize,
    /// Requests that were refused while the role was away.
    pub away: BTreeSet<String>,
    /// How many requests were looked at.
    pub requests: usize,
}

impl Findings {
    /// Whether all is well.
    pub fn is_clean(&self) -> bool {
        self.denied.is_empty() && self.unused.is_empty() && self.stale.is_empty()
    }
}

/// Compares all requests with all grants.
///
/// # Errors
/// A request could not be read.
pub fn compare(grants: &Grants, requests: impl IntoIterator<Item = Result<Request>>) -> Result<Findings> {
    let mut findings = Findings {
        granted: grants.granted.len(),
        ..Findings::default()
    };
    let mut used = BTreeSet::new();
    for request in requests {
        let request = request?;
        findings.requests += 1;
        let matching = || grants.granted.iter().filter(|grant| grant.allows(&request));
        if !request.allowed {
            let away = request.roles_change && matching().next().is_some();
            let list = if away {
                &mut findings.away
            } else {
                &mut findings.denied
            };
            list.insert(request.to_string());
            continue;
        }
        if let Some(narrowest) = matching().map(Grant::narrowness).max() {
            used.extend(matching().filter(|grant| grant.narrowness() == narrowest));
        }
    }
    let mut needed = BTreeSet::new();
    for grant in grants.granted.iter().filter(|grant| !used.contains(grant)) {
        let excuse = grants.excuses.iter().find(|excuse| excuse.covers(grant));
        match excuse {
            Some(excuse) => drop(needed.insert(excuse)),
            None => drop(findings.unused.insert(grant.to_string())),
        }
    }
    for excuse in grants.excuses.iter().filter(|excuse| !needed.contains(excuse)) {
        findings.stale.insert(excuse.to_string());
    }
    Ok(findings)
}

/// The names of an agent's node, if the account is one's, become one and the same.
fn without_node(account: &str, name: Option<&str>) -> (String, Option<String>) {
    let owned = name.map(str::to_owned);
    let (space, short) = account.split_once('/').unwrap_or(("", account));
    match short.strip_prefix(AGENT_OF_NODE) {
        Some(node) => {
            let name = owned.map(|name| name.replace(node, NODE));
            (format!("{space}/{AGENT_OF_NODE}{NODE}"), name)
        }
        None => (account.to_owned(), owned),
    }
}

#[cfg(test)]
mod tests;
