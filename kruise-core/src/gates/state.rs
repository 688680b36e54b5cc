//! Which gates are on.

use std::collections::BTreeMap;
use std::fmt;

use super::{FixedGate, Gate, GateError, GateRegistry};

/// A gate that a dependency turned away from its setting or default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forced {
    /// The gate.
    pub gate: Gate,
    /// What it is now.
    pub enabled: bool,
    /// The gate, of the same state, that it follows.
    pub because: Gate,
}

impl fmt::Display for Forced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.enabled { "on" } else { "off" };
        write!(f, "{} is {state} because {} is {state}", self.gate, self.because)
    }
}

/// The states of the gates of one [`GateRegistry`]. Displays as `A=true,B=false`, sorted by name, which
/// [`GateRegistry::parse`] reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gates {
    states: BTreeMap<Gate, bool>,
    forced: Vec<Forced>,
    fixed: Vec<FixedGate>,
}

impl Gates {
    /// Defaults, then settings, then what requires an off gate goes off, then what an on gate enables goes on.
    pub(super) fn resolve(
        registry: &GateRegistry,
        set: &[(Gate, bool)],
        fixed: Vec<FixedGate>,
    ) -> Result<Self, GateError> {
        let states = registry
            .gates()
            .map(|info| (info.gate, info.default))
            .chain(set.iter().copied())
            .collect();
        let mut gates = Self {
            states,
            forced: Vec::new(),
            fixed,
        };
        // A gate follows at most once in each direction, so both loops end, whatever circles there are.
        while let Some(forced) = gates.broken(&registry.requires, false) {
            gates.force(forced);
        }
        let backwards: Vec<_> = registry
            .enables
            .iter()
            .map(|(gate, other)| (*other, *gate))
            .collect();
        while let Some(forced) = gates.broken(&backwards, true) {
            gates.force(forced);
        }
        match gates.broken(&registry.requires, false) {
            Some(Forced { gate, because, .. }) => Err(GateError::Conflict {
                enabled: gate.name(),
                needed: because.name(),
            }),
            None => Ok(gates),
        }
    }

    /// The first of `rules`, as `(follower, leader)`, whose leader is in `state` and whose follower is not.
    fn broken(&self, rules: &[(Gate, Gate)], state: bool) -> Option<Forced> {
        rules
            .iter()
            .find(|(follower, leader)| {
                self.get(*leader) == Some(state) && self.get(*follower) == Some(!state)
            })
            .map(|&(gate, because)| Forced {
                gate,
                enabled: state,
                because,
            })
    }

    fn force(&mut self, forced: Forced) {
        self.states.insert(forced.gate, forced.enabled);
        self.forced.push(forced);
    }

    /// The state of a gate, if the registry has it.
    pub fn get(&self, gate: Gate) -> Option<bool> {
        self.states.get(&gate).copied()
    }

    /// Whether a gate is on. A gate that the registry does not have is off.
    pub fn is_enabled(&self, gate: Gate) -> bool {
        self.get(gate).unwrap_or(false)
    }

    /// All gates with their states, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (Gate, bool)> + '_ {
        self.states.iter().map(|(gate, enabled)| (*gate, *enabled))
    }

    /// What dependencies changed, to be told to the user at start.
    pub fn forced(&self) -> &[Forced] {
        &self.forced
    }

    /// Settings that were accepted and change nothing, to be told to the user at start.
    pub fn fixed(&self) -> &[FixedGate] {
        &self.fixed
    }
}

impl fmt::Display for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (gate, enabled)) in self.states.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{gate}={enabled}")?;
        }
        Ok(())
    }
}
