//! `TYPE/NAME` and `TYPE NAME`.

use std::time::Duration;

use kruise_core::api::names::GROUP;

use crate::failure::{Failure, Result};

/// A kind of Kruise, and the names that it goes by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// As objects carry it.
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    singular: &'static str,
    short: &'static [&'static str],
    pub(crate) namespaced: bool,
}

/// All of them.
const KINDS: [Kind; 4] = [
    Kind {
        kind: "SidecarSet",
        plural: "sidecarsets",
        singular: "sidecarset",
        short: &["scs"],
        namespaced: false,
    },
    Kind {
        kind: "ImagePullJob",
        plural: "imagepulljobs",
        singular: "imagepulljob",
        short: &["ipj"],
        namespaced: true,
    },
    Kind {
        kind: "ImageListPullJob",
        plural: "imagelistpulljobs",
        singular: "imagelistpulljob",
        short: &["ilpj"],
        namespaced: true,
    },
    Kind {
        kind: "NodeImage",
        plural: "nodeimages",
        singular: "nodeimage",
        short: &["ni"],
        namespaced: false,
    },
];

impl Kind {
    /// The kind of a name, such as `ipj`, `SidecarSet` or `nodeimages.apps.kruise.io`.
    ///
    /// # Errors
    /// There is no such kind.
    pub(crate) fn find(name: &str) -> Result<&'static Self> {
        let plain = name.to_lowercase();
        let (word, group) = plain
            .split_once('.')
            .map_or((plain.as_str(), ""), |(word, group)| (word, group));
        // Between the resource and the group there may be a version.
        let group_fits = group.is_empty()
            || group == GROUP
            || group.split_once('.').is_some_and(|(_, rest)| rest == GROUP);
        let found = KINDS
            .iter()
            .find(|kind| kind.plural == word || kind.singular == word || kind.short.contains(&word));
        found.filter(|_| group_fits).ok_or_else(|| {
            let known: Vec<String> = KINDS
                .iter()
                .map(|kind| format!("{} ({})", kind.plural, kind.short.join(", ")))
                .collect();
            Failure::new(format!("Kruise has no resource type \"{name}\"")).next(format!(
                "There are: {}. For other types use kubectl get.",
                known.join(", ")
            ))
        })
    }

    /// All kinds.
    pub(crate) fn all() -> &'static [Self] {
        &KINDS
    }

    /// The kinds that `pull` creates.
    pub(crate) fn jobs() -> Vec<&'static Self> {
        let is_job = |kind: &&Self| kind.kind.ends_with("PullJob");
        KINDS.iter().filter(is_job).collect()
    }

    /// The kind whose objects are named as nodes are.
    pub(crate) fn nodes() -> Vec<&'static Self> {
        KINDS.iter().filter(|kind| kind.kind == "NodeImage").collect()
    }

    /// The singular and the short names.
    pub(crate) fn words(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.singular).chain(self.short.iter().copied())
    }

    /// As users write it before a slash.
    pub(crate) fn singular(&self) -> &'static str {
        self.singular
    }

    /// Singular and group, as names of objects begin.
    pub(crate) fn full(&self) -> String {
        format!("{}.{GROUP}", self.singular)
    }
}

/// Objects of one kind: all, or those of some names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Objects {
    pub(crate) kind: &'static Kind,
    pub(crate) names: Vec<String>,
}

impl Objects {
    /// Reads arguments: `a,b`, `a name name`, or `a/name b/name`.
    ///
    /// # Errors
    /// A kind is not known, or both forms are mixed.
    pub(crate) fn parse(words: &[String]) -> Result<Vec<Self>> {
        let Some(first) = words.first() else {
            return Err(Failure::new("name a resource type").next("For example: sidecarset, ipj, nodeimage."));
        };
        if !words.iter().any(|word| word.contains('/')) {
            let kinds: Result<Vec<_>> = first.split(',').map(Kind::find).collect();
            let names = words.get(1..).unwrap_or_default();
            return Ok(kinds?
                .into_iter()
                .map(|kind| Self {
                    kind,
                    names: names.to_vec(),
                })
                .collect());
        }
        let mut found: Vec<Self> = Vec::new();
        for word in words {
            let Some((kind, name)) = word
                .split_once('/')
                .filter(|(_, name)| !name.is_empty() && !name.contains('/'))
            else {
                return Err(Failure::new(format!("\"{word}\" is not of the form TYPE/NAME"))
                    .next("Write either TYPE NAME..., or TYPE/NAME for each."));
            };
            let kind = Kind::find(kind)?;
            match found.iter_mut().find(|held| held.kind == kind) {
                Some(held) => held.names.push(name.to_owned()),
                None => found.push(Self {
                    kind,
                    names: vec![name.to_owned()],
                }),
            }
        }
        Ok(found)
    }

    /// The names of SidecarSets that arguments name.
    ///
    /// # Errors
    /// It is of another kind.
    pub(crate) fn sets(words: &[String]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for objects in Self::parse(words)? {
            if objects.kind.kind != "SidecarSet" {
                return Err(Failure::new(format!("{} have no rollout", objects.kind.plural))
                    .next("This works for SidecarSets: write sidecarset/NAME."));
            }
            names.extend(objects.names);
        }
        Ok(names)
    }

    /// The one SidecarSet that arguments name.
    ///
    /// # Errors
    /// It is none, or several.
    pub(crate) fn set(words: &[String]) -> Result<String> {
        let mut names = Self::sets(words)?;
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => Ok(name),
            (None, _) => Err(Failure::new("name the SidecarSet")
                .next("For example: sidecarset/logs. See them with: kubectl get sidecarsets")),
            (Some(_), false) => Err(Failure::new("one SidecarSet at a time")),
        }
    }
}

/// A duration as Go writes it; a number alone is seconds.
pub(super) fn duration(text: &str) -> std::result::Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let parsed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| format!("`{text}` is not a duration; write it like 30s, 5m or 1h30m"))?;
    Duration::try_from(parsed).map_err(|_| format!("`{text}` is negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn kinds_are_found_by_all_their_names() {
        for (name, kind) in [
            ("ipj", "ImagePullJob"),
            ("ImagePullJobs", "ImagePullJob"),
            ("ilpj", "ImageListPullJob"),
            ("ni", "NodeImage"),
            ("sidecarsets.apps.kruise.io", "SidecarSet"),
            ("sidecarsets.v1alpha1.apps.kruise.io", "SidecarSet"),
        ] {
            assert_eq!(Kind::find(name).unwrap().kind, kind);
        }
        assert!(Kind::find("pods").is_err());
        assert!(Kind::find("sidecarsets.other.io").is_err());
    }

    #[test]
    fn both_forms_of_naming_objects_mean_the_same() {
        for text in [
            "sidecarset logs",
            "sidecarset/logs",
            "scs/logs",
            "sidecarsets.apps.kruise.io/logs",
        ] {
            assert_eq!(Objects::set(&words(text)).unwrap(), "logs", "{text}");
        }
        let several = Objects::parse(&words("ipj/a ni/b ipj/c")).unwrap();
        assert_eq!(several[0].names, ["a", "c"]);
        assert_eq!(several[1].kind.plural, "nodeimages");
        assert_eq!(Objects::parse(&words("ipj,ni")).unwrap().len(), 2);
    }

    #[test]
    fn what_names_nothing_is_told_with_the_right_form() {
        for (text, says) in [
            ("sidecarset", "name the SidecarSet"),
            ("sidecarset a b", "one SidecarSet at a time"),
            ("ipj/a", "have no rollout"),
            ("sidecarset/a b", "not of the form"),
            ("sidecarset/", "not of the form"),
            ("deployment/a", "no resource type"),
        ] {
            let failure = Objects::set(&words(text)).unwrap_err().to_string();
            assert!(failure.contains(says), "{text}: {failure}");
        }
    }

    #[test]
    fn durations_are_seconds_or_words() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert!(duration("soon").unwrap_err().contains("30s"));
        assert!(duration("-1s").unwrap_err().contains("negative"));
    }
}
