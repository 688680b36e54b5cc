//! Lets a node agent write the status of its own NodeImage only, where all agents share one service account.
//!
//! RBAC can not say it: the agents of a DaemonSet have one account. But the token of each is bound to its pod, and a pod is
//! bound to a node; newer API servers even name the node. Where each node has an account of its own,
//! [`rbac::agent_of`](crate::rbac::agent_of) says it all, reading included, and this is not needed.

use k8s_openapi::api::authentication::v1::UserInfo;
use kruise_core::api::names::GROUP;
use kruise_core::runtime::{Cache, ObjectKey, SlimPod};
use kruise_core::webhook::{Context, Denial, Hook, Operation, RouterBuilder, Rule, Validator, Warnings};
use serde::de::IgnoredAny;

use crate::api::VERSION;

/// What the API server tells of tokens that are bound to pods.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
/// Told by API servers from version 1.30 on.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Adds the guard to a router.
pub fn register(router: RouterBuilder, guard: NodeGuard) -> RouterBuilder {
    let path = format!("/validate-apps-kruise-io-{VERSION}-nodeimage-status");
    let rule = Rule::new(GROUP, VERSION, "nodeimages/status", &[Operation::Update]);
    router.validate::<IgnoredAny>(Hook::new(path, "vnodeimagestatus.kb.io", vec![rule]), guard)
}

/// Refuses agents the status of other nodes. Users who are no agents pass: RBAC decides about them.
#[derive(Clone, Debug)]
pub struct NodeGuard {
    namespace: String,
    account: String,
    pods: Cache<SlimPod>,
}

impl NodeGuard {
    /// Makes a guard for the agents of this service account; `pods` holds at least the pods of its namespace.
    pub fn new(namespace: &str, account: &str, pods: Cache<SlimPod>) -> Self {
        Self {
            namespace: namespace.to_owned(),
            account: format!("system:serviceaccount:{namespace}:{account}"),
            pods,
        }
    }

    /// Returns the node of the agent that asks, `None` if it is no agent.
    ///
    /// # Errors
    /// It is one, and its node is not known.
    fn node_of(&self, user: &UserInfo) -> Result<Option<String>, Denial> {
        if user.username.as_deref() != Some(&self.account) {
            return Ok(None);
        }
        let told = |key: &str| user.extra.as_ref()?.get(key)?.first().cloned();
        if let Some(node) = told(NODE_NAME) {
            return Ok(Some(node));
        }
        let (Some(name), Some(uid)) = (told(POD_NAME), told(POD_UID)) else {
            return Err(Denial::forbidden(
                "the token of this node agent is bound to no pod, so nobody knows its node: mount a projected service account token",
            ));
        };
        let pod = self
            .pods
            .get(&ObjectKey::new(self.namespace.as_str(), name.as_str()));
        match pod
            .filter(|pod| *pod.uid == *uid)
            .and_then(|pod| pod.node_name.clone())
        {
            Some(node) => Ok(Some(node.into())),
            None => Err(Denial::forbidden(format!(
                "the pod {name} of this node agent is not known yet: try again"
            ))),
        }
    }
}

impl Validator<IgnoredAny> for NodeGuard {
    async fn validate(
        &self,
        context: &Context<IgnoredAny>,
        _: Option<&IgnoredAny>,
    ) -> Result<Warnings, Denial> {
        let own = self.node_of(&context.user)?;
        let name = context.name.as_deref().unwrap_or_default();
        match own {
            Some(own) if own != name => Err(Denial::forbidden(format!(
                "the agent of node {own} may not write the status of node {name}"
            ))),
            _ => Ok(Warnings::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kruise_core::testing::build::PodBuilder;

    fn guard() -> NodeGuard {
        let mut pod = PodBuilder::new("daemon-x")
            .namespace("kruise-system")
            .on_node("a")
            .build();
        pod.metadata.uid = Some("u1".into());
        pod.metadata.resource_version = Some("1".into());
        let (pods, _) = Cache::offline([SlimPod::from_pod(&pod).expect("a pod")]);
        NodeGuard::new("kruise-system", "kruise-daemon", pods)
    }

    fn user(name: &str, extra: &[(&str, &str)]) -> UserInfo {
        let extra = extra
            .iter()
            .map(|(key, value)| ((*key).to_owned(), vec![(*value).to_owned()]));
        UserInfo {
            username: Some(name.to_owned()),
            extra: Some(extra.collect()),
            ..UserInfo::default()
        }
    }

    const AGENT: &str = "system:serviceaccount:kruise-system:kruise-daemon";

    #[test]
    fn the_node_of_an_agent_is_that_of_the_pod_its_token_is_bound_to() {
        let node = |user: UserInfo| guard().node_of(&user).ok().flatten();
        let bound = user(AGENT, &[(POD_NAME, "daemon-x"), (POD_UID, "u1")]);
        assert_eq!(node(bound).as_deref(), Some("a"));
        assert_eq!(node(user(AGENT, &[(NODE_NAME, "b")])).as_deref(), Some("b"));
    }

    #[test]
    fn an_agent_without_a_known_pod_is_refused() {
        for extra in [
            &[][..],
            &[(POD_NAME, "daemon-x")],
            &[(POD_NAME, "daemon-x"), (POD_UID, "an older pod of this name")],
            &[(POD_NAME, "daemon-y"), (POD_UID, "u1")],
        ] {
            assert!(guard().node_of(&user(AGENT, extra)).is_err(), "{extra:?}");
        }
    }

    #[test]
    fn who_is_no_agent_is_left_to_rbac() {
        for name in [
            "admin",
            "system:serviceaccount:other:kruise-daemon",
            "system:serviceaccount:kruise-system:kruise-manager",
        ] {
            assert!(matches!(
                guard().node_of(&user(name, &[(NODE_NAME, "b")])),
                Ok(None)
            ));
        }
    }
}
