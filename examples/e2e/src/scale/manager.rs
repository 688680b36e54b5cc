//! What the manager has used so far: from /proc and from its metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Clock ticks in a second, as Linux shows them in /proc on every architecture that it runs Kubernetes on.
const TICKS: f64 = 100.0;

/// What the manager has used since it started.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ManagerUse {
    /// Seconds of CPU.
    pub cpu_seconds: f64,
    /// The most memory that was resident, in MiB.
    pub peak_mib: f64,
    /// Reconciles by controller.
    pub reconciles: BTreeMap<String, u64>,
    /// Requests to the API server by controller and verb.
    pub requests: BTreeMap<String, u64>,
    /// Requests that were refused or failed, by controller, verb and code.
    pub failed_requests: BTreeMap<String, u64>,
    /// Changes that came by watch, by cache.
    pub changes: BTreeMap<String, u64>,
}

impl ManagerUse {
    /// Looks at the process and asks its metrics endpoint on this port of the loopback.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn read(pid: u32, metrics_port: u16) -> Result<Self> {
        let text = scrape(metrics_port)
            .await
            .context("asking the manager for metrics")?;
        let status = tokio::fs::read_to_string(format!("/proc/{pid}/status")).await?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok());
        let stat = tokio::fs::read_to_string(format!("/proc/{pid}/stat")).await?;
        // The name of the program may hold spaces; utime and stime are the 12th and 13th fields behind it.
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let ticks: f64 = fields
            .iter()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum();
        Ok(Self {
            cpu_seconds: ticks / TICKS,
            peak_mib: peak.context("no VmHWM")? / 1024.0,
            reconciles: by(&text, "kruise_controller_reconcile_total", &["name"], |_| true),
            requests: by(
                &text,
                "kruise_client_requests_total",
                &["controller", "verb"],
                |_| true,
            ),
            failed_requests: by(
                &text,
                "kruise_client_requests_total",
                &["controller", "verb", "code"],
                |labels| !labels.get("code").is_some_and(|code| code.starts_with('2')),
            ),
            changes: by(&text, "kruise_cache_events_total", &["name"], |_| true),
        })
    }

    /// Waits until the manager holds the Lease, and so acts.
    ///
    /// # Errors
    /// When it is not there, or does not lead within a minute.
    pub async fn until_it_leads(metrics_port: u16) -> Result<()> {
        let mut tick = tokio::time::interval(Duration::from_millis(200));
        let leads = async {
            loop {
                tick.tick().await;
                let text = scrape(metrics_port)
                    .await
                    .context("asking the manager for metrics")?;
                if sum(&text, "kruise_leader_election_is_leader", |_| true) > 0 {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(60), leads)
            .await
            .context("the manager does not lead")?
    }

    /// What was used since `before`. The peak of memory is that since the start.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let less = |now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>| {
            let left = now
                .iter()
                .map(|(key, count)| (key.clone(), count - before.get(key).unwrap_or(&0)));
            left.filter(|(_, count)| *count > 0).collect()
        };
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            peak_mib: self.peak_mib,
            reconciles: less(&self.reconciles, &before.reconciles),
            requests: less(&self.requests, &before.requests),
            failed_requests: less(&self.failed_requests, &before.failed_requests),
            changes: less(&self.changes, &before.changes),
        }
    }
}

async fn scrape(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await??;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Sums up a counter in the text format over the samples whose labels `is_meant`.
pub(super) fn sum(text: &str, metric: &str, is_meant: impl Fn(&BTreeMap<&str, &str>) -> bool) -> u64 {
    by(text, metric, &[], is_meant).values().sum()
}

/// Sums up a counter by the values of some labels.
fn by(
    text: &str,
    metric: &str,
    names: &[&str],
    is_meant: impl Fn(&BTreeMap<&str, &str>) -> bool,
) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in text.lines() {
        let Some((labels, value)) = line
            .strip_prefix(metric)
            .and_then(|rest| rest.strip_prefix('{')?.rsplit_once("} "))
        else {
            continue;
        };
        // No value that is looked at holds a comma or a quote.
        let labels: BTreeMap<&str, &str> = labels
            .split(',')
            .filter_map(|label| label.split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        let count: u64 = value.trim().parse().unwrap_or(0);
        if is_meant(&labels) && count > 0 {
            let key: Vec<&str> = names
                .iter()
                .filter_map(|name| labels.get(name).copied())
                .collect();
            *sums.entry(key.join(" ")).or_default() += count;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x\nx_total{a=\"1\",code=\"200\"} 3\nx_total{a=\"2\",code=\"409\"} 4\nx_total{a=\"1\",code=\"500\"} 5\n";

    #[test]
    fn counters_are_summed_by_label() {
        assert_eq!(sum(TEXT, "x_total", |_| true), 12);
        let sums = by(TEXT, "x_total", &["a"], |labels| labels["code"] != "409");
        assert_eq!(sums, [("1".to_owned(), 8)].into());
    }
}
