//! Creations, updates and patches: from what was sent to what is stored.

use std::sync::Arc;

use serde_json::{Value, json};

use super::admission::{Operation, Review};
use super::json::{metadata, text, time};
use super::kinds::Kind;
use super::patch::Patch;
use super::patch::managed::{self, Manager};
use super::route::ResourcePath;
use super::rules::Rules;
use super::server::{Call, Inner, State};
use super::status::{ApiError, Cause};
use super::store::Key;
use super::{defaults, gc, meta, validate};

/// How often a patch is tried when others write between.
const ATTEMPTS: usize = 5;

/// What is to happen.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Create(Value),
    Update(Value),
    Patch(Patch),
}

#[derive(Clone, Debug)]
pub(crate) struct Write {
    pub(crate) kind: Arc<Kind>,
    pub(crate) version: String,
    pub(crate) namespace: String,
    /// Empty for a creation.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    pub(crate) change: Change,
    pub(crate) manager: Manager,
    pub(crate) user_agent: String,
    pub(crate) dry_run: bool,
}

/// A new object before it is stored.
struct Proposal {
    key: Key,
    old: Option<Arc<Value>>,
    new: Value,
}

impl Write {
    pub(crate) fn new(
        kind: Arc<Kind>,
        path: &ResourcePath,
        call: &Call,
        change: Change,
    ) -> Result<Self, ApiError> {
        let version = kind
            .version(&path.version)
            .ok_or_else(ApiError::no_such_resource)?;
        let subresource = path.subresource.clone().unwrap_or_default();
        if subresource == "status" && !version.status {
            return Err(ApiError::no_such_resource());
        }
        let namespace = path.namespace.clone().unwrap_or_default();
        if kind.namespaced && namespace.is_empty() {
            return Err(ApiError::method_not_allowed());
        }
        let prefix = call
            .user_agent
            .split('/')
            .next()
            .filter(|prefix| !prefix.is_empty());
        let manager = Manager {
            name: call
                .query
                .get("fieldManager")
                .or(prefix)
                .unwrap_or("unknown")
                .to_owned(),
            operation: match &change {
                Change::Patch(patch) if patch.is_apply() => "Apply",
                _ => "Update",
            },
            api_version: kind.api_version(&path.version),
            subresource: subresource.clone(),
        };
        Ok(Self {
            dry_run: dry_run(call.query.get("dryRun"))?,
            version: path.version.clone(),
            namespace,
            name: path.name.clone().unwrap_or_default(),
            subresource,
            change,
            manager,
            user_agent: call.user_agent.clone(),
            kind,
        })
    }

    /// By one of the server's own parts.
    pub(crate) fn internal(
        kind: Arc<Kind>,
        key: &Key,
        subresource: &str,
        change: Change,
        manager: &str,
    ) -> Self {
        let version = kind
            .versions
            .first()
            .map_or("v1", |version| &*version.name)
            .to_owned();
        Self {
            manager: Manager {
                name: manager.to_owned(),
                operation: "Update",
                api_version: kind.api_version(&version),
                subresource: subresource.to_owned(),
            },
            version,
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            subresource: subresource.to_owned(),
            change,
            user_agent: manager.to_owned(),
            dry_run: false,
            kind,
        }
    }

    fn not_found(&self) -> ApiError {
        ApiError::not_found(&self.kind.group, &self.kind.plural, &self.name)
    }

    fn modified(&self) -> ApiError {
        ApiError::modified(&self.kind.group, &self.kind.plural, &self.name)
    }
}

pub(crate) fn dry_run(value: Option<&str>) -> Result<bool, ApiError> {
    match value {
        None => Ok(false),
        Some("All") => Ok(true),
        Some(other) => {
            let cause = Cause::unsupported("dryRun", &json!([other]), &["\"All\"".to_owned()]);
            Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]))
        }
    }
}

impl Inner {
    /// Carries a write out: status code and the object as it is stored.
    pub(crate) async fn write(self: &Arc<Self>, write: Write) -> Result<(u16, Arc<Value>), ApiError> {
        for _ in 0..ATTEMPTS {
            let proposal = self.propose(&mut self.state.lock(), &write)?;
            let sent = proposal.new.clone();
            let review = Review {
                operation: if proposal.old.is_some() {
                    Operation::Update
                } else {
                    Operation::Create
                },
                kind: write.kind.clone(),
                version: write.version.clone(),
                subresource: write.subresource.clone(),
                namespace: proposal.key.namespace.clone(),
                name: proposal.key.name.clone(),
                object: Some(proposal.new),
                old: proposal
                    .old
                    .as_deref()
                    .map(|old| write.kind.show(old, &write.version)),
                user_agent: write.user_agent.clone(),
                dry_run: write.dry_run,
            };
            let admitted = self
                .admit(review, |object| self.check(&write, object))
                .await?
                .unwrap_or_default();
            let (code, stored, revision) = {
                let mut state = self.state.lock();
                let present = state.store.get(&write.kind.resource, &proposal.key);
                if present.map(|present| meta::version_of(present))
                    != proposal.old.as_deref().map(meta::version_of)
                {
                    continue;
                }
                let old = proposal.old.as_deref();
                let new = self.finish(&state, &write, old, &sent, admitted)?;
                let code = if old.is_some() { 200 } else { 201 };
                let new = write.kind.stored(new);
                let same = proposal.old.clone().filter(|old| **old == new);
                let stored = match same {
                    Some(old) => old,
                    None if write.dry_run => Arc::new(new),
                    None => self.commit(&mut state, &write.kind, proposal.key, new),
                };
                (code, stored, state.store.revision())
            };
            self.announce(revision);
            return Ok((code, stored));
        }
        Err(write.modified())
    }

    /// Stores an object, or removes it if nothing holds it any more. Then collects garbage.
    pub(crate) fn commit(&self, state: &mut State, kind: &Arc<Kind>, key: Key, new: Value) -> Arc<Value> {
        let stored = gc::put_or_remove(state, kind, key, new);
        if self.config.collect_garbage {
            gc::collect(state, self.clock.now());
        }
        stored
    }

    fn propose(&self, state: &mut State, write: &Write) -> Result<Proposal, ApiError> {
        let now = time(self.clock.now());
        match &write.change {
            Change::Create(body) => {
                let mut new = body.clone();
                meta::check_type(&write.kind, &write.version, &mut new)?;
                if !text(&new, &["metadata", "resourceVersion"]).is_empty() {
                    return Err(ApiError::new(
                        500,
                        "",
                        "resourceVersion should not be set on objects to be created",
                    ));
                }
                meta::name_for_creation(&mut state.random, &write.kind, &mut new)?;
                self.propose_new(state, write, new, &now)
            }
            Change::Update(body) => {
                let mut new = body.clone();
                meta::check_type(&write.kind, &write.version, &mut new)?;
                let name = text(&new, &["metadata", "name"]);
                if name.is_empty() {
                    return Err(ApiError::bad_request("name must be provided"));
                }
                if name != write.name {
                    return Err(ApiError::bad_request(format!(
                        "the name of the object ({name}) does not match the name on the URL ({})",
                        write.name
                    )));
                }
                let key = Key::new(&write.namespace, &write.name);
                match state.store.get(&write.kind.resource, &key).cloned() {
                    Some(old) => self.propose_change(write, key, old, new, true),
                    None if write.kind.built_in.is_some_and(|kind| kind.upsert)
                        && write.subresource.is_empty() =>
                    {
                        self.propose_new(state, write, new, &now)
                    }
                    None => Err(write.not_found()),
                }
            }
            Change::Patch(patch) => {
                let key = Key::new(&write.namespace, &write.name);
                let old = state.store.get(&write.kind.resource, &key).cloned();
                let seen = old.as_ref().map(|old| write.kind.show(old, &write.version));
                if seen.is_none() && (!patch.is_apply() || !write.subresource.is_empty()) {
                    return Err(write.not_found());
                }
                let mut new =
                    patch.apply(&write.kind, &write.version, seen.as_ref(), &write.manager, &now)?;
                if patch.is_apply() {
                    meta::check_type(&write.kind, &write.version, &mut new)?;
                }
                match old {
                    Some(old) => self.propose_change(write, key, old, new, false),
                    None => {
                        let metadata = metadata(&mut new);
                        metadata.entry("name").or_insert_with(|| json!(write.name));
                        if metadata.get("resourceVersion").is_some() {
                            return Err(write.modified());
                        }
                        self.propose_new(state, write, new, &now)
                    }
                }
            }
        }
    }

    fn propose_new(
        &self,
        state: &mut State,
        write: &Write,
        mut new: Value,
        now: &Value,
    ) -> Result<Proposal, ApiError> {
        meta::check_namespace(write, &mut new)?;
        let name = text(&new, &["metadata", "name"]).to_owned();
        let key = Key::new(&write.namespace, &name);
        meta::check_namespace_is_open(state, &write.kind, &write.namespace, &name)?;
        meta::begin(&mut state.random, &mut new, now);
        defaults::reset_status(&write.kind, &write.version, &mut new);
        let new = self.decode(write, new)?;
        if state.store.get(&write.kind.resource, &key).is_some() {
            return Err(ApiError::already_exists(
                &write.kind.group,
                &write.kind.plural,
                &name,
            ));
        }
        Ok(Proposal { key, old: None, new })
    }

    fn propose_change(
        &self,
        write: &Write,
        key: Key,
        old: Arc<Value>,
        mut new: Value,
        is_put: bool,
    ) -> Result<Proposal, ApiError> {
        meta::check_namespace(write, &mut new)?;
        let (kind, name) = (&write.kind, &*write.name);
        let uid = text(&new, &["metadata", "uid"]);
        let old_uid = text(&old, &["metadata", "uid"]);
        if !uid.is_empty() && uid != old_uid && !is_put {
            let cause = Cause::invalid("metadata.uid", &json!(uid), "field is immutable");
            return Err(ApiError::invalid(&kind.group, &kind.kind, name, vec![cause]));
        }
        if !uid.is_empty() && uid != old_uid {
            let why =
                format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {old_uid}");
            return Err(ApiError::conflict(&kind.group, &kind.plural, name, &why));
        }
        let version = text(&new, &["metadata", "resourceVersion"]);
        if version.is_empty() && is_put && !kind.built_in.is_some_and(|kind| kind.unconditional) {
            let cause = Cause::invalid(
                "metadata.resourceVersion",
                &json!(0),
                "must be specified for an update",
            );
            return Err(ApiError::invalid(&kind.group, &kind.kind, name, vec![cause]));
        }
        if !version.is_empty() && version != meta::version_of(&old) {
            return Err(write.modified());
        }
        if text(&new, &["metadata", "name"]) != name {
            let cause = Cause::invalid("metadata.name", &new["metadata"]["name"], "field is immutable");
            return Err(ApiError::invalid(&kind.group, &kind.kind, name, vec![cause]));
        }
        let deletion = &new["metadata"]["deletionTimestamp"];
        if write.subresource.is_empty()
            && !deletion.is_null()
            && *deletion != old["metadata"]["deletionTimestamp"]
        {
            let cause = Cause::invalid("metadata.deletionTimestamp", deletion, "field is immutable");
            return Err(ApiError::invalid(&kind.group, &kind.kind, name, vec![cause]));
        }
        let seen = kind.show(&old, &write.version);
        let managed = new["metadata"].get("managedFields").cloned();
        let mut new = meta::restrict(write, &seen, new);
        if let Some(managed) = managed {
            metadata(&mut new).insert("managedFields".to_owned(), managed);
        }
        meta::restore(&seen, &mut new);
        let new = self.decode(write, new)?;
        Ok(Proposal {
            key,
            old: Some(old),
            new,
        })
    }

    /// Drops what the kind does not have and sets defaults.
    fn decode(&self, write: &Write, mut new: Value) -> Result<Value, ApiError> {
        let kind = &write.kind;
        meta::drop_empty(&mut new);
        if let Some(built_in) = kind.built_in {
            let mut decoded = (built_in.decode)(new).map_err(|error| {
                ApiError::bad_request(format!(
                    "{} in version {:?} cannot be handled as a {}: {error}",
                    kind.kind, write.version, kind.kind
                ))
            })?;
            defaults::set(kind, &mut decoded);
            return Ok(decoded);
        }
        if let Some(schema) = kind
            .version(&write.version)
            .and_then(|version| version.schema.as_ref())
        {
            schema.prune_and_default(&mut new);
        }
        Ok(new)
    }

    /// Judges a new object by itself.
    fn check(&self, write: &Write, new: &Value) -> Result<(), ApiError> {
        let kind = &write.kind;
        let mut causes = Vec::new();
        validate::metadata(kind, new, &mut causes);
        if let Some(schema) = kind
            .version(&write.version)
            .and_then(|version| version.schema.as_ref())
        {
            schema.validate(new, "", &mut causes);
        }
        validate::object(kind, new, &mut causes);
        if causes.is_empty() {
            return Ok(());
        }
        let name = text(new, &["metadata", "name"]);
        Err(ApiError::invalid(&kind.group, &kind.kind, name, causes))
    }

    /// The last steps before an object is stored, after admission.
    fn finish(
        &self,
        state: &State,
        write: &Write,
        old: Option<&Value>,
        sent: &Value,
        new: Value,
    ) -> Result<Value, ApiError> {
        let kind = &write.kind;
        let mut new = new;
        let seen = old.map(|old| kind.show(old, &write.version));
        if let Some(old) = &seen {
            meta::restore(old, &mut new);
            let causes = validate::change(kind, &write.subresource, old, &new);
            if !causes.is_empty() {
                return Err(ApiError::invalid(&kind.group, &kind.kind, &write.name, causes));
            }
        }
        if kind.is("apiextensions.k8s.io", "CustomResourceDefinition") {
            defaults::accept_definition(&state.kinds, &mut new, &time(self.clock.now()))?;
        }
        let generation = meta::generation(kind, &write.version, seen.as_ref(), &new);
        if let Some(generation) = generation {
            metadata(&mut new).insert("generation".to_owned(), json!(generation));
        }
        let now = time(self.clock.now());
        let rules = Rules::new(kind, &write.version);
        if write.manager.operation == "Apply" {
            // The fields were noted when the patch was applied; what admission changed counts as an update.
            let mut sent = sent.clone();
            managed::carry(&mut sent, &mut new);
            let admission = Manager {
                operation: "Update",
                ..write.manager.clone()
            };
            managed::updated(&rules, Some(&sent), &mut new, &admission, &now);
        } else {
            managed::updated(&rules, seen.as_ref(), &mut new, &write.manager, &now);
        }
        Ok(new)
    }
}
