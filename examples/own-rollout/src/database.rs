//! The custom resource.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a database should run, and whether it serves.
#[derive(CustomResource, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "example.com",
    version = "v1",
    kind = "Database",
    namespaced,
    crates(kube_core = "kube_core")
)]
pub struct DatabaseSpec {
    /// The version it should run.
    pub version: String,
    /// Whether it serves. In the spec, to keep the example short.
    pub ready: bool,
}
