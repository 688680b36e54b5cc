//! Writes JSON patches as text.

/// The operations of a patch, written one after the other.
#[derive(Debug)]
pub(super) struct PatchText(Vec<u8>);

/// Appends a string with its quotes and escapes.
pub(super) fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("memory takes all");
}

impl PatchText {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        let mut text = Vec::with_capacity(bytes);
        text.push(b'[');
        Self(text)
    }

    /// Begins an operation. Its path is `path`, and below that `key`; both need no escapes of JSON but may hold
    /// slashes and tildes in `key`. What is written to the result is the value; [`PatchText::close`] follows.
    pub(super) fn open(&mut self, operation: &str, path: &str, key: Option<&str>) -> &mut Vec<u8> {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        self.put(r#"{"op":""#);
        self.put(operation);
        self.put(r#"","path":""#);
        self.put(path);
        if let Some(key) = key {
            self.0.push(b'/');
            self.pointer(key);
        }
        self.put(r#"","value":"#);
        &mut self.0
    }

    pub(super) fn close(&mut self) {
        self.0.push(b'}');
    }

    /// The whole patch; `None` if it says nothing.
    pub(super) fn finish(mut self) -> Option<String> {
        if self.0.len() <= 1 {
            return None;
        }
        self.0.push(b']');
        Some(String::from_utf8(self.0).expect("made of texts"))
    }

    fn put(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    /// A key as a part of a JSON pointer, inside of a JSON string.
    fn pointer(&mut self, key: &str) {
        let plain = |byte: u8| matches!(byte, b' '..=b'}') && !matches!(byte, b'"' | b'\\' | b'/');
        if key.bytes().all(plain) {
            return self.put(key);
        }
        let escaped = key.replace('~', "~0").replace('/', "~1");
        let mut quoted = Vec::with_capacity(escaped.len() + 2);
        quote(&mut quoted, &escaped);
        let inner = quoted.get(1..quoted.len() - 1).unwrap_or_default();
        self.0.extend_from_slice(inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn keys_are_escaped_as_pointers_and_as_strings() {
        for key in ["plain", "kruise.io/a", "~tilde/", "quote\"", "ünï\u{1}", ""] {
            let mut patch = PatchText::with_capacity(16);
            quote(patch.open("add", "/a", Some(key)), "v");
            patch.close();
            let patch: json_patch::Patch = serde_json::from_str(&patch.finish().unwrap()).unwrap();
            let mut object = json!({"a": {}});
            json_patch::patch(&mut object, &patch).unwrap();
            assert_eq!(object["a"].get(key), Some(&Value::from("v")), "{key}");
        }
    }

    #[test]
    fn a_patch_of_nothing_is_none() {
        assert_eq!(PatchText::with_capacity(0).finish(), None);
    }
}
