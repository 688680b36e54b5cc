//! Decoding that one bad object cannot stop.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::{DynamicResourceScope, Resource};
use serde::de::{self, Deserialize, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};

use crate::runtime::{Cached, ObjectKey};

/// An object that the server sent and that could not be decoded. The watch goes on without it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Undecodable {
    /// Which object; its name is empty when not even that could be read.
    pub key: ObjectKey,
    /// Its uid, or empty.
    pub uid: String,
    /// Its resourceVersion, or empty.
    pub resource_version: String,
    /// What the decoder said.
    pub error: String,
}

/// An object of kind `K` as the server sent it, decoded into `D` if that is possible.
///
/// This is what the watch is opened on. Its own metadata hold only what the watch itself reads: the resourceVersion.
pub(super) struct Envelope<K, D> {
    meta: ObjectMeta,
    pub(super) body: Result<D, Undecodable>,
    kind: PhantomData<fn() -> K>,
}

impl<K, D: Clone> Clone for Envelope<K, D> {
    fn clone(&self) -> Self {
        Self {
            meta: self.meta.clone(),
            body: self.body.clone(),
            kind: PhantomData,
        }
    }
}

impl<K, D> fmt::Debug for Envelope<K, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope")
            .field("version", &self.meta.resource_version)
            .finish_non_exhaustive()
    }
}

impl<K: Resource<DynamicType = ()>, D> Resource for Envelope<K, D> {
    type DynamicType = ();
    /// Either: the request path is `K`'s, and namespaced only when the caller's `Api<K>` was.
    type Scope = DynamicResourceScope;

    fn kind(dt: &()) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &()) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &()) -> Cow<'_, str> {
        K::version(dt)
    }

    fn api_version(dt: &()) -> Cow<'_, str> {
        K::api_version(dt)
    }

    fn plural(dt: &()) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

/// What is read of an object that cannot be decoded.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Identity {
    metadata: IdentityMeta,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct IdentityMeta {
    name: String,
    namespace: Option<String>,
    uid: String,
    resource_version: String,
}

impl<K, D: Cached> Envelope<K, D> {
    fn good(object: D) -> Self {
        let meta = ObjectMeta {
            resource_version: Some(object.resource_version().to_owned()),
            ..ObjectMeta::default()
        };
        Self {
            meta,
            body: Ok(object),
            kind: PhantomData,
        }
    }

    fn bad(error: &serde_json::Error, identity: Identity) -> Self {
        let IdentityMeta {
            name,
            namespace,
            uid,
            resource_version,
        } = identity.metadata;
        let key = ObjectKey {
            namespace: namespace.map(Into::into),
            name: name.into(),
        };
        let meta = ObjectMeta {
            resource_version: Some(resource_version.clone()),
            ..ObjectMeta::default()
        };
        let body = Err(Undecodable {
            key,
            uid,
            resource_version,
            error: error.to_string(),
        });
        Self {
            meta,
            body,
            kind: PhantomData,
        }
    }
}

/// The name by which serde_json is asked for the text of a value instead of the value. A deserializer that does not
/// know it (a buffered value, another version) hands out the value itself, which works too and costs more.
const RAW: &str = "$serde_json::private::RawValue";

impl<'de, K, D: Cached + DeserializeOwned> Deserialize<'de> for Envelope<K, D> {
    fn deserialize<S: Deserializer<'de>>(deserializer: S) -> Result<Self, S::Error> {
        deserializer.deserialize_newtype_struct(RAW, Opener(PhantomData))
    }
}

struct Opener<K, D>(PhantomData<fn() -> (K, D)>);

impl<'de, K, D: Cached + DeserializeOwned> Visitor<'de> for Opener<K, D> {
    type Value = Envelope<K, D>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    /// The text of the object: each decoder starts from its beginning.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        map.next_key::<de::IgnoredAny>()?;
        map.next_value_seed(self)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(match serde_json::from_str::<D>(text) {
            Ok(object) => Envelope::good(object),
            Err(error) => Envelope::bad(&error, serde_json::from_str(text).unwrap_or_default()),
        })
    }

    /// The object itself, from a deserializer that cannot give its text.
    fn visit_newtype_struct<S: Deserializer<'de>>(self, deserializer: S) -> Result<Self::Value, S::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(match D::deserialize(&value) {
            Ok(object) => Envelope::good(object),
            Err(error) => Envelope::bad(&error, serde_json::from_value(value).unwrap_or_default()),
        })
    }
}

impl<'de, K, D: Cached + DeserializeOwned> DeserializeSeed<'de> for Opener<K, D> {
    type Value = Envelope<K, D>;

    fn deserialize<S: Deserializer<'de>>(self, deserializer: S) -> Result<Self::Value, S::Error> {
        deserializer.deserialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use kube_core::WatchEvent;
    use serde_json::json;

    type Lenient = Envelope<Pod, Pod>;

    fn bad_pod() -> serde_json::Value {
        json!({"metadata": {"name": "p", "namespace": "ns", "uid": "u", "resourceVersion": "7"},
               "spec": {"containers": "none"}})
    }

    #[test]
    fn a_bad_object_in_a_list_is_named_and_its_neighbours_are_decoded() {
        let text = json!({"items": [bad_pod(), {"metadata": {"name": "q", "resourceVersion": "8"}}],
                          "metadata": {"resourceVersion": "9"}})
        .to_string();
        let list: kube_core::ObjectList<Lenient> = serde_json::from_str(&text).unwrap();
        let bad = list.items[0].body.as_ref().unwrap_err();
        assert_eq!(bad.key, ObjectKey::new("ns", "p"));
        assert_eq!((bad.uid.as_str(), bad.resource_version.as_str()), ("u", "7"));
        assert!(!bad.error.is_empty());
        assert_eq!(
            list.items[1].body.as_ref().unwrap().key(),
            ObjectKey::cluster("q")
        );
        assert_eq!(list.items[1].meta().resource_version.as_deref(), Some("8"));
    }

    #[test]
    fn watch_events_are_decoded_whatever_the_order_of_their_fields() {
        let object = bad_pod();
        for text in [
            format!(r#"{{"type":"ADDED","object":{object}}}"#),
            format!(r#"{{"object":{object},"type":"ADDED"}}"#),
        ] {
            let WatchEvent::Added(envelope) = serde_json::from_str::<WatchEvent<Lenient>>(&text).unwrap()
            else {
                panic!("not an addition")
            };
            assert_eq!(envelope.body.unwrap_err().key, ObjectKey::new("ns", "p"));
            assert_eq!(envelope.meta.resource_version.as_deref(), Some("7"));
        }
    }

    #[test]
    fn the_fast_path_sees_the_text_of_the_object() {
        struct IsText;
        impl<'de> Visitor<'de> for IsText {
            type Value = bool;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
                map.next_key::<de::IgnoredAny>()?;
                Ok(map.next_value::<&str>()? == r#"{"a":1}"#)
            }
            fn visit_newtype_struct<S: Deserializer<'de>>(self, _: S) -> Result<bool, S::Error> {
                Ok(false)
            }
        }
        let mut json = serde_json::Deserializer::from_str(r#"{"a":1}"#);
        assert!(json.deserialize_newtype_struct(RAW, IsText).unwrap());
    }

    #[test]
    fn an_object_without_any_identity_is_still_only_one_bad_object() {
        for text in ["7", "[]", r#"{"metadata":7}"#] {
            let envelope: Lenient = serde_json::from_str(text).unwrap();
            assert_eq!(envelope.body.unwrap_err().key.name.as_ref(), "", "{text}");
        }
    }
}
