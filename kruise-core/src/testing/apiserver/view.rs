//! In what form an object is shown: version, whole or metadata only.

use std::sync::Arc;

use serde_json::{Value, json};

use super::kinds::Kind;
use super::status::ApiError;

#[derive(Clone, Debug)]
pub(crate) struct View {
    pub(crate) kind: Arc<Kind>,
    pub(crate) version: String,
    metadata_only: bool,
}

impl View {
    /// Reads what the client accepts.
    pub(crate) fn new(kind: Arc<Kind>, version: &str, accept: &str) -> Result<Self, ApiError> {
        let mut choices = accept.split(',').map(str::trim);
        let metadata_only = choices.clone().find_map(|choice| {
            let mut parts = choice.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let json = matches!(media, "" | "application/json" | "application/*" | "*/*");
            let form = parts.find_map(|part| part.strip_prefix("as="));
            match form {
                None if json => Some(false),
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if json => Some(true),
                // Protobuf and tables: try the next choice.
                _ => None,
            }
        });
        let metadata_only = metadata_only.ok_or_else(|| {
            let asked = choices.next().unwrap_or_default();
            ApiError::new(
                406,
                "NotAcceptable",
                format!("only the following media types are accepted: application/json; asked for {asked:?}"),
            )
        })?;
        Ok(Self {
            kind,
            version: version.to_owned(),
            metadata_only,
        })
    }

    pub(crate) fn show(&self, object: &Value) -> Value {
        if !self.metadata_only {
            return self.kind.show(object, &self.version);
        }
        json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object["metadata"],
        })
    }

    /// Turns a list into a list of metadata if that was asked for; its items have been shown already.
    pub(crate) fn list(&self, mut list: Value) -> Value {
        if self.metadata_only {
            list["kind"] = json!("PartialObjectMetadataList");
            list["apiVersion"] = json!("meta.k8s.io/v1");
        }
        list
    }
}
