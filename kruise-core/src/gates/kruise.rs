//! The gates of OpenKruise 0.8.

use super::{Gate, GateRegistry, Stage};

/// The webhooks that change and check Pods when they are created: SidecarSet injection lives on them.
pub const POD_WEBHOOK: Gate = Gate::new("PodWebhook");

/// The agent on every node: without it nobody pulls images ahead of time.
pub const KRUISE_DAEMON: Gate = Gate::new("KruiseDaemon");

impl GateRegistry {
    /// The gates of OpenKruise 0.8: [`POD_WEBHOOK`] and [`KRUISE_DAEMON`], both beta and on.
    pub fn kruise() -> Self {
        Self::new()
            .gate(
                POD_WEBHOOK,
                true,
                Stage::Beta,
                "Webhooks for the creation of Pods, which SidecarSet needs.",
            )
            .gate(
                KRUISE_DAEMON,
                true,
                Stage::Beta,
                "Image pulls ahead of time by the node agent.",
            )
    }

    /// Applies the rule of OpenKruise's environment variable `CUSTOM_RESOURCE_ENABLE`, whose text is `kinds`: a list
    /// of kinds separated by commas. If it names kinds, but not `SidecarSet`, then [`POD_WEBHOOK`] is off by default;
    /// an explicit setting still wins. `None` and empty texts change nothing.
    #[must_use]
    pub fn custom_resource_enable(self, kinds: Option<&str>) -> Self {
        let mut kinds = kinds
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|kind| !kind.is_empty())
            .peekable();
        if kinds.peek().is_none() || kinds.any(|kind| kind == "SidecarSet") {
            self
        } else {
            self.default_of(POD_WEBHOOK, false)
        }
    }
}
