//! One run after another.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use kube_client::Client;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::config::SimulationConfig;
use super::failure::{FailedSeed, Failure, Report};
use crate::runtime::panic_message;
use crate::testing::apiserver::ApiServer;
use crate::testing::clock::TokioClock;
use crate::testing::cluster::SimulatedCluster;
use crate::testing::faults::{Crash, Faults};
use crate::testing::random::Random;

/// Requests after which a process that is to die in one of them does.
const CRASH_WITHIN: u64 = 20;

/// How often is looked whether everything has settled.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// What a run is made in.
#[derive(Clone)]
#[non_exhaustive]
pub struct World {
    /// The seed of this run, for what a scenario draws at its start.
    pub seed: u64,
    /// The server.
    pub server: ApiServer,
    /// Its nodes and pods.
    pub cluster: SimulatedCluster,
    /// Wall clock, going with the paused time.
    pub clock: Arc<TokioClock>,
    /// What stands between the process and the server.
    pub faults: Faults,
    outside: Client,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl World {
    /// A client without faults, for what happens from outside.
    pub fn client(&self) -> Client {
        self.outside.clone()
    }
}

/// What is run, and what must hold.
pub trait Scenario: Send + Sync + 'static {
    /// The process under test, from start to its end, which should not come. It is dropped where it stands when it dies,
    /// and another one is started; what it spawned must end with it.
    fn start(&self, client: Client) -> BoxFuture<'static, ()>;

    /// Does one thing to the cluster from outside. It should not take long.
    fn step<'a>(&'a self, world: &'a World, random: &'a mut Random) -> BoxFuture<'a, ()>;

    /// Which rule is broken, if one is that must hold at any time. Looked at after every write.
    ///
    /// # Errors
    /// The rule, and by what it is broken.
    fn check(&self, world: &World) -> Result<(), String> {
        let _ = world;
        Ok(())
    }

    /// Ends what would keep the cluster from coming to rest, such as dead nodes. Called once, after the last step, when
    /// faults have ended. Default: nothing.
    fn calm(&self, world: &World) {
        let _ = world;
    }

    /// What is not as it should be once nothing happens any more. Looked at every second after the last step, until it
    /// is fine or [`SimulationConfig::settle_time`] is over.
    ///
    /// # Errors
    /// What is not as it should be.
    fn settled(&self, world: &World) -> Result<(), String>;
}

/// Runs the scenario that `make` builds once for each seed. Blocks; must not be called inside a tokio runtime.
///
/// # Errors
/// The seeds that failed: by a rule, by a panic of the scenario, or by a process that ended.
pub fn simulate<S: Scenario>(
    config: &SimulationConfig,
    make: impl Fn(&World) -> S,
) -> Result<Report, Box<Failure>> {
    let mut report = Report::default();
    let mut failed = Vec::new();
    for seed in config.seeds.clone() {
        if failed.len() >= config.give_up_after.max(1) {
            break;
        }
        report.seeds += 1;
        if let Some(failure) = run_seed(config, seed, &make, &mut report) {
            failed.push(failure);
        }
    }
    if failed.is_empty() {
        return Ok(report);
    }
    Err(Box::new(Failure {
        seeds: failed,
        run: report.seeds,
        replay: config.replay.clone(),
    }))
}

fn run_seed<S: Scenario>(
    config: &SimulationConfig,
    seed: u64,
    make: &impl Fn(&World) -> S,
    report: &mut Report,
) -> Option<FailedSeed> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            return Some(FailedSeed {
                seed,
                message: format!("no runtime: {error}"),
                injected: Vec::new(),
                requests: Vec::new(),
            });
        }
    };
    let mut told = None;
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let world = world(config, seed);
            told = Some(world.clone());
            let scenario = Arc::new(make(&world));
            let mut run = Run::new(config, seed, world, scenario);
            let result = run.run().await;
            (result, run.restarts)
        })
    }));
    let world = told?;
    // They hold the world, which holds the server.
    world.server.forget_observers();
    let (requests, injected) = (world.server.requests(), world.faults.injected());
    report.requests += requests.len() as u64;
    report.faults += injected.len() as u64;
    let message = match result {
        Ok((Ok(()), restarts)) => {
            report.restarts += restarts;
            return None;
        }
        Ok((Err(message), _)) => message,
        Err(panic) => format!("panicked: {}", panic_message(&*panic)),
    };
    Some(FailedSeed {
        seed,
        message,
        injected,
        requests,
    })
}

fn world(config: &SimulationConfig, seed: u64) -> World {
    let mut server = config.server.clone();
    server.seed = Random::new(seed).stream(1).bits();
    let clock = Arc::new(TokioClock::default());
    let server = ApiServer::new(server, clock.clone());
    let cluster = SimulatedCluster::new(server.clone(), config.cluster.clone());
    for number in 0..config.nodes {
        cluster.add_node(&format!("node-{number}"));
    }
    let faults = Faults::new(
        server.clone(),
        config.faults.clone(),
        Random::new(seed).stream(2).bits(),
    );
    World {
        seed,
        outside: server.client(),
        server,
        cluster,
        clock,
        faults,
    }
}

struct Run<'a, S> {
    config: &'a SimulationConfig,
    world: World,
    scenario: Arc<S>,
    random: Random,
    broken: Arc<Mutex<Option<String>>>,
    cluster: BoxFuture<'static, ()>,
    process: Option<BoxFuture<'static, ()>>,
    restarts: u64,
}

impl<'a, S: Scenario> Run<'a, S> {
    fn new(config: &'a SimulationConfig, seed: u64, world: World, scenario: Arc<S>) -> Self {
        let broken = Arc::new(Mutex::new(None));
        let (judge, seen, note) = (scenario.clone(), world.clone(), broken.clone());
        world.server.observe(move || {
            if let Err(rule) = judge.check(&seen) {
                note.lock().get_or_insert(rule);
            }
        });
        Self {
            config,
            cluster: world.cluster.clone().run(CancellationToken::new()).boxed(),
            random: Random::new(seed).stream(3),
            process: None,
            restarts: 0,
            broken,
            scenario,
            world,
        }
    }

    fn start(&mut self) {
        // The old process goes first.
        self.process = None;
        self.process = Some(self.scenario.start(self.world.faults.client()));
    }

    async fn run(&mut self) -> Result<(), String> {
        self.start();
        for step in 0..self.config.steps {
            let (scenario, world) = (self.scenario.clone(), self.world.clone());
            let mut random = self.random.stream(u64::from(step));
            let until = Instant::now() + random.duration(self.config.step_time);
            let dies = random.chance(self.config.crash);
            let how = random.below(3);
            let within = random.below(CRASH_WITHIN);
            let moment = random.duration(self.config.step_time);
            if dies && how < 2 {
                let crash = if how == 0 { Crash::Before } else { Crash::After };
                world.faults.crash_in(within, crash);
            }
            self.during(scenario.step(&world, &mut random)).await?;
            if dies && how == 2 {
                let at = until.min(Instant::now() + moment);
                self.during(tokio::time::sleep_until(at)).await?;
                self.restarts += 1;
                self.start();
            }
            self.during(tokio::time::sleep_until(until)).await?;
        }
        self.world.faults.calm();
        self.scenario.calm(&self.world);
        let end = Instant::now() + self.config.settle_time;
        loop {
            match self.scenario.settled(&self.world) {
                Ok(()) => return Ok(()),
                Err(why) if Instant::now() >= end => {
                    return Err(format!("not settled after {:?}: {why}", self.config.settle_time));
                }
                Err(_) => self.during(tokio::time::sleep(LOOK_EVERY)).await?,
            }
        }
    }

    /// Lets everything go on while something is waited for.
    async fn during(&mut self, wait: impl Future<Output = ()>) -> Result<(), String> {
        let mut wait = std::pin::pin!(wait);
        loop {
            let Some(process) = &mut self.process else {
                return Err("no process".to_owned());
            };
            let died = tokio::select! {
                biased;
                () = self.world.faults.crashed() => true,
                ended = AssertUnwindSafe(process).catch_unwind() => {
                    return Err(match ended {
                        Ok(()) => "the process ended by itself".to_owned(),
                        Err(panic) => format!("the process panicked: {}", panic_message(&*panic)),
                    });
                }
                () = &mut self.cluster => false,
                () = &mut wait => {
                    let broken = self.broken.lock().take();
                    return broken.map_or(Ok(()), Err);
                }
            };
            if let Some(broken) = self.broken.lock().take() {
                return Err(broken);
            }
            if died {
                self.restarts += 1;
                self.start();
            }
        }
    }
}
