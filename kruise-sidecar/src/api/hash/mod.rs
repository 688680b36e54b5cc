//! The two hashes of a set, equal in value to those of OpenKruise, so that pods that it injected count as what they are.
//!
//! A hash is the SHA-256 of the containers as Go writes them, in letters that make no words. What is hashed is
//! brought into one form first: defaults filled in, quantities canonical, empty fields left out.

mod fields;
mod writer;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::container::SidecarContainer;
use super::defaults::{default_containers, forget_init_defaults};
use super::sidecarset::SidecarSetSpec;

/// Which release's hashes are meant. They differ in what is hashed of the init containers.
///
/// A cluster of an older release keeps its pods only with the form of that release: another form makes all of them
/// "not updated", and not upgradable, as soon as the set is written again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HashForm {
    /// Release 0.8: init containers are hashed, `null` if there are none.
    V0_8,
    /// Releases 0.9 to 1.6: init containers are not hashed.
    V0_9,
    /// Since release 1.7: init containers are hashed if one of them is a native sidecar.
    #[default]
    V1_7,
}

/// The hashes of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    /// Of the containers.
    pub hash: String,
    /// Of the containers without their images: as long as it stays the same, a set can be upgraded in place.
    pub without_image: String,
}

/// Returns the hashes of a set. Its defaults need not be filled in.
///
/// ```
/// use kruise_sidecar::api::{HashForm, SidecarSetSpec, hashes};
///
/// let spec = |image| -> SidecarSetSpec {
///     serde_json::from_value(serde_json::json!({"containers": [{"name": "logs", "image": image}]})).unwrap()
/// };
/// let (one, two) = (hashes(&spec("logs:1"), HashForm::default()), hashes(&spec("logs:2"), HashForm::default()));
/// assert_ne!(one.hash, two.hash);
/// assert_eq!(one.without_image, two.without_image);
/// ```
pub fn hashes(spec: &SidecarSetSpec, form: HashForm) -> Hashes {
    let mut containers = spec.containers.clone();
    let mut init_containers = spec.init_containers.clone();
    default_containers(&mut containers, &mut init_containers);
    if form == HashForm::V0_8 {
        forget_init_defaults(&mut init_containers);
    }
    let hash = digest(&canonical(&containers, &init_containers, form));
    containers.iter_mut().for_each(blank);
    if form == HashForm::V1_7 {
        init_containers.iter_mut().for_each(blank);
    }
    Hashes {
        hash,
        without_image: digest(&canonical(&containers, &init_containers, form)),
    }
}

fn blank(sidecar: &mut SidecarContainer) {
    sidecar.container.remove("image");
}

/// The text that is hashed.
fn canonical(
    containers: &[SidecarContainer],
    init_containers: &[SidecarContainer],
    form: HashForm,
) -> String {
    let mut text = String::from("{\"containers\":");
    push_list(containers, &mut text);
    let hashes_init = match form {
        HashForm::V0_8 => true,
        HashForm::V0_9 => false,
        HashForm::V1_7 => init_containers.iter().any(SidecarContainer::restarts_always),
    };
    if hashes_init {
        text.push_str(",\"initContainers\":");
        push_list(init_containers, &mut text);
    }
    text.push('}');
    text
}

fn push_list(sidecars: &[SidecarContainer], text: &mut String) {
    if sidecars.is_empty() {
        text.push_str("null");
        return;
    }
    for (index, sidecar) in sidecars.iter().enumerate() {
        text.push(if index == 0 { '[' } else { ',' });
        // Nothing in a sidecar fails to become JSON: all keys are strings.
        if let Ok(Value::Object(object)) = serde_json::to_value(sidecar) {
            writer::push_object(fields::SIDECAR, &object, text);
        }
    }
    text.push(']');
}

/// SHA-256 in hexadecimal, each digit replaced by a letter or digit of those of which Kubernetes makes random names.
fn digest(text: &str) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let hex = b"0123456789abcdef";
    let letter = |nibble: u8| {
        let digit = hex.get(usize::from(nibble)).copied().unwrap_or_default();
        let index = usize::from(digit) % LETTERS.len();
        char::from(LETTERS.get(index).copied().unwrap_or_default())
    };
    let digest = Sha256::digest(text.as_bytes());
    digest
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(letter)
        .collect()
}

#[cfg(test)]
mod tests;
