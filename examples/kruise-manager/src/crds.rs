//! The CustomResourceDefinitions as YAML.

use anyhow::Result;

/// All definitions, one document each.
pub(crate) fn yaml() -> Result<String> {
    let mut out = String::from("# Generated from the Rust types by `make crds`; do not edit.\n");
    // Our webhook converts SidecarSets, and what needs that is switched on by the manager when it serves.
    let sidecar_set = kruise_sidecar::api::crd(None);
    for crd in kruise_imagepull::api::crds().into_iter().chain([sidecar_set]) {
        out.push_str("---\n");
        out.push_str(&serde_yaml::to_string(&crd)?);
    }
    Ok(out)
}
