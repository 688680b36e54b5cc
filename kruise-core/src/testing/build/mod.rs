//! Objects in a line.
//!
//! ```
//! use kruise_core::testing::build::{NodeBuilder, PodBuilder, namespace};
//! let pod = PodBuilder::new("web-0").namespace("shop").label("app", "web").image("web:1").on_node("n1").ready().build();
//! assert_eq!(pod.spec.unwrap().containers[0].image.as_deref(), Some("web:1"));
//! let node = NodeBuilder::new("n1").label("zone", "a").build();
//! assert_eq!(namespace("shop").metadata.name.as_deref(), Some("shop"));
//! ```

mod node;
mod pod;

pub use node::NodeBuilder;
pub use pod::PodBuilder;

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube_core::Resource;

/// A namespace.
pub fn namespace(name: impl Into<String>) -> Namespace {
    Namespace {
        metadata: ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}

/// A reference to an object as controller of another, blocking its deletion in the foreground. Name and uid are empty
/// where the object has none.
pub fn controlled_by<K: Resource<DynamicType = ()>>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: owner.meta().name.clone().unwrap_or_default(),
        uid: owner.meta().uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}
