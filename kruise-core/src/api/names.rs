//! Names on the wire: one constant each, exactly as OpenKruise spells them.

/// The API group of all custom resources.
pub const GROUP: &str = "apps.kruise.io";
/// The namespace where OpenKruise is installed.
pub const SYSTEM_NAMESPACE: &str = "kruise-system";
/// The user agent of the manager; controllers add `/<controller>`. Also the name of its leader election lease.
pub const MANAGER: &str = "kruise-manager";
/// The name of the node agent, by which runtimes are told who pulls.
pub const DAEMON: &str = "kruise-daemon";

/// Finalizer (and label key of protected objects) that keeps an object until a controller has cleaned up after it.
pub const DELETION_PROTECTION: &str = "apps.kruise.io/deletion-protection";

/// Label of what a controller has made, and of some of the makers: hash of the template it was made from.
pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";

/// Annotation of a SidecarSet: hash of its spec. Of a Pod: JSON object from set name to the hash that was injected.
pub const SIDECARSET_HASH: &str = "kruise.io/sidecarset-hash";
/// Like [`SIDECARSET_HASH`], with the images left out of the hash.
pub const SIDECARSET_HASH_WITHOUT_IMAGE: &str = "kruise.io/sidecarset-hash-without-image";
/// Annotation of a Pod: names of the injected SidecarSets, separated by commas.
pub const SIDECARSET_INJECTED_LIST: &str = "kruise.io/sidecarset-injected-list";
/// Annotation of a Pod: JSON object from set name to the in-place update under way.
pub const SIDECARSET_INPLACE_UPDATE_STATE: &str = "kruise.io/sidecarset-inplace-update-state";
/// Annotation of a Pod: JSON object from hot-upgraded sidecar to its container that works now.
pub const SIDECARSET_WORKING_HOTUPGRADE_CONTAINER: &str = "kruise.io/sidecarset-working-hotupgrade-container";
/// Label of a ControllerRevision: the SidecarSet that it belongs to.
pub const SIDECARSET_NAME: &str = "kruise.io/sidecarset-name";
/// Label of a SidecarSet and its revisions: the version that users gave it.
pub const SIDECARSET_CUSTOM_VERSION: &str = "apps.kruise.io/sidecarset-custom-version";
/// Annotation of a SidecarSet: `true` if it is a canary of another.
pub const SIDECARSET_CANARY: &str = "apps.kruise.io/sidecarset-canary";
/// Annotation of a canary SidecarSet: the set that it stands in for.
pub const SIDECARSET_BASE: &str = "apps.kruise.io/sidecarset-base";
/// Prefix of a Pod annotation, followed by a container's name: version of the hot-upgraded container.
pub const SIDECAR_VERSION_PREFIX: &str = "version.sidecarset.kruise.io/";
/// Prefix of a Pod annotation, followed by a container's name: version of the container's other half.
pub const SIDECAR_VERSION_ALT_PREFIX: &str = "versionalt.sidecarset.kruise.io/";
/// Environment variable of hot-upgraded containers that shows [`SIDECAR_VERSION_PREFIX`].
pub const SIDECARSET_VERSION_ENV: &str = "SIDECARSET_VERSION";
/// Environment variable of hot-upgraded containers that shows [`SIDECAR_VERSION_ALT_PREFIX`].
pub const SIDECARSET_VERSION_ALT_ENV: &str = "SIDECARSET_VERSION_ALT";

/// Label of a NodeImage, with any value: keep it although no Node has its name.
pub const FAKE_NODE_IMAGE: &str = "apps.kruise.io/fake-nodeimage";
/// Annotation of a copied pull Secret: `namespace/name` of its source.
pub const SOURCE_SECRET_KEY: &str = "imagepulljobs.kruise.io/source-key";
/// Label of a copied pull Secret, no longer written: uid of its source.
pub const SOURCE_SECRET_UID: &str = "imagepulljobs.kruise.io/source-uid";
/// Annotation of a copied pull Secret: the jobs that use it, `namespace/name`, separated by commas.
pub const SECRET_REFERENCES: &str = "imagepulljobs.kruise.io/references";
/// Annotation of the sandbox in a pull request to the container runtime: who pulls.
pub const PULLING_IMAGE_BY: &str = "apps.kruise.io/pulling-image-by";
/// Annotation of a workload: how many nodes pull its new images at once.
pub const IMAGE_PREDOWNLOAD_PARALLELISM: &str = "apps.kruise.io/image-predownload-parallelism";
/// Annotation of a workload: seconds that a pull of its new images may take.
pub const IMAGE_PREDOWNLOAD_TIMEOUT_SECONDS: &str = "apps.kruise.io/image-predownload-timeout-seconds";
/// Annotation of a workload: how many updated Pods must be ready before its new images are pulled elsewhere.
pub const IMAGE_PREDOWNLOAD_MIN_UPDATED_READY_PODS: &str =
    "apps.kruise.io/image-predownload-min-updated-ready-pods";
/// Annotation of a Pod: whether its containers start in order.
pub const CONTAINER_LAUNCH_PRIORITY: &str = "apps.kruise.io/container-launch-priority";
/// Annotation of a Pod: what the node agent read from the container runtime.
pub const RUNTIME_CONTAINERS_META: &str = "apps.kruise.io/runtime-containers-meta";
/// Label of a Pod: where it is in its lifecycle.
pub const LIFECYCLE_STATE: &str = "lifecycle.apps.kruise.io/state";
