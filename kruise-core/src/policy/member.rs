//! What the engines must know of the things they order and count.

use std::cmp::Ordering;
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

    /// The same, for one who asks many things for one key: `hint` begins with 0 and is passed on from one to the next.
    /// Where labels are a list, it is the place of the key in it, as like things have their labels in the same places.
    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        let _ = hint;
        self.label(key)
    }

    /// The number of the value of a label, for things whose values are numbered: among the things of one slice, equal
    /// numbers stand for equal values of one key. Small numbers, from 0 up. `None` if there is no label, or no number.
    ///
    /// It spares those who look at very many things the comparison of texts. `hint` is that of
    /// [`label_near`](Self::label_near).
    fn label_number(&self, key: &str, hint: &mut usize) -> Option<u32> {
        let _ = (key, hint);
        None
    }
}

/// A thing that is rolled from one revision to another.
///
/// ```
/// use kruise_core::policy::{Labels, Member, PodRank, PodStanding};
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
///     fn rank_prefix(&self) -> u128 { PodStanding::of(self.pod).prefix() } // may be left out
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

    /// Its place in the default order. Asked for a few times per plan.
    fn rank(&self) -> Self::Rank<'_>;
    /// What is most important of its rank, as a number: of two members, the one with the smaller number has the smaller
    /// rank. Members with equal numbers are compared by rank. The lowest [`PREFIX_FREE_BITS`](super::rank::PREFIX_FREE_BITS)
    /// bits do not count.
    ///
    /// Numbers are sorted several times faster than ranks. The default leaves everything to the rank.
    fn rank_prefix(&self) -> u128 {
        0
    }
    /// How it compares with another one where else the order of the slice would decide: which values of a label come first
    /// that a `*` of a scatter term stands for. By default, that is left to the slice.
    fn tie_break(&self, other: &Self) -> Ordering {
        let _ = other;
        Ordering::Equal
    }
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

    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        T::label_near(self, key, hint)
    }

    fn label_number(&self, key: &str, hint: &mut usize) -> Option<u32> {
        T::label_number(self, key, hint)
    }
}

impl<T: Labels + ?Sized> Labels for Arc<T> {
    fn label(&self, key: &str) -> Option<&str> {
        T::label(self, key)
    }

    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        T::label_near(self, key, hint)
    }

    fn label_number(&self, key: &str, hint: &mut usize) -> Option<u32> {
        T::label_number(self, key, hint)
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

    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        self.get_near(key, hint)
    }
}

impl Labels for SlimPod {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.label(key)
    }

    fn label_near(&self, key: &str, hint: &mut usize) -> Option<&str> {
        self.labels.label_near(key, hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_found_wherever_the_hint_points() {
        let labels: StrMap = [("a", "1"), ("b", "2"), ("c", "3")].into_iter().collect();
        for start in [0, 1, 2, 3, usize::MAX] {
            for (key, value) in [
                ("a", Some("1")),
                ("b", Some("2")),
                ("c", Some("3")),
                ("d", None),
                ("", None),
            ] {
                let mut hint = start;
                assert_eq!(labels.label_near(key, &mut hint), value);
                assert_eq!(labels.label_near(key, &mut hint), value, "and again");
                assert_eq!(labels.label(key), value);
            }
        }
    }

    #[test]
    fn labels_are_found_among_few_and_many() {
        for count in [0, 1, 16, 17, 40] {
            let labels: StrMap = (0..count)
                .map(|at| (format!("k{at}"), format!("v{at}")))
                .collect();
            for at in 0..count {
                assert_eq!(labels.label(&format!("k{at}")), Some(format!("v{at}").as_str()));
            }
            assert_eq!(labels.label("none"), None);
        }
    }
}
