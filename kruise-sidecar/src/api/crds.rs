//! The CustomResourceDefinition to install.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray,
    JSONSchemaPropsOrBool,
};
use kube_core::CustomResourceExt;

use super::names::V1BETA1;
use super::{SidecarSet, v1beta1};

/// Returns the definition of `SidecarSet`, ready to apply. Works on Kubernetes 1.16 and later.
///
/// `v1alpha1` is stored, since it can hold whatever the other can, so that controllers never wait for a conversion.
/// `v1beta1` is served only with a `conversion` that names the webhook where [`SidecarSetConverter`] answers:
/// without one the API server would drop what the other version does not have, and a set meant for one namespace
/// would get into all.
///
/// [`SidecarSetConverter`]: super::SidecarSetConverter
pub fn crd(conversion: Option<CustomResourceConversion>) -> CustomResourceDefinition {
    let mut crd = SidecarSet::crd();
    crd.spec.versions.extend(v1beta1::SidecarSet::crd().spec.versions);
    for version in &mut crd.spec.versions {
        if version.name == V1BETA1 {
            version.served = conversion.is_some();
            version.storage = false;
        }
        let schema = version.schema.as_mut();
        if let Some(schema) = schema.and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            strip(schema);
        }
    }
    crd.spec.conversion = conversion;
    crd
}

/// Takes out what the derive adds to optional fields and definitions written in Go do not have.
fn strip(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.default = None;
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
