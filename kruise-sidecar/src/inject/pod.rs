//! What injection reads of a pod, borrowed from its text. All else is skipped by the parser and stays as it is.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use kruise_core::policy::Labels;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::api::names::{IS_INJECTED_ENV, IS_INJECTED_VALUE};

/// A string of the pod: a part of its text, unless it has escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrow;
        impl<'de> Visitor<'de> for Borrow {
            type Value = Text<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrow)
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Labels or annotations, in the order of the text.
#[derive(Clone, Debug, Default)]
pub(super) struct Pairs<'a>(Vec<(Text<'a>, Text<'a>)>);

impl Pairs<'_> {
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().find(|(held, _)| held.as_ref() == key);
        found.map(|(_, value)| value.as_ref())
    }
}

impl Labels for Pairs<'_> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::with_capacity(8);
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Map)
    }
}

/// A JSON object, and not the list of fields that serde takes for one too.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Fields<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(Fields(PhantomData))
    }
}

/// Reads an object.
pub(super) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, serde_json::Error> {
    serde_json::from_str(text).map(|Object(read)| read)
}

/// Reads a list of objects; `null` is none.
fn objects<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    let list: Option<Vec<Object<T>>> = Option::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|Object(read)| read).collect()))
}

/// A pod; its spec is read only if a set matches.
#[derive(Debug, Deserialize)]
pub(super) struct PodText<'a> {
    #[serde(default, borrow)]
    metadata: Option<Object<Metadata<'a>>>,
    #[serde(default, borrow)]
    pub(super) spec: Option<&'a RawValue>,
    #[serde(default, borrow)]
    status: Option<Object<Status<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata<'a> {
    #[serde(default, borrow)]
    pub(super) namespace: Option<Text<'a>>,
    #[serde(default, borrow)]
    pub(super) labels: Option<Pairs<'a>>,
    #[serde(default, borrow)]
    pub(super) annotations: Option<Pairs<'a>>,
    #[serde(default, borrow)]
    pub(super) deletion_timestamp: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Status<'a> {
    #[serde(default, borrow)]
    phase: Option<Text<'a>>,
}

impl<'a> PodText<'a> {
    pub(super) fn metadata(&self) -> Option<&Metadata<'a>> {
        self.metadata.as_ref().map(|Object(metadata)| metadata)
    }

    pub(super) fn namespace(&self) -> Option<&str> {
        let namespace = self.metadata()?.namespace.as_ref()?.as_ref();
        Some(namespace).filter(|namespace| !namespace.is_empty())
    }

    /// Whether it is being deleted or has ended, so that nothing is injected any more.
    pub(super) fn is_over(&self) -> bool {
        let phase = self
            .status
            .as_ref()
            .and_then(|Object(status)| status.phase.as_ref());
        let ended = phase.is_some_and(|phase| matches!(phase.as_ref(), "Succeeded" | "Failed"));
        let metadata = self.metadata();
        ended || metadata.is_some_and(|metadata| metadata.deletion_timestamp.is_some())
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spec<'a> {
    #[serde(default, borrow, deserialize_with = "objects")]
    pub(super) containers: Option<Vec<Container<'a>>>,
    #[serde(default, borrow, deserialize_with = "objects")]
    pub(super) init_containers: Option<Vec<Container<'a>>>,
    #[serde(default, borrow, deserialize_with = "objects")]
    pub(super) volumes: Option<Vec<Named<'a>>>,
    #[serde(default, borrow)]
    pub(super) image_pull_secrets: Option<Vec<Entry<'a>>>,
}

/// A container; its lists are read only if something is shared or looked for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container<'a> {
    #[serde(default, borrow)]
    pub(super) name: Text<'a>,
    #[serde(default, borrow)]
    env: Option<&'a RawValue>,
    #[serde(default, borrow)]
    volume_mounts: Option<&'a RawValue>,
    #[serde(default, borrow)]
    volume_devices: Option<&'a RawValue>,
}

impl<'a> Container<'a> {
    pub(super) fn env(&self) -> Result<Vec<Entry<'a>>, serde_json::Error> {
        list(self.env)
    }

    pub(super) fn mounts(&self) -> Result<Vec<Mount<'a>>, serde_json::Error> {
        list(self.volume_mounts)
    }

    pub(super) fn devices(&self) -> Result<Vec<Device<'a>>, serde_json::Error> {
        list(self.volume_devices)
    }

    /// What its `IS_INJECTED` say.
    pub(super) fn injected(&self) -> Result<Injected, serde_json::Error> {
        #[derive(Deserialize)]
        struct Plain<'a> {
            #[serde(default, borrow)]
            value: Option<Text<'a>>,
        }
        let mut injected = Injected::default();
        let Some(env) = self.env else { return Ok(injected) };
        // Most containers are spared the reading.
        if !env.get().contains(IS_INJECTED_ENV) && !env.get().contains('\\') {
            return Ok(injected);
        }
        let env = self.env()?;
        let marks = env.iter().filter(|entry| entry.name.as_ref() == IS_INJECTED_ENV);
        for (at, mark) in marks.enumerate() {
            let Plain { value } = read(mark.raw)?;
            let says_so = value.is_some_and(|value| value.as_ref() == IS_INJECTED_VALUE);
            injected.first |= at == 0 && says_so;
            injected.somewhere |= says_so;
        }
        Ok(injected)
    }
}

/// Whether an injection put a container there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Injected {
    /// The first `IS_INJECTED` says `true`: then nothing of it is shared, as in OpenKruise.
    pub(super) first: bool,
    /// One of them does, as in every container that was injected.
    pub(super) somewhere: bool,
}

fn list<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<Vec<T>, serde_json::Error> {
    raw.map_or(Ok(Vec::new()), |raw| serde_json::from_str(raw.get()))
}

/// A thing of which only the name matters.
#[derive(Debug, Deserialize)]
pub(super) struct Named<'a> {
    #[serde(default, borrow)]
    pub(super) name: Text<'a>,
}

/// A thing with a name, and its text.
#[derive(Clone, Debug)]
pub(super) struct Entry<'a> {
    pub(super) name: Text<'a>,
    pub(super) raw: &'a str,
}

impl<'de: 'a, 'a> Deserialize<'de> for Entry<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (raw, Named { name }) = with_text(deserializer)?;
        Ok(Self { name, raw })
    }
}

/// A volume mount, and its text.
#[derive(Clone, Debug)]
pub(super) struct Mount<'a> {
    pub(super) path: Text<'a>,
    pub(super) sub_path_expr: Option<Text<'a>>,
    pub(super) raw: &'a str,
}

impl<'de: 'a, 'a> Deserialize<'de> for Mount<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            #[serde(default, borrow)]
            mount_path: Text<'a>,
            #[serde(default, borrow)]
            sub_path_expr: Option<Text<'a>>,
        }
        let (raw, wire): (_, Wire<'_>) = with_text(deserializer)?;
        Ok(Self {
            path: wire.mount_path,
            sub_path_expr: wire.sub_path_expr,
            raw,
        })
    }
}

/// A volume device, and its text.
#[derive(Clone, Debug)]
pub(super) struct Device<'a> {
    pub(super) path: Text<'a>,
    pub(super) raw: &'a str,
}

impl<'de: 'a, 'a> Deserialize<'de> for Device<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire<'a> {
            #[serde(default, borrow)]
            device_path: Text<'a>,
        }
        let (raw, wire): (_, Wire<'_>) = with_text(deserializer)?;
        Ok(Self {
            path: wire.device_path,
            raw,
        })
    }
}

fn with_text<'de, D, T>(deserializer: D) -> Result<(&'de str, T), D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let raw = <&'de RawValue>::deserialize(deserializer)?.get();
    let read = read(raw).map_err(serde::de::Error::custom)?;
    Ok((raw, read))
}
