//! The nodes: on each the real agent with a scripted runtime, which survives what happens to the agent.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use kruise_core::runtime::Tasks;
use kruise_core::testing::faults::{FaultConfig, Faults};
use kruise_core::testing::random::Random;
use kruise_core::testing::simulate::World;
use kruise_cri::ErrorKind;
use kruise_imagepull::agent::{AgentConfig, AgentDependencies, AgentMetrics, KubeSecrets, NodeAgent};
use kruise_imagepull::caches::own_node_image_cache;
use kruise_imagepull::events::EventSink;

use super::managers::COPIES;
use crate::runtime::{Answer, ScriptedRuntime};

/// Share of requests of agents that meet each kind of fault.
const FAULTS: f64 = 0.02;

/// Agents and runtimes by the name of their node.
#[derive(Default)]
pub(crate) struct Nodes(BTreeMap<String, Node>);

struct Node {
    runtime: Arc<ScriptedRuntime>,
    /// Dropping it stops the agent where it stands.
    agent: Option<Tasks>,
}

impl fmt::Debug for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Nodes {
    /// Starts the agent of a node, if it does not run. A node without a runtime gets one.
    pub(crate) fn start(&mut self, world: &World, name: &str, random: &mut Random) {
        let node = self.0.entry(name.to_owned()).or_insert_with(|| Node {
            runtime: ScriptedRuntime::taking(Duration::from_millis(500 + random.below(20_000))),
            agent: None,
        });
        if node.agent.is_some() {
            return;
        }
        let seed = random.bits();
        let client = Faults::new(world.server.clone(), FaultConfig::all(FAULTS), seed).client();
        let (cache, driver) = own_node_image_cache(client.clone(), name).build();
        let mut config = AgentConfig::default();
        config.seed = seed;
        let dependencies = AgentDependencies {
            credential_providers: Vec::new(),
            disk: None,
            node_name: name.to_owned(),
            client: client.clone(),
            cache,
            images: node.runtime.clone(),
            secrets: Arc::new(KubeSecrets::new(client, COPIES)),
            clock: world.clock.clone(),
            events: EventSink::none(),
            metrics: AgentMetrics::detached(),
        };
        let agent = NodeAgent::new(dependencies, config).expect("defaults");
        let tasks = Tasks::new();
        tasks.spawn("cache", driver.run(tasks.token()));
        tasks.spawn("agent", agent.run(tasks.token()));
        node.agent = Some(tasks);
    }

    /// The agent of a node dies.
    pub(crate) fn kill(&mut self, name: &str) {
        if let Some(node) = self.0.get_mut(name) {
            node.agent = None;
        }
    }

    /// The machine is gone, with its images.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Something goes wrong with the next pulls of a node.
    pub(crate) fn spoil(&self, name: &str, random: &mut Random) {
        let Some(node) = self.0.get(name) else { return };
        let answers = [
            Answer::Fail(ErrorKind::NotFound),
            Answer::Fail(ErrorKind::RuntimeUnavailable),
            Answer::Fail(ErrorKind::NoSpace),
            Answer::Hang,
        ];
        let answer = random.pick(&answers).copied().into_iter();
        node.runtime.script(answer);
        node.runtime.set_away(random.chance(0.3));
    }

    /// Everybody is well again, but for those that stay dead.
    pub(crate) fn calm(&mut self, world: &World, dead: &[String]) {
        let mut random = Random::new(world.seed).stream(77);
        let names: Vec<_> = self.0.keys().cloned().collect();
        for name in names.iter().filter(|name| !dead.contains(name)) {
            if let Some(node) = self.0.get(name) {
                node.runtime.set_away(false);
            }
            self.start(world, name, &mut random);
        }
    }
}
