//! Enters converters in the definitions of the objects that they convert, and takes them out again.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceConversion, CustomResourceDefinition,
};
use kube_client::api::{Patch, PatchParams};
use kube_client::{Api, Client};
use serde_json::{Value, json};

use super::announce::{self, Target};
use super::error::WriteError;
use crate::webhook::Conversion;

/// How often a definition is tried at once while others write it too.
const ATTEMPTS: u32 = 5;

/// Enters a converter, and serves the versions that need it. Whether anything had to be written.
pub(super) async fn enter(
    api: &Api<CustomResourceDefinition>,
    conversion: &Conversion,
    target: &Target,
    authority: &str,
) -> Result<bool, WriteError> {
    let definition = Definition::of(api, conversion);
    let actual = api
        .get(definition.name())
        .await
        .map_err(definition.failed("read"))?;
    // Both go through the same type, so that order and omitted fields are no difference.
    let wanted = announce::conversion(conversion, target, authority);
    let wanted = serde_json::from_value(wanted).map_err(definition.not_encoded())?;
    definition.bring(&actual, &wanted, true).await
}

/// Takes the converters that a [`ConfigurationWriter`](super::ConfigurationWriter) with this target (its
/// `conversion_target`, if it has one) has entered out of their definitions, for a program that is about to be removed.
/// Versions that need the converter are no longer served. Without this, objects could be read only in the version that is
/// stored, and the garbage collector of many releases of Kubernetes can stall.
///
/// A definition that is gone, or whose converter is another program's, is left alone. The programs that announce the
/// converter must have ended, or at least have lost their rights: they would enter it again.
///
/// Returns the names of the definitions that were changed. Needs the rights of [`rbac::conversion`](super::rbac::conversion).
///
/// # Errors
/// A definition could not be read or patched; those before it are done.
pub async fn withdraw_converters<'c>(
    client: Client,
    conversions: impl IntoIterator<Item = &'c Conversion>,
    target: &Target,
) -> Result<Vec<String>, WriteError> {
    let api = Api::all(client);
    let mut changed = Vec::new();
    for conversion in conversions {
        let definition = Definition::of(&api, conversion);
        if definition.withdraw(target).await? {
            changed.push(conversion.definition.clone());
        }
    }
    Ok(changed)
}

/// A definition, and the converter of its objects.
struct Definition<'a> {
    api: &'a Api<CustomResourceDefinition>,
    conversion: &'a Conversion,
}

impl<'a> Definition<'a> {
    fn of(api: &'a Api<CustomResourceDefinition>, conversion: &'a Conversion) -> Self {
        Self { api, conversion }
    }

    fn name(&self) -> &'a str {
        &self.conversion.definition
    }

    fn failed(&self, verb: &'static str) -> impl FnOnce(kube_client::Error) -> WriteError {
        let name = self.name().to_owned();
        move |source| WriteError::Api { name, verb, source }
    }

    fn not_encoded(&self) -> impl FnOnce(serde_json::Error) -> WriteError {
        let name = self.name().to_owned();
        move |source| WriteError::Encode { name, source }
    }

    async fn withdraw(&self, target: &Target) -> Result<bool, WriteError> {
        let none = CustomResourceConversion {
            strategy: "None".to_owned(),
            webhook: None,
        };
        let mut left = ATTEMPTS;
        loop {
            left -= 1;
            let found = self.api.get_opt(self.name()).await;
            let Some(actual) = found.map_err(self.failed("read"))? else {
                return Ok(false);
            };
            if !self.leads_to(&actual, target)? {
                return Ok(false);
            }
            match self.bring(&actual, &none, false).await {
                // Somebody else wrote in between: a patch whose test fails is invalid.
                Err(error) if left > 0 && matches!(error.code(), Some(409 | 422)) => {}
                done => return done,
            }
        }
    }

    /// Whether the converter that is entered is ours, under whatever authority.
    fn leads_to(&self, actual: &CustomResourceDefinition, target: &Target) -> Result<bool, WriteError> {
        let entered = actual.spec.conversion.as_ref();
        let Some(entered) = entered.and_then(|conversion| conversion.webhook.as_ref()) else {
            return Ok(false);
        };
        let mut entered = serde_json::to_value(&entered.client_config).map_err(self.not_encoded())?;
        let mut ours = target.client_config(&self.conversion.path, "");
        for config in [&mut entered, &mut ours] {
            config.as_object_mut().map(|config| config.remove("caBundle"));
        }
        Ok(entered == ours)
    }

    /// Writes the conversion and whether the versions that need the converter are served, if `actual` differs.
    async fn bring(
        &self,
        actual: &CustomResourceDefinition,
        wanted: &CustomResourceConversion,
        served: bool,
    ) -> Result<bool, WriteError> {
        let mut steps = Vec::new();
        if actual.spec.conversion.as_ref() != Some(wanted) {
            steps.push(json!({"op": "add", "path": "/spec/conversion", "value": wanted}));
        }
        for (at, version) in actual.spec.versions.iter().enumerate() {
            if self.conversion.serves.contains(&version.name) && version.served != served {
                let path = format!("/spec/versions/{at}/served");
                steps.push(json!({"op": "replace", "path": path, "value": served}));
            }
        }
        if steps.is_empty() {
            return Ok(false);
        }
        // What somebody else wrote in between is looked at first.
        let version = json!({"op": "test", "path": "/metadata/resourceVersion",
            "value": actual.metadata.resource_version});
        steps.insert(0, version);
        let patch: json_patch::Patch =
            serde_json::from_value(Value::Array(steps)).map_err(self.not_encoded())?;
        self.api
            .patch(self.name(), &PatchParams::default(), &Patch::Json::<()>(patch))
            .await
            .map_err(self.failed("patched"))?;
        Ok(true)
    }
}
