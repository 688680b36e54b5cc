//! JSON objects whose fields this crate need not all know.

/// A JSON object of any fields.
pub(crate) type Object = serde_json::Map<String, serde_json::Value>;

/// The schema of one: what it holds is not looked at, and kept.
pub(super) fn schema() -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
