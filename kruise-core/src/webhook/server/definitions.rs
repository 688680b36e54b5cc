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
    let definition = Definition { api, conversion };
    // Both go through the same type, so that order and omitted fields are no difference.
    let wanted = announce::conversion(conversion, target, authority);
    let wanted = serde_json::from_value(wanted).map_err(definition.not_encoded())?;
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        let actual = api.get(definition.name()).await;
        let actual = actual.map_err(definition.failed("read"))?;
        match definition.bring(&actual, &wanted, true).await {
            Err(error) if left > 0 && raced(&error) => {}
            done => return done,
        }
    }
}

/// What became of a converter that was to be withdrawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Withdrawal {
    /// The definition names it no more.
    Done,
    /// The definition is gone.
    NoDefinition,
    /// The definition has no converter.
    NoConverter,
    /// The definition has the converter of another program, which was left alone.
    Other,
}

/// Takes a converter that a [`ConfigurationWriter`](super::ConfigurationWriter) has entered with this target
/// ([`WriterConfig::converter`](super::WriterConfig::converter)) out of the definition, for a program that is about to be
/// removed. Versions that need the converter are no longer served. Without this, objects could be read only in the version
/// that is stored, and the garbage collector of many releases of Kubernetes can stall.
///
/// The programs that announce the converter must have ended, or at least have lost their rights: they would enter it again.
/// Needs the rights of [`rbac::conversion`](super::rbac::conversion).
///
/// # Errors
/// [`WriteError::StillStored`] if objects may be stored in a version that needs the converter: without one, the API server
/// would drop what the others do not have. Else the definition could not be read or patched.
pub async fn withdraw_converter(
    client: Client,
    conversion: &Conversion,
    target: &Target,
) -> Result<Withdrawal, WriteError> {
    let api = Api::all(client);
    let api = &api;
    let definition = Definition { api, conversion };
    let none = CustomResourceConversion {
        strategy: "None".to_owned(),
        webhook: None,
    };
    let mut left = ATTEMPTS;
    loop {
        left -= 1;
        let found = api.get_opt(definition.name()).await;
        let Some(actual) = found.map_err(definition.failed("read"))? else {
            return Ok(Withdrawal::NoDefinition);
        };
        match definition.leads_to(&actual, target)? {
            None => return Ok(Withdrawal::NoConverter),
            Some(false) => return Ok(Withdrawal::Other),
            Some(true) => {}
        }
        if let Some(version) = definition.stored(&actual) {
            return Err(WriteError::StillStored {
                name: definition.name().to_owned(),
                version: version.to_owned(),
            });
        }
        match definition.bring(&actual, &none, false).await {
            Err(error) if left > 0 && raced(&error) => {}
            done => return done.map(|_| Withdrawal::Done),
        }
    }
}

/// Whether somebody else wrote in between: a patch whose test fails is invalid.
fn raced(error: &WriteError) -> bool {
    matches!(error.code(), Some(409 | 422))
}

/// A definition, and the converter of its objects.
struct Definition<'a> {
    api: &'a Api<CustomResourceDefinition>,
    conversion: &'a Conversion,
}

impl<'a> Definition<'a> {
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

    /// A version that needs the converter, and in which objects may be stored.
    fn stored<'d>(&self, actual: &'d CustomResourceDefinition) -> Option<&'d str> {
        let status = actual.status.iter();
        let earlier = status.flat_map(|status| status.stored_versions.iter().flatten());
        let versions = actual.spec.versions.iter();
        let now = versions
            .filter(|version| version.storage)
            .map(|version| &version.name);
        let mut all = now.chain(earlier).map(String::as_str);
        all.find(|version| self.conversion.serves.iter().any(|serves| serves == version))
    }

    /// Whether the converter that is entered is ours, under whatever authority; `None` if there is none.
    fn leads_to(
        &self,
        actual: &CustomResourceDefinition,
        target: &Target,
    ) -> Result<Option<bool>, WriteError> {
        let entered = actual.spec.conversion.as_ref();
        let Some(entered) = entered.and_then(|conversion| conversion.webhook.as_ref()) else {
            return Ok(None);
        };
        let mut entered = serde_json::to_value(&entered.client_config).map_err(self.not_encoded())?;
        let mut ours = target.client_config(&self.conversion.path, "");
        for config in [&mut entered, &mut ours] {
            config.as_object_mut().map(|config| config.remove("caBundle"));
        }
        Ok(Some(entered == ours))
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
