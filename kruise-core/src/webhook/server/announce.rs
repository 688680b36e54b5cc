//! What the webhook configurations should say.

use base64::Engine;
use serde_json::{Value, json};

use crate::runtime::ConfigError;
use crate::webhook::{Conversion, Hook, HookKind, Router, Scope, Scopes};

/// How the API server reaches the webhook server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Through a Service of the cluster.
    Service {
        /// Namespace of the Service.
        namespace: String,
        /// Name of the Service.
        name: String,
        /// Port of the Service, usually 443.
        port: u16,
    },
    /// Directly.
    Url {
        /// DNS name, or IP address (version 6 without brackets).
        host: String,
        /// Port.
        port: u16,
    },
}

impl Target {
    /// The name that the certificate must be for.
    pub fn host(&self) -> String {
        match self {
            Self::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
            Self::Url { host, .. } => host.clone(),
        }
    }

    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        let (field, empty) = match self {
            Self::Service {
                namespace,
                name,
                port,
            } => (
                "target.service",
                namespace.is_empty() || name.is_empty() || *port == 0,
            ),
            Self::Url { host, port } => ("target.url", host.is_empty() || *port == 0),
        };
        if empty {
            return Err(ConfigError::new(field, "must not have empty parts"));
        }
        if super::material::server_name(&self.host()).is_err() {
            return Err(ConfigError::new(field, "must give a DNS name or an IP address"));
        }
        Ok(())
    }

    pub(super) fn client_config(&self, path: &str, authority: &str) -> Value {
        let bundle = base64::engine::general_purpose::STANDARD.encode(authority);
        match self {
            Self::Service {
                namespace,
                name,
                port,
            } => json!({
                "caBundle": bundle,
                "service": { "namespace": namespace, "name": name, "path": path, "port": port },
            }),
            Self::Url { host, port } => {
                let host = if host.contains(':') {
                    format!("[{host}]")
                } else {
                    host.clone()
                };
                json!({ "caBundle": bundle, "url": format!("https://{host}:{port}{path}") })
            }
        }
    }
}

/// The `webhooks` of one configuration; `scopes` says which ones a hook has whose scopes change. Everything that the API server
/// would fill in is there already, so that what it stores is equal to this.
pub(crate) fn webhooks(
    router: &Router,
    kind: HookKind,
    target: &Target,
    authority: &str,
    mut scopes: impl FnMut(&Hook, &Scopes) -> Vec<Scope>,
) -> Vec<Value> {
    let mut entries = Vec::new();
    for (of, hook) in router.hooks() {
        if of != kind || hook.rules.is_empty() {
            continue;
        }
        let Some(changing) = &hook.scopes else {
            entries.push(webhook(hook, kind, target, authority));
            continue;
        };
        for (at, scope) in scopes(hook, changing).into_iter().enumerate() {
            let mut hook = hook.clone();
            hook.name = entry_name(&hook.name, at);
            hook.namespace_selector = scope.namespaces;
            hook.object_selector = scope.objects;
            entries.push(webhook(&hook, kind, target, authority));
        }
    }
    entries
}

/// Entries of one hook have different names, as they must within a configuration.
fn entry_name(hook: &str, at: usize) -> String {
    match at {
        0 => hook.to_owned(),
        at => format!("s{}.{hook}", at + 1),
    }
}

/// The scopes that a hook has in a configuration with these `webhooks`.
pub(crate) fn scopes_of(hook: &Hook, webhooks: &[Value]) -> Vec<Scope> {
    let selector = |webhook: &Value, field| {
        let selector = webhook.get(field).cloned().unwrap_or_default();
        // One that cannot be read takes all.
        serde_json::from_value(selector).unwrap_or_default()
    };
    let mut scopes = Vec::new();
    for webhook in webhooks {
        let name = webhook.get("name").and_then(Value::as_str);
        if name == Some(&entry_name(&hook.name, scopes.len())) {
            scopes.push(Scope {
                namespaces: selector(webhook, "namespaceSelector"),
                objects: selector(webhook, "objectSelector"),
            });
        }
    }
    scopes
}

/// The `spec.conversion` of a definition.
pub(crate) fn conversion(conversion: &Conversion, target: &Target, authority: &str) -> Value {
    json!({
        "strategy": "Webhook",
        "webhook": {
            "clientConfig": target.client_config(&conversion.path, authority),
            "conversionReviewVersions": ["v1"],
        },
    })
}

fn webhook(hook: &Hook, kind: HookKind, target: &Target, authority: &str) -> Value {
    let rules = hook.rules.iter().map(|rule| {
        json!({
            "apiGroups": rule.groups,
            "apiVersions": rule.versions,
            "resources": rule.resources,
            "operations": rule.operations.iter().map(|operation| operation.as_str()).collect::<Vec<_>>(),
            "scope": "*",
        })
    });
    let mut webhook = json!({
        "name": hook.name,
        "admissionReviewVersions": ["v1"],
        "clientConfig": target.client_config(&hook.path, authority),
        "rules": rules.collect::<Vec<_>>(),
        "failurePolicy": hook.on_failure.policy(),
        "timeoutSeconds": hook.timeout_seconds(),
        "sideEffects": "None",
        "matchPolicy": "Equivalent",
        "namespaceSelector": hook.namespace_selector,
        "objectSelector": hook.object_selector,
    });
    if let (HookKind::Mutating, Some(fields)) = (kind, webhook.as_object_mut()) {
        fields.insert("reinvocationPolicy".to_owned(), json!("Never"));
    }
    webhook
}
