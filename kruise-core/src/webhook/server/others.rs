//! Scopes that another replica has announced and this one does not know of yet.
//!
//! A replica that admits an object may announce the object's scope before the object is stored, and so before any other
//! replica can see it. What others write in that moment must not take the scope away: it stays until it is old enough to have
//! been seen by everybody.

use std::collections::HashMap;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use tokio::time::Instant;

use crate::webhook::Scope;

/// How long a scope that only others know stays.
const KEEP: Duration = Duration::from_secs(30);

/// What is known of the scopes in a configuration, for each hook.
#[derive(Debug, Default)]
pub(super) struct Others(HashMap<String, Vec<(Scope, Origin)>>);

#[derive(Clone, Copy, Debug)]
enum Origin {
    /// This replica has asked for it, now or before.
    Own,
    /// It was found then.
    Found(Instant),
}

impl Others {
    /// The scopes that a hook should have, where `found` are there and this replica asks for `wanted`: these, and what is
    /// found beyond them and is news. In the order in which they are there, so that two replicas agree.
    pub(super) fn merge(
        &mut self,
        hook: &str,
        wanted: &[Scope],
        found: Vec<Scope>,
        now: Instant,
    ) -> Vec<Scope> {
        let known = self.0.remove(hook).unwrap_or_default();
        let mut next: Vec<_> = wanted.iter().map(|scope| (scope.clone(), Origin::Own)).collect();
        let mut merged = Vec::new();
        for scope in found {
            if wanted.contains(&scope) {
                merged.push(scope);
                continue;
            }
            let before = known.iter().find(|(known, _)| *known == scope);
            let origin = before.map_or(Origin::Found(now), |(_, origin)| *origin);
            let is_news = matches!(origin, Origin::Found(at) if now < at + KEEP);
            if is_news && !wanted.iter().any(|wanted| covers(wanted, &scope)) {
                merged.push(scope.clone());
            }
            next.push((scope, origin));
        }
        let new: Vec<_> = wanted.iter().filter(|scope| !merged.contains(scope)).collect();
        merged.extend(new.into_iter().cloned());
        self.0.insert(hook.to_owned(), next);
        merged
    }

    /// When the next of those that only others know has been there long enough.
    pub(super) fn next_end(&self, now: Instant) -> Option<Instant> {
        let all = self.0.values().flatten();
        let ends = all.filter_map(|(_, origin)| match origin {
            Origin::Own => None,
            Origin::Found(at) => Some(*at + KEEP),
        });
        ends.filter(|end| *end > now).min()
    }
}

/// Whether all that is in `inner` is in `outer` too. A "no" may be wrong.
fn covers(outer: &Scope, inner: &Scope) -> bool {
    let pairs = [
        (&outer.namespaces, &inner.namespaces),
        (&outer.objects, &inner.objects),
    ];
    pairs.into_iter().all(|(outer, inner)| {
        let inner = requirements(inner);
        let follows = |outer: &Requirement<'_>| inner.iter().any(|inner| implies(inner, outer));
        requirements(outer).iter().all(follows)
    })
}

struct Requirement<'s> {
    key: &'s str,
    operator: &'s str,
    values: Vec<&'s str>,
}

fn requirements(selector: &LabelSelector) -> Vec<Requirement<'_>> {
    let labels = selector.match_labels.iter().flatten();
    let labels = labels.map(|(key, value)| Requirement {
        key,
        operator: "In",
        values: vec![value],
    });
    let expressions = selector.match_expressions.iter().flatten();
    let expressions = expressions.map(|expression| Requirement {
        key: &expression.key,
        operator: &expression.operator,
        values: expression.values.iter().flatten().map(String::as_str).collect(),
    });
    labels.chain(expressions).collect()
}

fn implies(given: &Requirement<'_>, wanted: &Requirement<'_>) -> bool {
    let within = |small: &[&str], large: &[&str]| small.iter().all(|value| large.contains(value));
    given.key == wanted.key
        && match (given.operator, wanted.operator) {
            ("In", "In") => within(&given.values, &wanted.values),
            ("In" | "Exists", "Exists") | ("DoesNotExist", "DoesNotExist" | "NotIn") => true,
            ("In", "NotIn") => !given.values.iter().any(|value| wanted.values.contains(value)),
            ("NotIn", "NotIn") => within(&wanted.values, &given.values),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;
    use proptest::prelude::*;

    use super::*;
    use crate::policy::Selector;

    fn selector(requirements: &[(&str, &str, &[&str])]) -> LabelSelector {
        let expressions = requirements
            .iter()
            .map(|(key, operator, values)| LabelSelectorRequirement {
                key: (*key).into(),
                operator: (*operator).into(),
                values: (!values.is_empty()).then(|| values.iter().map(|value| (*value).into()).collect()),
            });
        LabelSelector {
            match_expressions: Some(expressions.collect()),
            ..LabelSelector::default()
        }
    }

    /// One for each text, of the apps that its letters name.
    fn apps(texts: &[&str]) -> Vec<Scope> {
        let scope = |text: &&str| {
            let apps: Vec<_> = text.split("").filter(|app| !app.is_empty()).collect();
            Scope {
                objects: selector(&[("app", "In", &apps)]),
                ..Scope::default()
            }
        };
        texts.iter().map(scope).collect()
    }

    #[test]
    fn what_another_replica_has_just_announced_stays_until_it_is_known_or_old() {
        let (mut one, start) = (Others::default(), Instant::now());
        let mut merged = |wanted: &str, found: &[&str], after| {
            one.merge(
                "h",
                &apps(&[wanted]),
                apps(found),
                start + Duration::from_secs(after),
            )
        };
        assert_eq!(merged("ab", &[], 0), apps(&["ab"]));
        // Another one is about to store c, and this one has just seen d.
        assert_eq!(merged("abd", &["abc"], 1), apps(&["abc", "abd"]));
        assert_eq!(merged("abd", &["abc", "abd"], 30), apps(&["abc", "abd"]));
        // It is seen: what covers both stands alone.
        assert_eq!(merged("abcd", &["abc", "abd"], 30), apps(&["abcd"]));
        // What this one has asked for itself goes at once, what nobody asks for goes in time.
        assert_eq!(merged("abd", &["abcd"], 30), apps(&["abd"]));
        assert_eq!(merged("abd", &["abd", "z"], 31), apps(&["abd", "z"]));
        assert_eq!(merged("abd", &["abd", "z"], 61), apps(&["abd"]));
        assert_eq!(
            merged("abd", &["abd", "z"], 62),
            apps(&["abd"]),
            "still there, still old"
        );
    }

    #[test]
    fn hooks_are_told_apart_and_the_next_look_is_when_something_ends() {
        let (mut one, start) = (Others::default(), Instant::now());
        assert_eq!(one.next_end(start), None);
        one.merge("h", &apps(&["a"]), Vec::new(), start);
        assert_eq!(one.next_end(start), None);
        assert_eq!(one.merge("i", &[], apps(&["a"]), start), apps(&["a"]));
        assert_eq!(one.next_end(start), Some(start + KEEP));
        assert_eq!(one.next_end(start + KEEP), None);
    }

    fn any_selector() -> impl Strategy<Value = LabelSelector> {
        let requirement = (
            prop_oneof![Just("k"), Just("l")],
            prop_oneof![Just("In"), Just("NotIn"), Just("Exists"), Just("DoesNotExist")],
            proptest::sample::subsequence(vec!["1", "2", "3"], 1..3),
        );
        proptest::collection::vec(requirement, 0..3).prop_map(|all| {
            let all: Vec<_> = all
                .iter()
                .map(|(key, operator, values)| {
                    let values: &[&str] = if operator.ends_with("In") { values } else { &[] };
                    (*key, *operator, values)
                })
                .collect();
            selector(&all)
        })
    }

    proptest! {
        #[test]
        fn what_is_covered_matches_nothing_that_the_cover_does_not(
            outer in any_selector(),
            inner in any_selector(),
            label in proptest::collection::btree_map(
                prop_oneof![Just("k".to_owned()), Just("l".to_owned())],
                prop_oneof![Just("1".to_owned()), Just("2".to_owned()), Just("3".to_owned())], 0..3),
        ) {
            let scope = |objects: &LabelSelector| Scope { objects: objects.clone(), ..Scope::default() };
            prop_assert!(covers(&scope(&outer), &scope(&outer)));
            if covers(&scope(&outer), &scope(&inner)) {
                let matches = |of: &LabelSelector| Selector::compile(of).unwrap().matches(&label);
                prop_assert!(!matches(&inner) || matches(&outer));
            }
        }
    }
}
