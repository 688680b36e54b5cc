//! Which gates there are, and how they depend on each other.

use std::fmt;

use super::{GateError, Gates};

/// The name of a feature gate. Declare each once, as a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gate(&'static str);

impl Gate {
    /// A gate of this name, by custom in `CamelCase`.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name as users write it.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// How far a gated feature has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// May change or go away.
    Alpha,
    /// Well tested, details may change.
    Beta,
    /// Here to stay.
    Ga,
    /// About to go away.
    Deprecated,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Alpha => "ALPHA",
            Stage::Beta => "BETA",
            Stage::Ga => "GA",
            Stage::Deprecated => "DEPRECATED",
        })
    }
}

/// What a registry knows of a gate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GateInfo {
    /// The gate.
    pub gate: Gate,
    /// Whether it is on when nobody says otherwise.
    pub default: bool,
    /// How far the feature has come.
    pub stage: Stage,
    /// What it switches, in a sentence.
    pub description: &'static str,
}

/// A gate whose feature is always there, or never: a setting that users bring along and that changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FixedGate {
    /// The gate.
    pub gate: Gate,
    /// Its only state.
    pub enabled: bool,
    /// Why it has no other, as the end of a sentence.
    pub why: &'static str,
}

impl fmt::Display for FixedGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { gate, enabled, why } = self;
        write!(f, "{gate}={enabled} changes nothing: {why}")
    }
}

/// A set of gates with their defaults and dependencies. See the [module](super) for an example.
#[derive(Clone, Debug, Default)]
pub struct GateRegistry {
    gates: Vec<GateInfo>,
    fixed: Vec<FixedGate>,
    /// The first is off whenever the second is.
    pub(super) requires: Vec<(Gate, Gate)>,
    /// The second is on whenever the first is.
    pub(super) enables: Vec<(Gate, Gate)>,
}

impl GateRegistry {
    /// A registry without gates.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gate, or redefines the one of that name.
    #[must_use]
    pub fn gate(mut self, gate: Gate, default: bool, stage: Stage, description: &'static str) -> Self {
        self.gates.retain(|info| info.gate != gate);
        self.gates.push(GateInfo {
            gate,
            default,
            stage,
            description,
        });
        self
    }

    /// Adds a gate that is no switch here: its feature is always there, or never. Setting it to `enabled` is accepted and told
    /// by [`Gates::fixed`]; the other setting is refused, and `why` says the reason.
    #[must_use]
    pub fn fixed(mut self, gate: Gate, enabled: bool, why: &'static str) -> Self {
        self.fixed.retain(|fixed| fixed.gate != gate);
        self.fixed.push(FixedGate { gate, enabled, why });
        self
    }

    /// Changes the default of a gate. An explicit setting still wins. Without effect on gates that were not added.
    #[must_use]
    pub fn default_of(mut self, gate: Gate, default: bool) -> Self {
        if let Some(info) = self.gates.iter_mut().find(|info| info.gate == gate) {
            info.default = default;
        }
        self
    }

    /// `gate` makes no sense without `needed`: it is forced off when `needed` is off, even if set explicitly.
    #[must_use]
    pub fn requires(mut self, gate: Gate, needed: Gate) -> Self {
        self.requires.push((gate, needed));
        self
    }

    /// `gate` makes use of `other`: `other` is forced on when `gate` is on, even if set explicitly.
    #[must_use]
    pub fn enables(mut self, gate: Gate, other: Gate) -> Self {
        self.enables.push((gate, other));
        self
    }

    /// All gates, in the order in which they were added.
    pub fn gates(&self) -> impl Iterator<Item = &GateInfo> {
        self.gates.iter()
    }

    /// The gates with all defaults.
    ///
    /// # Errors
    /// [`GateError::Conflict`] when the dependencies contradict the defaults.
    pub fn defaults(&self) -> Result<Gates, GateError> {
        self.parse("")
    }

    /// Reads settings of the form `A=true,B=false`. Gates that are not named keep their default; empty parts and
    /// blanks around names and values are skipped. Values are those of Go's `strconv.ParseBool`: `true`, `True`,
    /// `TRUE`, `t`, `T`, `1` and their opposites.
    ///
    /// Dependencies are applied afterwards: first [`GateRegistry::requires`], then [`GateRegistry::enables`].
    ///
    /// # Errors
    /// Says which part is wrong: unknown or repeated names, values that are not booleans, settings that
    /// [`GateRegistry::fixed`] rules out, and dependencies that cannot all be kept.
    pub fn parse(&self, text: &str) -> Result<Gates, GateError> {
        let mut set: Vec<(Gate, bool)> = Vec::new();
        let mut named: Vec<FixedGate> = Vec::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let Some((name, value)) = part.split_once('=') else {
                return Err(GateError::MissingValue {
                    text: part.to_owned(),
                });
            };
            let (name, value) = (name.trim(), value.trim());
            let fixed = self.fixed.iter().find(|fixed| fixed.gate.name() == name);
            let gate = match fixed {
                Some(fixed) => fixed.gate,
                None => self.find(name)?,
            };
            if set.iter().any(|(other, _)| *other == gate) || named.iter().any(|fixed| fixed.gate == gate) {
                return Err(GateError::Duplicate {
                    name: name.to_owned(),
                });
            }
            let value = parse_bool(value).ok_or_else(|| GateError::InvalidValue {
                name: name.to_owned(),
                value: value.to_owned(),
            })?;
            match fixed {
                None => set.push((gate, value)),
                Some(fixed) if fixed.enabled == value => named.push(*fixed),
                Some(fixed) => {
                    return Err(GateError::Fixed {
                        name: gate.name(),
                        value,
                        why: fixed.why,
                    });
                }
            }
        }
        Gates::resolve(self, &set, named)
    }

    fn find(&self, name: &str) -> Result<Gate, GateError> {
        self.gates
            .iter()
            .map(|info| info.gate)
            .find(|gate| gate.name() == name)
            .ok_or_else(|| {
                let mut known: Vec<_> = self.gates.iter().map(|info| info.gate.name()).collect();
                known.sort_unstable();
                GateError::Unknown {
                    name: name.to_owned(),
                    known: known.join(", "),
                }
            })
    }

    /// One line a gate for `--help`, sorted by name: `Name=true|false (BETA - default=true) What it does.`
    pub fn help(&self) -> String {
        let mut gates: Vec<_> = self.gates.iter().collect();
        gates.sort_unstable_by_key(|info| info.gate);
        let lines: Vec<_> = gates
            .into_iter()
            .map(
                |GateInfo {
                     gate,
                     default,
                     stage,
                     description,
                 }| {
                    format!("{gate}=true|false ({stage} - default={default}) {description}")
                },
            )
            .collect();
        lines.join("\n")
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}
