//! The volumes.

use std::collections::BTreeSet;

use super::super::container::Volume;
use super::error::{Errors, ValidationErrorKind as Kind};
use super::{fields, seen_before};

/// Names are unique and each volume has one source. What a source holds is for the API server to judge, which knows
/// those that are younger than this crate too.
pub(super) fn check(volumes: &[Volume], errors: &mut Errors) {
    let mut seen = BTreeSet::new();
    for (index, Volume(volume)) in volumes.iter().enumerate() {
        let path = format!("spec.volumes[{index}]");
        let name = fields::required(volume, &path, "name", errors);
        if !name.is_empty() {
            if !fields::is_dns_label(name) {
                errors.add(format!("{path}.name"), Kind::NotADnsLabel(name.to_owned()));
            }
            if seen_before(&mut seen, name) {
                errors.add(format!("{path}.name"), Kind::DuplicateName(name.to_owned()));
            }
        }
        let sources = volume
            .iter()
            .filter(|(field, source)| *field != "name" && !source.is_null());
        let count = sources.count();
        if count != 1 {
            errors.add(&path, Kind::NotOne(count));
        }
        for (source, field) in [
            ("hostPath", "path"),
            ("secret", "secretName"),
            ("configMap", "name"),
            ("persistentVolumeClaim", "claimName"),
        ] {
            if let Some(object) = fields::object(volume, &path, source, errors) {
                fields::required(object, &format!("{path}.{source}"), field, errors);
            }
        }
    }
}
