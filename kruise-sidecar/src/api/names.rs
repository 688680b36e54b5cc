//! Names on the wire that only SidecarSets have. Those that others share stand in [`kruise_core::api::names`].

pub use kruise_core::api::names::{
    GROUP, SIDECAR_VERSION_ALT_PREFIX, SIDECAR_VERSION_PREFIX, SIDECARSET_BASE, SIDECARSET_CANARY,
    SIDECARSET_CUSTOM_VERSION, SIDECARSET_HASH, SIDECARSET_HASH_WITHOUT_IMAGE, SIDECARSET_INJECTED_LIST,
    SIDECARSET_INPLACE_UPDATE_STATE, SIDECARSET_NAME, SIDECARSET_VERSION_ALT_ENV, SIDECARSET_VERSION_ENV,
    SIDECARSET_WORKING_HOTUPGRADE_CONTAINER,
};

/// Kind.
pub const KIND: &str = "SidecarSet";
/// Plural name of the resource.
pub const PLURAL: &str = "sidecarsets";
/// Name of the CustomResourceDefinition.
pub const DEFINITION: &str = "sidecarsets.apps.kruise.io";
/// The version that this crate works with, and the stored one.
pub const V1ALPHA1: &str = "v1alpha1";
/// The younger version.
pub const V1BETA1: &str = "v1beta1";
/// Group and version of [`V1ALPHA1`], as `apiVersion` carries them.
pub const API_VERSION: &str = "apps.kruise.io/v1alpha1";
/// Group and version of [`V1BETA1`].
pub const API_VERSION_V1BETA1: &str = "apps.kruise.io/v1beta1";
/// Annotation of a set that is shown as `v1beta1`: its `namespace` in `v1alpha1`. Not of OpenKruise.
pub const NAMESPACE_IN_V1ALPHA1: &str = "kruise.io/sidecarset-namespace-in-v1alpha1";

/// Environment variable that every injected container has, with the value [`IS_INJECTED_VALUE`].
pub const IS_INJECTED_ENV: &str = "IS_INJECTED";
/// Value of [`IS_INJECTED_ENV`].
pub const IS_INJECTED_VALUE: &str = "true";

/// End of the name of the first of the two containers of a hot-upgraded sidecar.
pub const HOT_UPGRADE_SUFFIX_1: &str = "-1";
/// End of the name of the second one.
pub const HOT_UPGRADE_SUFFIX_2: &str = "-2";

/// Type of a Pod condition: whether all sets that were injected can upgrade the Pod in place.
pub const SIDECARSET_UPGRADABLE: &str = "SidecarSetUpgradable";
/// Reason of [`SIDECARSET_UPGRADABLE`] when it is false.
pub const UPDATE_IMMUTABLE_FIELD: &str = "UpdateImmutableField";
/// Reason of [`SIDECARSET_UPGRADABLE`] when it is true.
pub const ALL_SIDECARSET_UPGRADABLE: &str = "AllSidecarsetUpgradable";
/// Reason of the Event on a set some of whose pods can not be upgraded in place.
pub const NOT_UPGRADABLE_PODS: &str = "NotUpgradablePods";
/// Reason of the Event on a Pod whose idle container got the empty image.
pub const RESET_CONTAINER_SUCCEED: &str = "ResetContainerSucceed";
/// Reason of the Event on a Pod where that failed.
pub const RESET_CONTAINER_FAILED: &str = "ResetContainerFailed";

/// Reason of the Event on a set that a pod was created without, since it could not be injected.
pub const INJECTION_SKIPPED: &str = "InjectionSkipped";

/// Label of a Namespace: its name.
pub const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// ConfigMap in the manager's namespace that holds [`PATCH_POD_METADATA_WHITELIST_KEY`].
pub const KRUISE_CONFIGURATION: &str = "kruise-configuration";
/// Key of the ConfigMap: which annotations sets may patch.
pub const PATCH_POD_METADATA_WHITELIST_KEY: &str = "SidecarSet_PatchPodMetadata_WhiteList";
