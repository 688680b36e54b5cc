//! Admission of SidecarSets: the pure functions of [`api`](crate::api) behind OpenKruise's paths.

use std::fmt;
use std::sync::Arc;

use kruise_core::api::names::GROUP;
use kruise_core::webhook::{
    Context, Conversion, Denial, Hook, Mutator, Operation, RouterBuilder, Rule, Validator, Warnings,
};

use super::live::LiveSets;
use crate::api::names::{DEFINITION, PLURAL, V1ALPHA1};
use crate::api::{
    HashForm, PatchWhitelist, SidecarSet, SidecarSetConverter, ValidationContext, ValidationError,
    default_sidecar_set, validate_conflicts, validate_sidecar_set, validate_update,
};

/// Path of the converter between versions of SidecarSet.
pub const CONVERT_PATH: &str = "/convert";

type Whitelist = Arc<dyn Fn() -> Option<Arc<PatchWhitelist>> + Send + Sync>;

/// What SidecarSets are judged by.
#[derive(Clone)]
#[non_exhaustive]
pub struct SetRules {
    /// The sets that there are, for conflicts between them, and revisions.
    pub live: LiveSets,
    /// Form of the hashes. Default: that of OpenKruise since 1.7.
    pub hash_form: HashForm,
    /// Whether `injectionStrategy.revision` must name a revision that is there. Only with a [`LiveSets`] that follows
    /// revisions. Default: no.
    pub check_revisions: bool,
    /// Gate `SidecarSetPatchPodMetadataDefaultsAllowed`: without a whitelist, sets may patch any annotation. Default: no.
    pub allow_any_metadata: bool,
    /// Gate `PodWebhook`: if it is off, who writes a set is warned that no pod is injected. Default: on.
    pub pod_webhook: bool,
    whitelist: Option<Whitelist>,
}

impl fmt::Debug for SetRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SetRules")
            .field("hash_form", &self.hash_form)
            .field("allow_any_metadata", &self.allow_any_metadata)
            .field("pod_webhook", &self.pod_webhook)
            .finish_non_exhaustive()
    }
}

impl SetRules {
    /// The defaults.
    pub fn new(live: LiveSets) -> Self {
        Self {
            live,
            hash_form: HashForm::default(),
            check_revisions: false,
            allow_any_metadata: false,
            pod_webhook: true,
            whitelist: None,
        }
    }

    /// Asks there which annotations sets may patch, each time.
    #[must_use]
    pub fn whitelist(
        mut self,
        read: impl Fn() -> Option<Arc<PatchWhitelist>> + Send + Sync + 'static,
    ) -> Self {
        self.whitelist = Some(Arc::new(read));
        self
    }

    fn errors(&self, old: Option<&SidecarSet>, set: &SidecarSet) -> Vec<ValidationError> {
        let whitelist = self.whitelist.as_ref().and_then(|read| read());
        let context = ValidationContext {
            whitelist: whitelist.as_deref(),
            allow_any_metadata: self.allow_any_metadata,
            revision_exists: if self.check_revisions {
                self.live.has_revision(set)
            } else {
                None
            },
        };
        let mut errors = validate_sidecar_set(set, &context);
        errors.extend(old.into_iter().flat_map(|old| validate_update(old, set)));
        let others = self.live.sets();
        errors.extend(validate_conflicts(set, others.iter().map(Arc::as_ref)));
        errors
    }
}

/// Adds defaulting, validation and conversion of SidecarSets to a router.
pub fn register_sets(router: RouterBuilder, rules: SetRules) -> RouterBuilder {
    let conversion = Conversion::new(CONVERT_PATH, DEFINITION);
    router
        .mutate::<SidecarSet>(hook("mutate"), Defaults(rules.hash_form))
        .validate::<SidecarSet>(hook("validate"), rules)
        .convert(conversion, SidecarSetConverter)
}

fn hook(verb: &str) -> Hook {
    let path = format!("/{verb}-apps-kruise-io-{V1ALPHA1}-sidecarset");
    let letter = verb.get(..1).unwrap_or_default();
    // Those of v1beta1 come converted, as the API server's match policy has it.
    let rule = Rule::new(GROUP, V1ALPHA1, PLURAL, &[Operation::Create, Operation::Update]);
    Hook::new(path, format!("{letter}sidecarset.kb.io"), vec![rule])
}

struct Defaults(HashForm);

impl Mutator<SidecarSet> for Defaults {
    async fn mutate(&self, _: &Context<SidecarSet>, set: &mut SidecarSet) -> Result<Warnings, Denial> {
        default_sidecar_set(set, self.0);
        Ok(Warnings::new())
    }
}

impl Validator<SidecarSet> for SetRules {
    async fn validate(
        &self,
        context: &Context<SidecarSet>,
        set: Option<&SidecarSet>,
    ) -> Result<Warnings, Denial> {
        let Some(set) = set else {
            return Ok(Warnings::new());
        };
        let old = context.old.as_ref();
        // What is being deleted may be anything: only its finalizers change.
        if old.is_some() && set.metadata.deletion_timestamp.is_some() {
            return Ok(Warnings::new());
        }
        // Without all sets, conflicts would be missed.
        if !self.live.is_synced() {
            self.live.synced().await;
        }
        let errors = self.errors(old, set);
        if !errors.is_empty() {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            return Err(Denial::invalid(texts.join("; ")));
        }
        if self.pod_webhook {
            return Ok(Warnings::new());
        }
        Ok(vec![
            "the feature gate PodWebhook is off, so no pod is injected".to_owned(),
        ])
    }
}
