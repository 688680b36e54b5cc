//! Tells people of pods that lack a sidecar.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use kruise_core::runtime::{Cache, EventSink, Note, ObjectKey};
use kube_core::Resource as _;
use parking_lot::Mutex;

use super::audit::AuditReport;
use crate::api::SidecarSet;

/// Reason of the Event on a set that pods lack.
const PODS_WITHOUT_SIDECARS: &str = "PodsWithoutSidecars";
/// Pods that an Event names.
const NAMED: usize = 5;

/// Logs what an [`Audit`](super::Audit) finds and makes an Event `PodsWithoutSidecars` of it on the set, which names up to
/// five pods; again only when the number of pods has changed.
/// ```
/// use kruise_core::runtime::{Cache, ConfigError, EventSink, SlimPod};
/// use kruise_sidecar::api::SidecarSet;
/// use kruise_sidecar::webhook::{Audit, AuditConfig, AuditEvents, LiveSets};
///
/// fn audit(
///     pods: Cache<SlimPod>, sets: Cache<SidecarSet>, live: LiveSets, events: EventSink,
/// ) -> Result<Audit, ConfigError> {
///     let events = AuditEvents::new(sets, events);
///     Audit::new(pods, live, AuditConfig::default(), move |found| events.tell(found))
/// }
/// ```
pub struct AuditEvents {
    sets: Cache<SidecarSet>,
    events: EventSink,
    told: Mutex<BTreeMap<Arc<str>, usize>>,
}

impl fmt::Debug for AuditEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditEvents").finish_non_exhaustive()
    }
}

impl AuditEvents {
    /// Events are about the sets of this cache; those of sets that are gone are only logged.
    pub fn new(sets: Cache<SidecarSet>, events: EventSink) -> Self {
        Self {
            sets,
            events,
            told: Mutex::default(),
        }
    }

    /// Tells of the sets whose number of pods is another than last time.
    pub fn tell(&self, found: &AuditReport) {
        let told = std::mem::replace(&mut *self.told.lock(), found.counts.clone());
        for (set, count) in &found.counts {
            if told.get(set) == Some(count) {
                continue;
            }
            let missing = found.missing.iter().filter(|missing| missing.set == *set);
            let named: Vec<String> = missing
                .take(NAMED)
                .map(|missing| format!("{} ({})", missing.pod, missing.reason))
                .collect();
            let more = if *count > named.len() { ", ..." } else { "" };
            let message = format!(
                "{count} pods do not have its containers: {}{more}",
                named.join(", ")
            );
            tracing::warn!(%set, "{message}");
            if let Some(held) = self.sets.get(&ObjectKey::cluster(&**set)) {
                self.events.emit(Note {
                    about: held.object_ref(&()),
                    warning: true,
                    reason: PODS_WITHOUT_SIDECARS,
                    message,
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inject::MissingReason;
    use crate::webhook::Missing;

    #[test]
    fn what_an_audit_finds_is_told_once_and_again_when_it_changes() {
        let set: SidecarSet = serde_yaml::from_str("{metadata: {name: logs}, spec: {}}").unwrap();
        let (sets, _writer) = Cache::offline([set]);
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        let events = AuditEvents::new(sets, EventSink::new(move |note| sink.lock().push(note.message)));
        let found = |count: usize| {
            let missing = (0..count)
                .map(|at| Missing {
                    set: "logs".into(),
                    pod: ObjectKey::new("shop", format!("web-{at}").as_str()),
                    uid: "u".into(),
                    reason: MissingReason::NotInjected,
                })
                .collect();
            AuditReport {
                missing,
                counts: [("logs".into(), count)].into(),
                ..AuditReport::default()
            }
        };
        for count in [1, 1, 7] {
            events.tell(&found(count));
        }
        events.tell(&AuditReport::default());
        events.tell(&found(1));
        let one = "1 pods do not have its containers: shop/web-0 (the pod was created without it)";
        let told = told.lock();
        assert_eq!([&told[0], &told[2]], [one, one]);
        assert!(
            told[1].starts_with("7 pods")
                && told[1].ends_with("shop/web-4 (the pod was created without it), ...")
        );
        assert_eq!(told.len(), 3);
    }
}
