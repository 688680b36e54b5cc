//! Tells of pods that lack a sidecar.

use std::collections::BTreeMap;
use std::sync::Arc;

use kruise_core::runtime::{Cache, EventSink, Note, ObjectKey};
use kruise_sidecar::api::SidecarSet;
use kruise_sidecar::webhook::AuditReport;
use kube_core::Resource as _;
use parking_lot::Mutex;

/// Reason of the Event on a set that pods lack.
const PODS_WITHOUT_SIDECARS: &str = "PodsWithoutSidecars";
/// Pods that an Event names.
const NAMED: usize = 5;

/// Logs what an audit finds and makes an Event of it, whenever the number of a set's pods has changed.
pub(crate) struct Reporter {
    sets: Cache<SidecarSet>,
    events: EventSink,
    told: Mutex<BTreeMap<Arc<str>, usize>>,
}

impl Reporter {
    pub(crate) fn new(sets: Cache<SidecarSet>, events: EventSink) -> Self {
        Self {
            sets,
            events,
            told: Mutex::default(),
        }
    }

    pub(crate) fn report(&self, found: &AuditReport) {
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
    use kruise_sidecar::inject::MissingReason;
    use kruise_sidecar::webhook::Missing;

    use super::*;

    #[test]
    fn what_an_audit_finds_is_told_once_and_again_when_it_changes() {
        let set: SidecarSet = serde_yaml::from_str("{metadata: {name: logs}, spec: {}}").unwrap();
        let (sets, _writer) = Cache::offline([set]);
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        let reporter = Reporter::new(sets, EventSink::new(move |note| sink.lock().push(note.message)));
        let found = |count: usize| {
            let mut report = AuditReport::default();
            report.missing = (0..count)
                .map(|at| Missing {
                    set: "logs".into(),
                    pod: ObjectKey::new("shop", format!("web-{at}").as_str()),
                    uid: "u".into(),
                    reason: MissingReason::NotInjected,
                })
                .collect();
            report.counts.insert("logs".into(), count);
            report
        };
        for count in [1, 1, 7] {
            reporter.report(&found(count));
        }
        reporter.report(&AuditReport::default());
        reporter.report(&found(1));
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
