//! The parts that every controller is made of: caches, queues, expectations, reconcilers, tasks.

mod api_error;
mod cache;
mod causes;
mod clock;
mod config;
mod controller;
mod events;
mod expectations;
mod key;
mod metrics;
mod pod;
mod queue;
mod runnable;
mod tasks;

pub use api_error::ApiError;
pub use cache::{
    Cache, CacheBuilder, CacheConfig, CacheDriver, CacheWriter, Delta, Index, ListStrategy, Subscription,
    Undecodable, WaitError,
};
pub use causes::Causes;
pub use clock::{Clock, SystemClock};
pub use config::ConfigError;
pub use controller::{
    Controller, ControllerBuilder, Outcome, ReconcileError, Reconciler, Retry, RunnerConfig,
};
pub use events::{EventSink, Note};
pub use expectations::{Expectations, ExpectationsConfig, Expected};
pub use key::{Cached, ObjectKey, compare_versions, version_at_least};
pub use metrics::RuntimeMetrics;
pub use pod::{
    ConditionStatus, Owner, Phase, SlimCondition, SlimContainer, SlimContainerStatus, SlimPod, StrMap,
};
pub use queue::{Add, Lease, Priority, QueueConfig, Verdict, WorkQueue};
pub use runnable::{RunError, Runnable};
pub use tasks::Tasks;
pub(crate) use tasks::panic_message;
