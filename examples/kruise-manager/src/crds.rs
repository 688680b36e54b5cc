//! The CustomResourceDefinitions as YAML.

use anyhow::Result;

/// All definitions, one document each.
pub(crate) fn yaml() -> Result<String> {
    let mut out = String::from("# Generated from the Rust types by `make crds`; do not edit.\n");
    for crd in kruise_imagepull::api::crds() {
        out.push_str("---\n");
        out.push_str(&serde_yaml::to_string(&crd)?);
    }
    Ok(out)
}
