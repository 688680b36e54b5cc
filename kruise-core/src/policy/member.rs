//! What the engines must know of the things they order and count.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::runtime::{SlimPod, StrMap};

/// A thing with labels. Selectors, priorities and scatter need no more.
///
/// ```
/// use kruise_core::policy::Labels;
///
/// struct Machine { rack: String }
///
/// impl Labels for Machine {
///     fn label(&self, key: &str) -> Option<&str> {
///         (key == "rack").then_some(&self.rack)
///     }
/// }
/// assert_eq!(Machine { rack: "r7".into() }.label("rack"), Some("r7"));
/// ```
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

/// A thing that is rolled from one revision to another.
///
/// ```
/// use kruise_core::policy::{Labels, Member, PodRank};
/// use kruise_core::runtime::SlimPod;
///
/// /// A pod and what the controller thinks of it.
/// struct Judged<'p> { pod: &'p SlimPod, updated: bool, immutable: bool }
///
/// #[derive(Debug, PartialEq)]
/// struct Immutable;
///
/// impl Labels for Judged<'_> {
///     fn label(&self, key: &str) -> Option<&str> { self.pod.label(key) }
/// }
///
/// impl Member for Judged<'_> {
///     type Rank<'a> = PodRank<'a> where Self: 'a;
///     type Obstacle = Immutable;
///     fn rank(&self) -> PodRank<'_> { PodRank::of(self.pod) }
///     fn is_updated(&self) -> bool { self.updated }
///     fn is_available(&self) -> bool { self.pod.is_ready() }
///     fn obstacle(&self) -> Option<Immutable> { self.immutable.then_some(Immutable) }
/// }
/// # let pod: SlimPod = serde_json::from_str(r#"{"metadata":{"name":"p"}}"#).unwrap();
/// let judged = Judged { pod: &pod, updated: false, immutable: true };
/// assert_eq!(judged.obstacle(), Some(Immutable));
/// ```
pub trait Member: Labels {
    /// What the default order goes by; smaller goes first, ties keep the order of the slice.
    type Rank<'a>: Ord
    where
        Self: 'a;
    /// Why a member can not be updated, besides what the engines find out themselves.
    type Obstacle;

    /// Its place in the default order. Asked once per plan.
    fn rank(&self) -> Self::Rank<'_>;
    /// Whether it is at the target revision already.
    fn is_updated(&self) -> bool;
    /// Whether it serves, so that updating it costs something.
    fn is_available(&self) -> bool;
    /// Why it can not be updated, now or ever; such members are left alone and do not count towards the partition.
    fn obstacle(&self) -> Option<Self::Obstacle> {
        None
    }
}

impl<T: Labels + ?Sized> Labels for &T {
    fn label(&self, key: &str) -> Option<&str> {
        T::label(self, key)
    }
}

impl<T: Labels + ?Sized> Labels for Arc<T> {
    fn label(&self, key: &str) -> Option<&str> {
        T::label(self, key)
    }
}

impl<T: Labels> Labels for Option<T> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for ObjectMeta {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.label(key)
    }
}

impl Labels for Pod {
    fn label(&self, key: &str) -> Option<&str> {
        self.metadata.label(key)
    }
}

impl Labels for StrMap {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl Labels for SlimPod {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }
}
