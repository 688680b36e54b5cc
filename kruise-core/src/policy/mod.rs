//! Which of many objects are changed next, and how many: pure functions, for pods of any workload and for your own objects.
//!
//! All work on a slice of objects and a list of indices into it, the *waiting list*:
//!
//! | step | module | what it does to the waiting list |
//! | --- | --- | --- |
//! | 1 | [`select`] | keeps what a label selector matches |
//! | 2 | [`rank`] | the least useful first: unscheduled, not ready, young |
//! | 3 | [`priority`] | `priorityStrategy`: by weights or by numbered labels |
//! | 4 | [`scatter`] | `scatterStrategy`: objects with a label are spread out |
//! | 5 | [`partition`] | how many are kept at the old revision |
//! | 6 | [`budget`] | `maxUnavailable`: how far the list may be followed now, with a reason for each object |
//!
//! [`rounding`] is the one table of how percentages are rounded.
//!
//! ```
//! use std::collections::BTreeMap;
//! use kruise_core::api::strategy::ScatterTerm;
//! use kruise_core::policy::budget::{Budget, plan};
//! use kruise_core::policy::rounding::{Amount, Baseline};
//! use kruise_core::policy::scatter::Scatter;
//!
//! // Five objects of your own; the first three are in zone a. All run the old revision and are available.
//! let zones = ["a", "a", "a", "b", "b"];
//! let objects = zones.map(|zone| BTreeMap::from([("zone".to_owned(), zone.to_owned())]));
//! let mut waiting: Vec<u32> = (0..5).collect();
//!
//! let term = ScatterTerm { key: "zone".into(), value: "a".into() };
//! Scatter::new(&[term]).sort(&objects, &mut waiting);
//! assert_eq!(waiting, [0, 3, 1, 4, 2]);
//!
//! let limit = Amount::SidecarSetMaxUnavailable.of("30%".parse()?, objects.len(), Baseline::Latest);
//! let decisions = plan(&waiting, 1, Budget::new(limit, 0), |_| true);
//! let told: Vec<_> = decisions.iter().map(|decision| format!("{}: {}", decision.index, decision.verdict)).collect();
//! assert_eq!(told[1], "3: update: within the limit of 2 unavailable");
//! assert_eq!(told[2], "1: wait: 2 are unavailable, the limit is 2");
//! assert_eq!(told[4], "2: keep: the partition keeps 1");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod budget;
pub mod partition;
pub mod priority;
pub mod rank;
pub mod rounding;
pub mod scatter;
pub mod select;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::runtime::SlimPod;

/// An object with labels: all that selectors, priorities and scatter terms look at.
///
/// ```
/// use kruise_core::policy::Labels;
///
/// struct Robot { arm: String }
///
/// impl Labels for Robot {
///     fn label(&self, key: &str) -> Option<&str> {
///         (key == "arm").then_some(&self.arm)
///     }
/// }
/// assert_eq!(Robot { arm: "left".into() }.label("arm"), Some("left"));
/// ```
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for SlimPod {
    fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key)
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<T: Labels + ?Sized> Labels for &T {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

impl<T: Labels + ?Sized> Labels for Arc<T> {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}
