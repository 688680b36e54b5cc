//! What roles grant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use serde::Deserialize;

use super::requests::Request;
use super::{EXCUSE, without_node};

/// One verb on one resource, for one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Kind and name of the role, with its namespace if it has one.
    pub role: String,
    /// `namespace/name` of the service account.
    pub account: String,
    /// The verb; `*` is all.
    pub verb: String,
    /// The API group; empty is the core group.
    pub group: String,
    /// The resource, with `/subresource` if it is one.
    pub resource: String,
    /// The only object; `None` is all.
    pub name: Option<String>,
    /// The only namespace; `None` is the whole cluster.
    pub namespace: Option<String>,
}

impl Grant {
    /// Whether RBAC lets the request pass for this grant.
    pub fn allows(&self, request: &Request) -> bool {
        let is = |granted: &str, asked: &str| granted == "*" || granted == asked;
        self.account == request.account
            && is(&self.verb, &request.verb)
            && is(&self.group, &request.group)
            && is(&self.resource, &request.resource)
            && (self.name.is_none() || self.name == request.name)
            && (self.namespace.is_none() || self.namespace == request.namespace)
    }

    /// Larger for a narrower one.
    pub(super) fn narrowness(&self) -> (bool, bool) {
        (self.name.is_some(), self.namespace.is_some())
    }

    fn full_resource(&self) -> String {
        if self.group.is_empty() {
            self.resource.clone()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.role, self.verb, self.full_resource())?;
        self.name.iter().try_for_each(|name| write!(f, " {name}"))?;
        write!(f, ", for {}", self.account)
    }
}

/// A right that may be unused, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excuse {
    role: String,
    right: String,
    reason: String,
}

impl Excuse {
    pub(super) fn covers(&self, grant: &Grant) -> bool {
        self.role == grant.role && self.right == format!("{} {}", grant.verb, grant.full_resource())
    }
}

impl fmt::Display for Excuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.role, self.right, self.reason)
    }
}

/// The rights of the accounts of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// One for each verb, resource and name.
    pub granted: BTreeSet<Grant>,
    /// Of rights that may be unused.
    pub excuses: BTreeSet<Excuse>,
}

#[derive(Deserialize)]
struct List {
    items: Vec<Object>,
}

/// A role or a binding.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    kind: String,
    metadata: Metadata,
    #[serde(default)]
    rules: Option<Vec<PolicyRule>>,
    role_ref: Option<RoleRef>,
    #[serde(default)]
    subjects: Option<Vec<Subject>>,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    namespace: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl Grants {
    /// Reads lists of roles and bindings in JSON, as `kubectl get` prints them. Accounts of other namespaces are left out.
    ///
    /// # Errors
    /// It is no such list, or a binding names a role that is not in it, or an excuse has no reason.
    pub fn read(json: &str, namespace: &str) -> Result<Self> {
        let lists = serde_json::Deserializer::from_str(json).into_iter::<List>();
        let lists: Vec<List> = lists.collect::<Result<_, _>>().context("the list of roles")?;
        let objects: Vec<Object> = lists.into_iter().flat_map(|list| list.items).collect();
        let role_name = |kind: &str, namespace: Option<&str>, name: &str| match namespace {
            Some(namespace) if kind == "Role" => format!("{kind} {namespace}/{name}"),
            _ => format!("{kind} {name}"),
        };
        let roles: BTreeMap<String, &Object> = objects
            .iter()
            .filter(|object| object.role_ref.is_none())
            .map(|object| {
                let meta = &object.metadata;
                (
                    role_name(&object.kind, meta.namespace.as_deref(), &meta.name),
                    object,
                )
            })
            .collect();
        let mut grants = Self::default();
        for binding in &objects {
            let Some(target) = &binding.role_ref else { continue };
            let within = binding.metadata.namespace.as_deref();
            let accounts: Vec<String> = binding
                .subjects
                .iter()
                .flatten()
                .filter(|who| who.kind == "ServiceAccount" && who.namespace.as_deref() == Some(namespace))
                .map(|who| format!("{namespace}/{}", who.name))
                .collect();
            if accounts.is_empty() {
                continue;
            }
            let name = role_name(&target.kind, within, &target.name);
            let role = roles.get(&name).with_context(|| format!("there is no {name}"))?;
            for account in accounts {
                grants.add(&name, role, &account, within)?;
            }
        }
        Ok(grants)
    }

    fn add(&mut self, role: &str, object: &Object, account: &str, namespace: Option<&str>) -> Result<()> {
        let (_, node_less) = without_node(account, Some(role));
        let role = node_less.unwrap_or_default();
        for line in object
            .metadata
            .annotations
            .get(EXCUSE)
            .iter()
            .flat_map(|text| text.lines())
        {
            let Some((right, reason)) = line.split_once(": ") else {
                bail!("{role}: {EXCUSE}: no reason in: {line}");
            };
            self.excuses.insert(Excuse {
                role: role.clone(),
                right: right.trim().to_owned(),
                reason: reason.trim().to_owned(),
            });
        }
        for rule in object.rules.iter().flatten() {
            let names: Vec<Option<&str>> = match &rule.resource_names {
                Some(names) if !names.is_empty() => names.iter().map(|name| Some(name.as_str())).collect(),
                _ => vec![None],
            };
            for (group, resource) in rule.api_groups.iter().flatten().flat_map(|group| {
                let resources = rule.resources.iter().flatten();
                resources.map(move |resource| (group, resource))
            }) {
                for (verb, name) in rule
                    .verbs
                    .iter()
                    .flat_map(|verb| names.iter().map(move |name| (verb, *name)))
                {
                    let (account, name) = without_node(account, name);
                    self.granted.insert(Grant {
                        role: role.clone(),
                        account,
                        verb: verb.clone(),
                        group: group.clone(),
                        resource: resource.clone(),
                        name,
                        namespace: namespace.map(str::to_owned),
                    });
                }
            }
        }
        Ok(())
    }
}
