//! Admission of SidecarSets: the pure functions of [`api`](crate::api) behind OpenKruise's paths.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kruise_core::api::names::GROUP;
use kruise_core::runtime::{Cache, Causes};
use kruise_core::webhook::{
    Context, Conversion, Denial, Hook, Mutator, Operation, RouterBuilder, Rule, Validator, Warnings,
};

use super::live::LiveSets;
use crate::api::names::{DEFINITION, PATCH_POD_METADATA_WHITELIST_KEY, PLURAL, V1ALPHA1, V1BETA1};
use crate::api::{
    HashForm, PatchWhitelist, SidecarSet, SidecarSetConverter, ValidationContext, ValidationError, Whitelist,
    WhitelistError, default_sidecar_set, validate_conflicts, validate_sidecar_set, validate_update,
};

/// Path of the converter between versions of SidecarSet.
pub const CONVERT_PATH: &str = "/convert";

/// How long a set waits until its pods are sent.
const PATIENCE: Duration = Duration::from_secs(2);

type ReadWhitelist = Arc<dyn Fn() -> Result<Option<Arc<PatchWhitelist>>, WhitelistError> + Send + Sync>;

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
    /// Gate `SidecarSetPatchPodMetadataDefaultsAllowed`: a set for which no whitelist says anything may patch any annotation.
    /// Default: no.
    pub allow_any_metadata: bool,
    /// Gate `PodWebhook`: if it is off, new sets and changes of a spec are refused with 403. What is there can be read and
    /// deleted, and its metadata changed. Default: on.
    pub pod_webhook: bool,
    whitelist: Option<ReadWhitelist>,
    configuration: Option<Cache<ConfigMap>>,
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
            configuration: None,
        }
    }

    /// Asks there which annotations sets may patch, each time. `Ok(None)`: there is no whitelist. One that cannot be read
    /// allows none, and is logged.
    #[must_use]
    pub fn whitelist(
        mut self,
        read: impl Fn() -> Result<Option<Arc<PatchWhitelist>>, WhitelistError> + Send + Sync + 'static,
    ) -> Self {
        self.whitelist = Some(Arc::new(read));
        self
    }

    /// Takes which annotations sets may patch from OpenKruise's ConfigMap, of which the cache is made by
    /// [`configuration_cache`](super::configuration_cache).
    #[must_use]
    pub fn configuration(mut self, cache: &Cache<ConfigMap>) -> Self {
        self.configuration = Some(cache.clone());
        let cache = cache.clone();
        self.whitelist(move || read_whitelist(&cache))
    }

    fn errors(&self, old: Option<&SidecarSet>, set: &SidecarSet) -> Vec<ValidationError> {
        let whitelist = self.whitelist.as_ref().map_or(Ok(None), |read| read());
        let context = ValidationContext {
            whitelist: match &whitelist {
                Ok(None) => Whitelist::Absent,
                Ok(Some(whitelist)) => Whitelist::Is(whitelist),
                Err(error) => {
                    let error = Causes(error).to_string();
                    tracing::warn!(
                        error,
                        "which annotations SidecarSets may patch cannot be read, so they may patch none"
                    );
                    Whitelist::Unreadable
                }
            },
            allow_any_metadata: self.allow_any_metadata,
            revision_exists: if self.check_revisions {
                self.live.has_revision(set)
            } else {
                None
            },
        };
        let mut errors = validate_sidecar_set(set, &context);
        errors.extend(old.into_iter().flat_map(|old| validate_update(old, set)));
        let others = self.live.to_compare();
        errors.extend(validate_conflicts(set, others.iter().map(Arc::as_ref)));
        errors
    }
}

fn read_whitelist(cache: &Cache<ConfigMap>) -> Result<Option<Arc<PatchWhitelist>>, WhitelistError> {
    let map = cache.list().into_iter().next();
    let data = map.as_ref().and_then(|map| map.data.as_ref());
    let text = data.and_then(|data| data.get(PATCH_POD_METADATA_WHITELIST_KEY));
    text.map(|text| PatchWhitelist::parse(text).map(Arc::new))
        .transpose()
}

/// Where SidecarSets are converted, and what for: also for `withdraw_converter` of kruise-core, when the program is removed.
pub fn conversion() -> Conversion {
    Conversion::new(CONVERT_PATH, DEFINITION).serves(V1BETA1)
}

/// Adds defaulting, validation and conversion of SidecarSets to a router.
pub fn register_sets(router: RouterBuilder, rules: SetRules) -> RouterBuilder {
    router
        .mutate::<SidecarSet>(hook("mutate"), Defaults(rules.hash_form))
        .validate::<SidecarSet>(hook("validate"), rules)
        .convert(conversion(), SidecarSetConverter)
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
        if !self.pod_webhook {
            return self.without_pod_webhook(old, set);
        }
        // Without all sets, conflicts would be missed.
        if !self.live.is_synced() {
            self.live.synced().await;
        }
        if let Some(configuration) = &self.configuration {
            configuration.synced().await;
        }
        let errors = self.errors(old, set);
        if !errors.is_empty() {
            let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
            // Older kubectl does not show the message of 422.
            return Err(Denial::bad_request(texts.join("; ")));
        }
        if !context.dry_run && old.is_none_or(|old| old.spec != set.spec) {
            self.live.expect(set, PATIENCE).await;
        }
        Ok(Warnings::new())
    }
}

impl SetRules {
    fn without_pod_webhook(&self, old: Option<&SidecarSet>, set: &SidecarSet) -> Result<Warnings, Denial> {
        let unchanged = old.is_some_and(|old| {
            // As the mutator has done with the new one.
            let mut old = old.clone();
            default_sidecar_set(&mut old, self.hash_form);
            old.spec == set.spec
        });
        if unchanged {
            return Ok(Warnings::new());
        }
        Err(Denial::forbidden(
            "the feature gate PodWebhook is off, so no pod would be injected",
        ))
    }
}
