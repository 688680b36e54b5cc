//! How progress is shown: bars on a terminal, lines elsewhere.

use std::collections::HashMap;
use std::io::Write;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;

use super::state::{Image, Phase, Pull, line, nodes};
use crate::failure::Result;

/// At most this many nodes have a bar at a time.
const MAX_BARS: usize = 16;
/// Up to this many nodes of an image, those that succeeded are printed too.
const FEW: usize = 20;

/// What shows progress.
#[derive(Debug)]
pub(super) enum Screen {
    /// A line for each change.
    Plain(HashMap<(String, String), String>),
    /// A bar for each image and for each node that pulls.
    Bars(Box<Bars>),
}

#[derive(Debug)]
pub(super) struct Bars {
    all: MultiProgress,
    images: HashMap<String, ProgressBar>,
    pulls: HashMap<(String, String), ProgressBar>,
    /// Pulls whose end was printed.
    told: HashMap<(String, String), Phase>,
}

impl Screen {
    pub(super) fn plain() -> Self {
        Self::Plain(HashMap::new())
    }

    pub(super) fn bars() -> Self {
        Self::Bars(Box::new(Bars {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stdout()),
            images: HashMap::new(),
            pulls: HashMap::new(),
            told: HashMap::new(),
        }))
    }

    /// Shows what has changed.
    pub(super) fn show(&mut self, images: &[Image], now: Timestamp, out: &mut impl Write) -> Result<()> {
        match self {
            Self::Plain(said) => plain(said, images, now, out),
            Self::Bars(bars) => {
                bars.show(images, now);
                Ok(())
            }
        }
    }

    /// Takes bars away.
    pub(super) fn clear(&mut self) {
        if let Self::Bars(bars) = self {
            for bar in bars.pulls.values().chain(bars.images.values()) {
                bar.finish_and_clear();
            }
            let _ = bars.all.clear();
        }
    }
}

/// A line for each node whose phase has changed, and for each image whose numbers have.
fn plain(
    said: &mut HashMap<(String, String), String>,
    images: &[Image],
    now: Timestamp,
    out: &mut impl Write,
) -> Result<()> {
    for image in images {
        for pull in &image.pulls {
            // The time it takes is no change.
            let seen = format!(
                "{} {}",
                pull.phase.word(),
                if pull.phase.is_over() { "" } else { &pull.message }
            );
            if pull.phase == Phase::Told {
                continue;
            }
            let key = (image.image.clone(), pull.node.clone());
            if said.get(&key) != Some(&seen) {
                writeln!(out, "{}: {}: {}", image.image, pull.node, line(pull, now))?;
                said.insert(key, seen);
            }
        }
        let numbers = numbers(image);
        let key = (image.image.clone(), String::new());
        if said.get(&key) != Some(&numbers) {
            writeln!(out, "{}: {numbers}", image.image)?;
            said.insert(key, numbers);
        }
    }
    out.flush()?;
    Ok(())
}

/// `3 of 10 nodes, 2 pulling, 1 failed`.
pub(super) fn numbers(image: &Image) -> String {
    if !image.started {
        return "waiting for the manager".to_owned();
    }
    let mut text = format!(
        "{} of {} done",
        image.succeeded + image.failed,
        nodes(image.desired)
    );
    if image.active > 0 {
        text.push_str(&format!(", {} pulling", image.active));
    }
    if image.failed > 0 {
        text.push_str(&format!(", {} failed", image.failed));
    }
    // What the job says besides its progress: a missing pull secret, say.
    if let Some((_, more)) = image.message.split_once("; ") {
        text.push_str(&format!("; {more}"));
    }
    text
}

impl Bars {
    fn show(&mut self, images: &[Image], now: Timestamp) {
        for image in images {
            let total = self.images.entry(image.image.clone()).or_insert_with(|| {
                let style = ProgressStyle::with_template("{prefix} [{bar:24}] {msg}");
                let bar = ProgressBar::new(1).with_style(
                    style
                        .unwrap_or_else(|_| ProgressStyle::default_bar())
                        .progress_chars("=> "),
                );
                self.all.add(bar).with_prefix(image.image.clone())
            });
            total.set_length(image.desired.max(1) as u64);
            total.set_position((image.succeeded + image.failed) as u64);
            total.set_message(numbers(image));
            for pull in &image.pulls {
                self.pull(image, pull, now);
            }
        }
    }

    fn pull(&mut self, image: &Image, pull: &Pull, now: Timestamp) {
        let key = (image.image.clone(), pull.node.clone());
        if pull.phase.is_over() {
            if let Some(bar) = self.pulls.remove(&key) {
                bar.finish_and_clear();
                self.all.remove(&bar);
            }
            let is_new = self.told.insert(key, pull.phase) != Some(pull.phase);
            if is_new && (pull.phase == Phase::Failed || image.desired <= FEW) {
                let _ = self
                    .all
                    .println(format!("{}: {}: {}", image.image, pull.node, line(pull, now)));
            }
            return;
        }
        if !self.pulls.contains_key(&key) && self.pulls.len() >= MAX_BARS {
            return;
        }
        let bar = self.pulls.entry(key).or_insert_with(|| {
            // The total size is unknown, so there is a bar only if the daemon reports percents.
            let (length, template) = match pull.percent {
                0 => (None, "  {spinner} {prefix:24} {msg}"),
                _ => (Some(100), "  [{bar:10}] {prefix:24} {msg}"),
            };
            let style =
                ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            self.all
                .add(bar.with_style(style.progress_chars("=> ")))
                .with_prefix(pull.node.clone())
        });
        bar.set_position(u64::try_from(pull.percent).unwrap_or(0));
        bar.set_message(line(pull, now));
        bar.tick();
    }
}
