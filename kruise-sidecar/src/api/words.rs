//! Closed vocabularies. Each keeps a word that it does not know instead of failing to decode: an object that got past
//! admission must be shown to its user with a message, not vanish from the cache.

use std::borrow::Cow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $( $(#[$word_doc:meta])* $word:ident = $text:literal ),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[$word_doc])* $word, )+
            /// A word that is none of these; refused by validation.
            Other(String),
        }

        impl $name {
            /// The words that are known.
            pub const KNOWN: &'static [&'static str] = &[$($text),+];

            /// The word as it is written.
            pub fn as_str(&self) -> &str {
                match self {
                    $( Self::$word => $text, )+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $( $text => Self::$word, )+
                    _ => Self::Other(text),
                }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                match word {
                    $name::Other(text) => text,
                    word => word.as_str().to_owned(),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            // No `enum`: OpenKruise's schema takes any text, so that the webhook can say what is wrong with it.
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    };
}

words! {
    /// Whether pods that run are upgraded.
    UpdateStrategyType {
        /// Only new pods get what the set has now.
        NotUpdate = "NotUpdate",
        /// Pods are upgraded in place, a few at a time. The default.
        RollingUpdate = "RollingUpdate",
    }
}

words! {
    /// Where a sidecar stands among the containers of the pod.
    PodInjectPolicy {
        /// In front of them. The default of `containers`.
        BeforeAppContainer = "BeforeAppContainer",
        /// Behind them. The default of `initContainers`.
        AfterAppContainer = "AfterAppContainer",
    }
}

words! {
    /// How a sidecar is upgraded.
    UpgradeType {
        /// The container is restarted with the new image. The default.
        ColdUpgrade = "ColdUpgrade",
        /// Of two containers, the idle one gets the new image and takes over.
        HotUpgrade = "HotUpgrade",
    }
}

words! {
    /// Whether volumes of the app's containers are mounted into a sidecar too.
    ShareVolumeType {
        /// They are.
        Enabled = "enabled",
        /// They are not. The default.
        Disabled = "disabled",
    }
}

words! {
    /// What becomes of an annotation that the pod has already.
    PatchPolicy {
        /// It stays. The default.
        Retain = "Retain",
        /// It is replaced.
        Overwrite = "Overwrite",
        /// Both are JSON, and merged as by RFC 7386.
        MergePatchJson = "MergePatchJson",
    }
}

words! {
    /// Which new pods get the revision that is named.
    InjectRevisionPolicy {
        /// All of them. The default.
        Always = "Always",
        /// Those that the update strategy would not have upgraded.
        Partial = "Partial",
    }
}

words! {
    /// How resources of several containers become one number.
    TargetContainersMode {
        /// Their sum.
        Sum = "sum",
        /// The largest.
        Max = "max",
    }
}

/// Reads a word; an empty one, or `null`, is none. Go clients write empty ones.
pub(super) fn non_empty<'de, D: Deserializer<'de>, T: From<String>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()).map(T::from))
}

/// Reads a value of which `null` is the default. Go clients write it for empty lists, and revisions hold it.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Whether a flag is not set, so that it is left out.
pub(super) fn is_false(flag: &bool) -> bool {
    !flag
}
