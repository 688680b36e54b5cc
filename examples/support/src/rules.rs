//! The rules of roles as YAML, one line each, for the Helm chart.

use std::fmt::Write as _;

use k8s_openapi::api::rbac::v1::PolicyRule;

/// The rules that one part of a program needs.
#[derive(Clone, Debug)]
pub struct Section {
    /// Which part, and what it does with them; becomes a comment.
    pub about: &'static str,
    /// The rules.
    pub rules: Vec<PolicyRule>,
}

impl Section {
    /// A section.
    pub fn new(about: &'static str, rules: Vec<PolicyRule>) -> Self {
        Self { about, rules }
    }
}

/// Returns the sections as a YAML list. Each line of a comment is kept.
pub fn yaml(sections: &[Section]) -> String {
    let mut out = String::new();
    for section in sections {
        for line in section.about.lines() {
            _ = writeln!(out, "# {line}");
        }
        for rule in &section.rules {
            _ = writeln!(out, "- {{{}}}", fields(rule));
        }
    }
    out
}

fn fields(rule: &PolicyRule) -> String {
    let verbs = Some(&rule.verbs);
    let lists = [
        ("apiGroups", rule.api_groups.as_ref()),
        ("resources", rule.resources.as_ref()),
        ("resourceNames", rule.resource_names.as_ref()),
        ("nonResourceURLs", rule.non_resource_urls.as_ref()),
        ("verbs", verbs),
    ];
    let given = lists.into_iter().filter_map(|(name, list)| Some((name, list?)));
    let fields: Vec<_> = given
        .map(|(name, list)| {
            let words: Vec<_> = list.iter().map(|word| quoted(word)).collect();
            format!("{name}: [{}]", words.join(", "))
        })
        .collect();
    fields.join(", ")
}

/// Words of letters, digits, `.`, `-` and `/` need no quotes in a flow list.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-/".contains(c);
    if word.starts_with(|c: char| c.is_ascii_lowercase()) && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("\"{word}\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_as_the_same_rules_under_their_comments() {
        let rules = vec![
            PolicyRule {
                api_groups: Some(vec![String::new()]),
                resources: Some(vec!["pods/status".to_owned(), "*".to_owned()]),
                verbs: vec!["patch".to_owned()],
                ..PolicyRule::default()
            },
            PolicyRule {
                api_groups: Some(vec!["apps.kruise.io".to_owned()]),
                resources: Some(vec!["sidecarsets".to_owned()]),
                resource_names: Some(vec!["a".to_owned()]),
                verbs: vec!["get".to_owned(), "list".to_owned()],
                ..PolicyRule::default()
            },
        ];
        let text = yaml(&[Section::new("First line.\nSecond line.", rules.clone())]);
        assert!(
            text.starts_with("# First line.\n# Second line.\n- {apiGroups: [\"\"], "),
            "{text}"
        );
        assert_eq!(text.lines().count(), 4);
        let read: Vec<PolicyRule> = serde_yaml::from_str(&text).unwrap();
        assert_eq!(read, rules);
    }
}
