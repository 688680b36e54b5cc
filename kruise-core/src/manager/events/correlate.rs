//! Which published events are sent, and as what. Decides only; does no IO and asks no clock.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use tokio::time::Instant;

use super::recent::Recent;
use super::{EventConfig, EventKind};

/// What stands before the message of many events in one.
const COMBINED: &str = "(combined from similar events): ";

/// One published event.
#[derive(Clone, Debug)]
pub(super) struct Note {
    pub(super) source: Arc<str>,
    pub(super) object: ObjectReference,
    pub(super) kind: EventKind,
    pub(super) reason: String,
    pub(super) message: String,
}

/// The object of an event, as far as it tells events apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    source: Arc<str>,
    api_version: Option<String>,
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
    field: Option<String>,
}

/// What similar events have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Similar {
    subject: Subject,
    kind: EventKind,
    reason: String,
}

/// What equal events have in common; no message for many in one.
pub(super) type Equal = (Similar, Option<String>);

/// An Event on the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Posted {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) count: i32,
}

/// Tells the spam from the rest.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

/// Messages of similar events within the window, as hashes: messages are long.
#[derive(Debug)]
struct Group {
    messages: Vec<u64>,
    last: Instant,
}

/// Remembers what was published lately.
#[derive(Debug)]
pub(super) struct Correlator {
    config: EventConfig,
    hasher: RandomState,
    groups: Recent<Similar, Group>,
    buckets: Recent<Subject, Bucket>,
    posted: Recent<Equal, Option<Posted>>,
}

/// What to do with a note.
#[derive(Debug)]
pub(super) struct Decision {
    pub(super) key: Equal,
    pub(super) message: String,
    /// The Event to count up; if none, create one.
    pub(super) posted: Option<Posted>,
}

impl Correlator {
    pub(super) fn new(config: EventConfig) -> Self {
        Self {
            groups: Recent::new(config.memory),
            buckets: Recent::new(config.memory),
            posted: Recent::new(config.memory),
            hasher: RandomState::new(),
            config,
        }
    }

    /// What to send for a note; `None` if it is spam.
    pub(super) fn decide(&mut self, note: &Note, now: Instant) -> Option<Decision> {
        let subject = Subject::of(note);
        let similar = Similar {
            subject: subject.clone(),
            kind: note.kind,
            reason: note.reason.clone(),
        };
        let combined = self.is_one_of_many(&similar, &note.message, now);
        let (key, message) = if combined {
            (
                (similar, None),
                super::recorder::shortened(format!("{COMBINED}{}", note.message), 1024),
            )
        } else {
            ((similar, Some(note.message.clone())), note.message.clone())
        };
        if !self.take_token(&subject, now) {
            return None;
        }
        let posted = self.posted.entry(&key, || None).clone();
        Some(Decision { key, message, posted })
    }

    /// Remembers what the server has now; `None` if it may have nothing.
    pub(super) fn remember(&mut self, key: &Equal, posted: Option<Posted>) {
        *self.posted.entry(key, || None) = posted;
    }

    fn is_one_of_many(&mut self, similar: &Similar, message: &str, now: Instant) -> bool {
        let message = self.hasher.hash_one(message);
        let group = self.groups.entry(similar, || Group {
            messages: Vec::new(),
            last: now,
        });
        if now.duration_since(group.last) > self.config.similar_window {
            group.messages.clear();
        }
        group.last = now;
        if group.messages.contains(&message) {
            return false;
        }
        if group.messages.len() >= self.config.similar {
            return true;
        }
        group.messages.push(message);
        false
    }

    fn take_token(&mut self, subject: &Subject, now: Instant) -> bool {
        let burst = f64::from(self.config.burst);
        let bucket = self.buckets.entry(subject, || Bucket {
            tokens: burst,
            at: now,
        });
        let refilled = now.duration_since(bucket.at).div_duration_f64(self.config.refill);
        *bucket = Bucket {
            tokens: (bucket.tokens + refilled).min(burst),
            at: now,
        };
        // A millionth for the rounding of many small refills.
        let enough = bucket.tokens >= 1.0 - 1e-6;
        if enough {
            bucket.tokens -= 1.0;
        }
        enough
    }
}

impl Subject {
    fn of(note: &Note) -> Self {
        let object = &note.object;
        Self {
            source: note.source.clone(),
            api_version: object.api_version.clone(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
            uid: object.uid.clone(),
            field: object.field_path.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn note(object: &str, reason: &str, message: &str) -> Note {
        Note {
            source: "test".into(),
            object: ObjectReference {
                name: Some(object.into()),
                ..ObjectReference::default()
            },
            kind: EventKind::Normal,
            reason: reason.into(),
            message: message.into(),
        }
    }

    fn correlator() -> (Correlator, Instant) {
        (Correlator::new(EventConfig::default()), Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_gets_a_burst_of_25_and_then_one_every_five_minutes() {
        let (mut correlator, start) = correlator();
        let mut at = |seconds| {
            let now = start + Duration::from_secs(seconds);
            correlator.decide(&note("a", "R", "m"), now).is_some()
        };
        assert_eq!((0..100).filter(|_| at(0)).count(), 25);
        assert!(!at(299));
        assert!(at(300));
        assert!(!at(301));
        // Half an hour later it may have six, and not one more.
        assert_eq!((0..100).filter(|_| at(300 + 1800)).count(), 6);
        let other = correlator.decide(&note("b", "R", "m"), start);
        assert!(other.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn many_similar_events_become_one() {
        let (mut correlator, now) = correlator();
        for number in 0..10 {
            let decision = correlator
                .decide(&note("a", "R", &number.to_string()), now)
                .unwrap();
            assert_eq!(decision.message, number.to_string());
        }
        let first = correlator.decide(&note("a", "R", "10"), now).unwrap();
        let second = correlator.decide(&note("a", "R", "11"), now).unwrap();
        assert_eq!(second.message, "(combined from similar events): 11");
        assert_eq!(first.key, second.key);
        // One of the first ten is still itself, and so is one for another reason.
        assert_eq!(correlator.decide(&note("a", "R", "3"), now).unwrap().message, "3");
        assert_eq!(
            correlator.decide(&note("a", "Q", "12"), now).unwrap().message,
            "12"
        );
        // After a quiet time they are told apart again.
        let later = now + Duration::from_secs(3601);
        assert_eq!(
            correlator.decide(&note("a", "R", "13"), later).unwrap().message,
            "13"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_was_posted_is_counted_up() {
        let (mut correlator, now) = correlator();
        let first = correlator.decide(&note("a", "R", "m"), now).unwrap();
        assert_eq!(first.posted, None);
        let posted = Posted {
            namespace: "default".into(),
            name: "a.1".into(),
            count: 1,
        };
        correlator.remember(&first.key, Some(posted.clone()));
        assert_eq!(
            correlator.decide(&note("a", "R", "m"), now).unwrap().posted,
            Some(posted)
        );
        assert_eq!(
            correlator.decide(&note("a", "R", "other"), now).unwrap().posted,
            None
        );
    }
}
