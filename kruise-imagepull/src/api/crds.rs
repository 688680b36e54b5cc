//! The CustomResourceDefinitions to install.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube_core::CustomResourceExt;

use super::{ImageListPullJob, ImagePullJob, NodeImage};

/// Returns the definitions of `ImagePullJob`, `NodeImage` and `ImageListPullJob`, ready to apply. Works on Kubernetes 1.16 and later.
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        plain(ImagePullJob::crd()),
        plain(NodeImage::crd()),
        plain(ImageListPullJob::crd()),
    ]
}

/// Takes out what the derive adds to optional fields and definitions written in Go do not have: `nullable`, `default`,
/// and `null` among the values of enumerations.
fn plain(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        {
            strip(schema);
        }
    }
    crd
}

fn strip(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.default = None;
    if let Some(values) = &mut schema.enum_ {
        values.retain(|value| !value.0.is_null());
    }
    for property in schema
        .properties
        .iter_mut()
        .flatten()
        .map(|(_, property)| property)
    {
        strip(property);
    }
    match schema.items.as_mut() {
        Some(JSONSchemaPropsOrArray::Schema(item)) => strip(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(strip),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = schema.additional_properties.as_mut() {
        strip(values);
    }
}
