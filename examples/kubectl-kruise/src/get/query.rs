//! Requests for objects of one kind.

use http::Request as HttpRequest;
use http::header::{ACCEPT, HeaderValue};
use kruise_core::api::names::GROUP;
use kube_client::api::{Api, ApiResource, DynamicObject, GetParams, ListParams, WatchParams};
use kube_core::{GroupVersionKind, Request};
use serde_json::Value;

use crate::cli::{GetFlags, Kind};
use crate::connect::Connection;
use crate::failure::{Failure, Result};

/// Tables, and from servers that have none the objects.
const AS_TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const VERSION: &str = "v1alpha1";

/// What is asked of one kind.
pub(super) struct Query<'q> {
    connection: &'q Connection,
    kind: &'static Kind,
    request: Request,
    /// Which objects, if they are not named.
    pub(super) params: ListParams,
    /// Rows of tables have to come with whole objects.
    objects: bool,
}

impl<'q> Query<'q> {
    /// What flags ask for.
    pub(super) fn new(flags: &GetFlags, connection: &'q Connection, kind: &'static Kind) -> Self {
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind.kind), kind.plural);
        let client = connection.client.clone();
        let api: Api<DynamicObject> = match kind.namespaced && !flags.all_namespaces {
            true => Api::namespaced_with(client, &connection.namespace, &resource),
            false => Api::all_with(client, &resource),
        };
        Self {
            connection,
            kind,
            request: Request::new(api.resource_url()),
            params: ListParams {
                label_selector: flags.selector.clone(),
                field_selector: flags.field_selector.clone(),
                ..ListParams::default()
            },
            objects: flags.sort_by.is_some(),
        }
    }

    /// The objects of these names, an answer for each, or all of them in one; as tables, or as they are. What does not exist is
    /// added to `missing`.
    pub(super) async fn fetch(
        &self,
        names: &[String],
        tables: bool,
        missing: &mut Vec<Failure>,
    ) -> Result<Vec<Value>> {
        if names.is_empty() {
            return Ok(vec![self.list(tables).await?]);
        }
        let mut answers = Vec::new();
        for name in names {
            let request = self.request.get(name, &GetParams::default());
            let request = self.prepare(request, tables)?;
            match self.connection.client.request::<Value>(request).await {
                Ok(answer) => answers.push(answer),
                Err(kube_client::Error::Api(status)) if status.is_not_found() => {
                    missing.push(self.failure("getting", &kube_client::Error::Api(status)));
                }
                Err(error) => return Err(self.failure("getting", &error)),
            }
        }
        Ok(answers)
    }

    /// All objects that fit.
    pub(super) async fn list(&self, tables: bool) -> Result<Value> {
        let request = self.prepare(self.request.list(&self.params), tables)?;
        let answer = self.connection.client.request::<Value>(request).await;
        answer.map_err(|error| self.failure("getting", &error))
    }

    /// A request for what changes after a version.
    pub(super) fn watch(&self, version: &str, tables: bool) -> Result<HttpRequest<Vec<u8>>> {
        let params = WatchParams {
            label_selector: self.params.label_selector.clone(),
            field_selector: self.params.field_selector.clone(),
            bookmarks: false,
            ..WatchParams::default()
        };
        self.prepare(self.request.watch(&params, version), tables)
    }

    /// A request failed.
    pub(super) fn failure(&self, doing: &str, error: &kube_client::Error) -> Failure {
        Failure::api(&format!("{doing} {}", self.kind.plural), error)
    }

    fn prepare(
        &self,
        request: std::result::Result<HttpRequest<Vec<u8>>, kube_core::request::Error>,
        tables: bool,
    ) -> Result<HttpRequest<Vec<u8>>> {
        let mut request = request.map_err(|error| Failure::new(error.to_string()))?;
        if tables {
            let accept = HeaderValue::from_static(AS_TABLE);
            request.headers_mut().insert(ACCEPT, accept);
        }
        if tables && self.objects {
            let uri = request.uri().to_string();
            let mark = if uri.contains('?') { '&' } else { '?' };
            let uri = format!("{uri}{mark}includeObject=Object").parse();
            *request.uri_mut() = uri.map_err(|error| Failure::new(format!("the request: {error}")))?;
        }
        Ok(request)
    }
}
